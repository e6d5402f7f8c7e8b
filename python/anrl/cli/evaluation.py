"""``anrl eval``, and what it and ``anrl metrics`` print and write."""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.table import Table

from anrl.atomic_io import as_file_name
from anrl.cli.console import console, errors, progress_bar
from anrl.cli.data import Columns, DepthRule, open_domain
from anrl.errors import DataError
from anrl.evaluation import EvaluationFolder, RunFolder
from anrl.output_folder import claim, refuse_inputs, writing

if TYPE_CHECKING:
    from anrl.data import Domain
    from anrl.metrics import Evaluation
    from anrl.metrics.scores import Aggregate

Threshold = Annotated[
    str,
    typer.Option(
        help="What sets the threshold on validation data: eer, min-hter, min-wer@X, apcer@X, bpcer@X, or a "
        "number."
    ),
]
AggregateOption = Annotated[
    Literal["mean", "median", "min", "max"],
    typer.Option("--aggregate", help="What makes one score of a video's frames.", show_choices=True),
]


def evaluate(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint, or folder of a run with its best one.")],
    packs: Annotated[
        list[Path] | None,
        typer.Argument(help="Packs of domains to score; by default the targets of the configuration."),
    ] = None,
    lists: Annotated[
        list[Path] | None,
        typer.Option("--list", help="List files, for a single pack of the official layout."),
    ] = None,
    columns: Columns = None,
    depth_rule: DepthRule = None,
    threshold: Threshold = "eer",
    aggregate: AggregateOption = "mean",
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for scores, metrics, ROC; 'eval' beside the checkpoint by default."),
    ] = None,
    device: Annotated[str, typer.Option(help="A torch device, or auto.")] = "auto",
) -> None:
    """Evaluate a checkpoint on unseen domains, at the threshold from validation data of its sources.

    A domain that the network was trained on is called so.
    """
    from anrl.checkpoint import Checkpoint
    from anrl.evaluation import evaluate as evaluate_checkpoint
    from anrl.evaluation import open_domains
    from anrl.evaluation.provenance import COMPARED, trained_on

    check_criterion(threshold)
    packs = packs or []
    if lists and len(packs) != 1:
        raise typer.BadParameter("--list goes with a single pack")
    loaded = Checkpoint.read(RunFolder(checkpoint).best if checkpoint.is_dir() else checkpoint)
    config = loaded.config
    domains = [open_domain(path, lists, columns, depth_rule) for path in packs]
    domains = domains or open_domains(config.targets, config)
    if not domains:
        raise typer.BadParameter("name the packs to score: the checkpoint's configuration has no targets")
    names = [as_file_name(domain.name) for domain in domains]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise typer.BadParameter(f"several domains are called {repeated[0]}; score one at a time")
    run = loaded.path.parent
    folder = EvaluationFolder(out) if out is not None else RunFolder(run).evaluation
    refuse_inputs(folder.path, [loaded.path, *(domain.path for domain in domains), *(lists or [])])
    claim(folder.path, _outputs(folder, [domain.name for domain in domains]))
    sources = {domain.name: trained_on(domain, config) for domain in domains}
    seen = [name for name, source in sources.items() if source is not None]
    for name in seen:
        errors.print(_seen(name, sources[name]), markup=False, style="red", soft_wrap=True)
    if config.remark:
        console.print(config.remark, markup=False)
    if config.selection == "target":
        console.print("The checkpoint was chosen by its AUC on the targets: these results are optimistic.")
    with progress_bar("evaluating") as progress:
        evaluation = evaluate_checkpoint(
            loaded, domains, threshold, aggregate=aggregate, device=device, progress=progress
        )
    title = f"{run.name}{', trained on ' + ', '.join(seen) if seen else ''}"
    with writing(folder.path):
        _write_domain_scores(folder, domains, evaluation)
        domains_seen = {name: source or "unseen" for name, source in sources.items()}
        provenance = {"compared": COMPARED, "domains": domains_seen, "remark": config.remark}
        (folder.path / _PROVENANCE).write_text(json.dumps(provenance, indent=1))
        show(evaluation, threshold, aggregate, folder, title)
    for name, source in sources.items():
        text = _seen(name, source) if source is not None else f"{name}: unseen"
        console.print(text, markup=False, soft_wrap=True)
    console.print(f"Domains were {COMPARED}.", soft_wrap=True)
    console.print(f"written: {folder}/scores_*.csv, metrics_*.json, metrics_*.csv, roc.png")


_PROVENANCE = "provenance.json"


def _seen(name: str, source: str | None) -> str:
    return f"{name}: TRAINED ON, not unseen: it is {source}. Its rates say nothing about unseen domains"


def _outputs(folder: EvaluationFolder, domains: Sequence[str]) -> list[str]:
    """Names of the files that an evaluation of domains may write."""
    names = [_PROVENANCE]
    names += [f"{stem}.{ending}" for stem in ("roc", "det", "epc") for ending in ("png", "pdf")]
    for name in domains:
        files = (folder.scores(name), folder.metrics_json(name), folder.metrics_csv(name))
        names += [file.name for file in files]
        names += [f"histogram_{as_file_name(name)}.{ending}" for ending in ("png", "pdf")]
    return names


def check_criterion(criterion: str) -> None:
    """Refuse a criterion that is unknown."""
    from anrl.metrics import parse_criterion

    try:
        parse_criterion(criterion)
    except ValueError as error:
        raise typer.BadParameter(f"--threshold: {error}") from None


def _write_domain_scores(folder: EvaluationFolder, domains: Sequence[Domain], evaluation: Evaluation) -> None:
    from anrl.evaluation import write_scores

    for domain in domains:
        frames = evaluation.by_domain[domain.name].frames
        assert frames is not None
        write_scores(folder.scores(domain.name), [(domain, frames.scores)])


def show(
    evaluation: Evaluation,
    criterion: str,
    aggregate: Aggregate,
    folder: EvaluationFolder | None,
    title: str,
    turned: Collection[str] = (),
) -> None:
    """Print the tables of every domain, at video and frame level, and store them if there is a folder.

    For domains named in ``turned`` a numeric threshold had its sign changed, with the scores'.
    """
    from anrl.evaluation.tables import levels, notes, text_rows
    from anrl.metrics import parse_criterion

    if folder is not None:
        # Before anything is printed: who reads a pipe may stop reading.
        try:
            _store(evaluation, criterion, aggregate, folder, title, turned)
        except OSError as error:
            raise DataError(error.strerror or str(error), path=str(error.filename or folder)) from None
    source = "" if parse_criterion(criterion).kind == "number" else ", on validation data"
    caption = (
        f"Threshold: {criterion}{source}. In brackets 95 % intervals: Clopper-Pearson beside counts of "
        "independent samples, else bootstrap over videos, and exact where nothing varies."
    )
    for name, of_domain in evaluation.by_domain.items():
        _warn_of_polarity(name, of_domain)
        for level, columns in levels(of_domain).items():
            counts = " | ".join(f"{len(part.scores)} {column}" for column, part in columns.items())
            console.print(table_of(f"{name}, {level} level ({counts})", caption, text_rows(columns)))
        for note in notes(of_domain):
            console.print(f"{name}: {note}")
    if evaluation.validation is not None:
        _warn_of_polarity("validation data", evaluation.validation)
    if folder is not None:
        console.print(f"written: {folder}/{', '.join(_WRITTEN)}")


_WRITTEN = (
    "metrics_*.json",
    "metrics_*.csv",
    "histogram_*.png",
    "roc.png",
    "det.png",
    "epc.png (with validation data)",
)
_BANDS_BELOW = 4


def _store(
    evaluation: Evaluation,
    criterion: str,
    aggregate: Aggregate,
    folder: EvaluationFolder,
    title: str,
    turned: Collection[str],
) -> None:
    """Write metrics, curves and histograms."""
    from anrl.evaluation.tables import csv_rows, levels
    from anrl.plots import plot_det, plot_epc, plot_roc, plot_scores, save_figure

    folder.path.mkdir(parents=True, exist_ok=True)
    for name, of_domain in evaluation.by_domain.items():
        summaries = {
            level: {column: part.summary() for column, part in columns.items()}
            for level, columns in levels(of_domain).items()
        }
        settings: dict[str, Any] = {"threshold_criterion": criterion, "video_score": aggregate}
        settings |= {"threshold_sign_changed": True} if name in turned else {}
        folder.metrics_json(name).write_text(json.dumps(settings | summaries, indent=1))
        with open(folder.metrics_csv(name), "w", newline="") as stream:
            csv.writer(stream).writerows(csv_rows(summaries))
        thresholds = {"threshold": of_domain.threshold}
        save_figure(plot_scores(of_domain.scores, name, thresholds), folder.histogram(name))
    curves = {name: of_domain.scores for name, of_domain in evaluation.by_domain.items()}
    level = "video level" if evaluation.scores.has_videos else "frame level"
    title, bands = f"{title}, {level}" if title else level, len(curves) < _BANDS_BELOW
    save_figure(plot_roc(curves, title, bands=bands), folder.roc)
    save_figure(plot_det(curves, title, bands=bands), folder.det)
    if evaluation.validation is not None:
        pairs = {name: (evaluation.validation.scores, scores) for name, scores in curves.items()}
        save_figure(plot_epc(pairs, title), folder.epc)


def _warn_of_polarity(name: str, evaluation: Evaluation) -> None:
    if evaluation.auc < 0.5:
        errors.print(
            f"anrl: {name}: AUC {evaluation.auc:.3f}, worse than chance: scores seem to be higher for bona "
            "fide samples. If so, their polarity is to be changed: see --flip of anrl metrics",
            soft_wrap=True,
        )


def table_of(title: str, caption: str, rows: list[list[str]]) -> Table:
    """Table of rows, the first with the names of the columns; cells that do not fit are folded, not cut."""
    table = Table(title=title, caption=caption, title_justify="left", caption_justify="left")
    for column in rows[0]:
        table.add_column(column, justify="right" if column else "left", overflow="fold")
    for row in rows[1:]:
        table.add_row(*row)
    return table
