"""``anrl report``."""

from pathlib import Path
from typing import Annotated

import typer

from anrl.cli.console import console


def report(
    run: Annotated[Path, typer.Argument(help="Folder that anrl train or anrl protocol wrote.")],
    out: Annotated[Path | None, typer.Option(help="The page; by default report.html in the folder.")] = None,
) -> None:
    """Write one HTML page about a run or a protocol: tables, figures, configuration, environment."""
    from anrl.report import write_report

    with console.status("reading") as status:
        page = write_report(run, out, status.update)
    console.print(f"{page}: {page.stat().st_size / 1e6:.1f} MB; it opens in any browser, without a network")
