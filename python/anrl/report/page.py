"""Report page: sections rendered into one HTML file."""

import platform
from collections.abc import Sequence
from datetime import date
from itertools import count
from pathlib import Path

import jinja2
import torch

import anrl
from anrl.atomic_io import as_file_name, replacing
from anrl.checkpoint import Checkpoint
from anrl.config.schema import with_data
from anrl.errors import DataError
from anrl.evaluation import RunFolder
from anrl.experiments import LeaveOneDomainOut
from anrl.output_folder import claim, refuse_inputs, writing
from anrl.plots import save_figure
from anrl.progress import Progress
from anrl.report.protocols import protocol_sections
from anrl.report.runs import run_sections
from anrl.report.sections import Section, Table
from anrl.report.tables import table_csv, table_latex


def write_report(
    run: str | Path,
    out: str | Path | None = None,
    progress: Progress | None = None,
    data: str | Path | None = None,
) -> Path:
    """Write the page of a training run or of a protocol, and its figures and tables as files.

    The figures are in the page, and beside it in the folder ``figures``, each as PNG and PDF; the tables are
    in the folder ``tables``, each as CSV and LaTeX. A network that has diverged, or a domain with too few
    samples for a figure, gets a note.

    Args:
        run: The folder that ``anrl train`` or ``anrl protocol`` wrote. The packs of its configuration are
            read again.
        out: The page; by default ``report.html`` in the folder.
        progress: Told the number of parts done, of all, and the part being made.
        data: Folder of the packs, if it is another than that of the configuration.

    Returns:
        Path of the page.

    Raises:
        DataError: the folder holds neither, a pack is missing, or the page cannot be written or would
            overwrite a file that is not one of anrl.
    """
    folder = RunFolder(run)
    is_run = folder.best.exists()
    if not is_run and not LeaveOneDomainOut.is_folder(folder.path):
        raise DataError(
            f"holds neither {folder.best.name} (of anrl train) nor cells (of anrl protocol); name the folder "
            "that one of them wrote",
            path=str(folder),
        )
    page = Path(out) if out is not None else folder.report
    if page.suffix.lower() not in (".html", ".htm") or page.is_dir():
        raise DataError("is no name of a page; let it end in .html", path=str(page))
    if is_run:
        checkpoint = Checkpoint.read(folder.best)
        if data is not None:
            checkpoint.config = with_data(checkpoint.config, data)
        config = checkpoint.config
    else:
        protocol = LeaveOneDomainOut.open(folder.path)
        if data is not None:
            protocol.move_data(data)
        config = protocol.config
    refuse_inputs(page, (Path(config.data) / d.path for d in [*config.sources, *config.targets]))
    claim(page.parent, [page.name])
    sections = run_sections(folder, checkpoint, progress) if is_run else protocol_sections(protocol, progress)
    sections.append(_environment())
    title = f"{'Run' if is_run else 'Protocol'} {folder.path.resolve().name}"
    loader = jinja2.PackageLoader("anrl.report", "")
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    text = environment.get_template("page.html.jinja").render(
        title=title,
        remark=config.remark,
        subtitle="Labels: 0 = bona fide, 1 = attack. A score is the probability of attack; a sample is "
        "classified as an attack if its score is at least the threshold. "
        f"Written {date.today()} by anrl {anrl.__version__}. The tables are beside this page as CSV and "
        "LaTeX, the figures as PNG and PDF.",
        sections=sections,
    )
    pictures = [picture for section in sections for picture in section.pictures]
    tables = _named_tables(sections)
    names = [f"figures/{picture.name}.{ending}" for picture in pictures for ending in ("png", "pdf")]
    names += [f"tables/{name}.{ending}" for name in tables for ending in ("csv", "tex")]
    claim(page.parent, names)
    with writing(page):
        with replacing(page) as partial:
            partial.write_text(text)
        for folder_name in ("figures", "tables"):
            (page.parent / folder_name).mkdir(exist_ok=True)
        for name, table in tables.items():
            file = page.parent / "tables" / name
            file.with_name(f"{name}.csv").write_text(table_csv(table.rows, config.remark))
            file.with_name(f"{name}.tex").write_text(table_latex(table.title, table.rows, config.remark))
        for number, picture in enumerate(pictures):
            if progress is not None:
                progress(number, len(pictures), f"storing {picture.name}")
            save_figure(picture.figure, page.parent / "figures" / picture.name)
    return page


def _named_tables(sections: Sequence[Section]) -> dict[str, Table]:
    """All tables by the names of their files."""
    named: dict[str, Table] = {}
    for section in sections:
        for table in section.tables:
            name = as_file_name(f"{section.title} {table.name or table.title}".strip())[:100].lower()
            numbers = (f"{name}_{number}" for number in count(2))
            named[name if name not in named else next(n for n in numbers if n not in named)] = table
    return named


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
