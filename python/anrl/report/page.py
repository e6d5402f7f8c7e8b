"""The page: its sections, rendered into one file."""

import platform
from collections.abc import Callable
from datetime import date
from pathlib import Path

import jinja2
import torch

import anrl
from anrl.atomic_io import replacing
from anrl.errors import DataError
from anrl.plots import save_figure
from anrl.report.protocols import protocol_sections
from anrl.report.runs import run_sections
from anrl.report.sections import Section, Table


def write_report(run: str | Path, out: str | Path | None = None, say: Callable[[str], None] = print) -> Path:
    """Writes the page of a training run or of a protocol, and its figures as files.

    The figures are in the page, and beside it in the folder ``figures``, each as PNG and PDF.

    Args:
        run: The folder that ``anrl train`` or ``anrl protocol`` wrote. The packs of its configuration are
            read again.
        out: The page; by default ``report.html`` in the folder.
        say: Told what is being made.

    Returns:
        The page's path.

    Raises:
        DataError: the folder holds neither, or a pack is missing.
    """
    run = Path(run)
    if (run / "best.safetensors").exists():
        title, sections = f"Run {run.name}", run_sections(run, say)
    elif (run / "cells").exists():
        title, sections = f"Protocol {run.name}", protocol_sections(run, say)
    else:
        raise DataError(
            f"{run}: holds neither best.safetensors (of anrl train) nor cells (of anrl protocol); name the "
            "folder that one of them wrote"
        )
    page = Path(out) if out is not None else run / "report.html"
    loader = jinja2.PackageLoader("anrl.report", "")
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    text = environment.get_template("page.html.jinja").render(
        title=title,
        subtitle="Labels: 0 = bona fide, 1 = attack. A score is the probability of attack; a sample is taken "
        "for an attack if its score is at least the threshold. "
        f"Written {date.today()} by anrl {anrl.__version__}.",
        sections=[*sections, _environment()],
    )
    page.parent.mkdir(parents=True, exist_ok=True)
    with replacing(page) as partial:
        partial.write_text(text)
    say("storing the figures")
    folder = page.parent / "figures"
    folder.mkdir(exist_ok=True)
    for section in sections:
        for picture in section.pictures:
            save_figure(picture.figure, folder / picture.name)
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
