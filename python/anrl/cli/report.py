"""``anrl report``."""

from pathlib import Path
from typing import Annotated

import typer

from anrl.cli.console import console, progress_bar


def report(
    run: Annotated[Path, typer.Argument(help="Folder that anrl train or anrl protocol wrote.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(help="data=FOLDER, if the packs are elsewhere than in the training."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The page; by default report.html in the folder.")] = None,
) -> None:
    """Write one HTML page about a run or a protocol: tables, figures, configuration, environment.

    Beside it are the tables as CSV and LaTeX, and the figures as PNG and PDF.
    """
    from anrl.report import write_report

    data = None
    for override in overrides or []:
        key, _, data = override.partition("=")
        if key != "data" or not data:
            raise typer.BadParameter(f"only data=FOLDER can be changed here, not {override!r}")
    with progress_bar("report") as progress:
        page = write_report(run, out, progress, data)
    size = page.stat().st_size / 1e6
    console.print(f"{page}: {size:.1f} MB; it opens in any browser, without a network", markup=False)
