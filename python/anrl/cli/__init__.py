"""The command line, ``anrl --help``.

Exit codes: 0 done, 1 damage found (``verify``), an attack (``predict``) or another process of the job lost
(``train``), 2 a user error (the message names the culprit and the remedy), 3 no verdict (``predict``), 130
stopped by Ctrl-C.

Help must appear at once: commands import torch, and what needs it, inside their functions; the tables whose
names stand in help texts import neither.
"""

import sys
import warnings

import typer

from anrl import __version__
from anrl.cli import data, demo, deploy, evaluation, metrics, protocol, report, training
from anrl.cli.console import drop_output, errors
from anrl.errors import ConfigError, DataError, Interrupted, ProcessLostError

app = typer.Typer(
    name="anrl",
    help="Face anti-spoofing that generalizes to domains never seen. Labels: 0 = bona fide, 1 = attack.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("demo")(demo.demo)
app.command("synth")(data.synth)
app.command("pack")(data.pack)
app.command("verify")(data.verify)
app.command("inspect")(data.inspect)
app.command("train")(training.train)
app.command("eval")(evaluation.evaluate)
app.command("metrics")(metrics.metrics)
app.command("multi-metrics")(metrics.multi_metrics)
app.command("export")(deploy.export)
app.command("predict")(deploy.predict)
app.command("calibrate")(deploy.calibrate)
app.command("protocol")(protocol.protocol)
app.command("report")(report.report)


@app.callback(invoke_without_command=True)
def _version(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    if version:
        print(f"anrl {__version__}")
        raise typer.Exit


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    errors.print(f"anrl: {message}", markup=False, style="yellow", soft_wrap=True)


def main() -> None:
    """Run the command line; exit with its code."""
    warnings.showwarning = _show_warning
    try:
        app()
    except (DataError, ConfigError, FloatingPointError) as error:
        errors.print(f"anrl: {error}", style="red", soft_wrap=True)
        sys.exit(2)
    except ProcessLostError as error:
        errors.print(f"anrl: {error}", style="red", soft_wrap=True)
        sys.exit(1)
    except OSError as error:
        drop_output()
        place = error.filename or "standard output"
        errors.print(f"anrl: {place}: {error.strerror or error}", style="red", soft_wrap=True)
        sys.exit(2)
    except Interrupted as stop:
        errors.print(f"anrl: {stop}; the same command resumes from there", soft_wrap=True)
        sys.exit(130)
    except KeyboardInterrupt:
        errors.print("anrl: stopped")
        sys.exit(130)
