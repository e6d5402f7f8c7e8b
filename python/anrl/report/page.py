"""Report page: sections rendered into one HTML file."""

import platform
from datetime import date
from pathlib import Path

import jinja2
import torch

import anrl
from anrl.atomic_io import replacing
from anrl.errors import DataError
from anrl.evaluation import RunFolder
from anrl.experiments import LeaveOneDomainOut
from anrl.plots import save_figure
from anrl.progress import Progress
from anrl.report.protocols import protocol_sections
from anrl.report.runs import run_sections
from anrl.report.sections import Section, Table


def write_report(run: str | Path, out: str | Path | None = None, progress: Progress | None = None) -> Path:
    """Write the page of a training run or of a protocol, and its figures as files.

    The figures are in the page, and beside it in the folder ``figures``, each as PNG and PDF.

    Args:
        run: The folder that ``anrl train`` or ``anrl protocol`` wrote. The packs of its configuration are
            read again.
        out: The page; by default ``report.html`` in the folder.
        progress: Told the number of parts done, of all, and the part being made.

    Returns:
        Path of the page.

    Raises:
        DataError: the folder holds neither, or a pack is missing.
    """
    folder = RunFolder(run)
    if folder.best.exists():
        title, sections = f"Run {folder.path.name}", run_sections(folder, progress)
    elif LeaveOneDomainOut.is_folder(folder.path):
        title, sections = f"Protocol {folder.path.name}", protocol_sections(folder.path, progress)
    else:
        raise DataError(
            f"holds neither {folder.best.name} (of anrl train) nor cells (of anrl protocol); name the folder "
            "that one of them wrote",
            path=str(folder),
        )
    page = Path(out) if out is not None else folder.report
    loader = jinja2.PackageLoader("anrl.report", "")
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    text = environment.get_template("page.html.jinja").render(
        title=title,
        subtitle="Labels: 0 = bona fide, 1 = attack. A score is the probability of attack; a sample is "
        "classified as an attack if its score is at least the threshold. "
        f"Written {date.today()} by anrl {anrl.__version__}.",
        sections=[*sections, _environment()],
    )
    page.parent.mkdir(parents=True, exist_ok=True)
    with replacing(page) as partial:
        partial.write_text(text)
    figures = RunFolder(page.parent).figures
    figures.mkdir(exist_ok=True)
    pictures = [picture for section in sections for picture in section.pictures]
    for number, picture in enumerate(pictures):
        if progress is not None:
            progress(number, len(pictures), f"storing {picture.name}")
        save_figure(picture.figure, figures / picture.name)
    return page


def _environment() -> Section:
    rows = [
        ["", ""],
        ["anrl", anrl.__version__],
        ["torch", torch.__version__],
        ["Python", platform.python_version()],
        ["system", platform.platform()],
        ["threads", str(torch.get_num_threads())],
    ]
    return Section("Environment", tables=[Table("", rows)], code=[str(anrl.backend_info())])
