"""``anrl report``."""

from pathlib import Path
from typing import Annotated

import typer

from anrl.cli.console import console, progress_bar


def report(
    run: Annotated[Path, typer.Argument(help="Folder that anrl train or anrl protocol wrote.")],
    out: Annotated[Path | None, typer.Option(help="The page; by default report.html in the folder.")] = None,
) -> None:
    """Write one HTML page about a run or a protocol: tables, figures, configuration, environment."""
    from anrl.report import write_report

    with progress_bar("report") as progress:
        page = write_report(run, out, progress)
    console.print(f"{page}: {page.stat().st_size / 1e6:.1f} MB; it opens in any browser, without a network")
