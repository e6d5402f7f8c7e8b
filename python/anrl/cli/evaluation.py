"""``anrl eval`` and ``anrl metrics``."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

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
    from anrl.metrics import Evaluation, Scores
    from anrl.metrics.scores import Aggregate

Threshold = Annotated[
    str,
    typer.Option(
        help="What sets the threshold on validation data: eer, min-hter, apcer@X, bpcer@X, a number."
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

    _check_criterion(threshold)
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
        _show(evaluation, threshold, aggregate, folder, f"{title}, video level")
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


def metrics(
    files: Annotated[list[Path], typer.Argument(help="Score files to evaluate: anrl's CSV, or bob's.")],
    validation: Annotated[
        Path | None,
        typer.Option(
            "--validation",
            "--dev",
            help="Score file that sets the threshold; needed unless the threshold is a number.",
        ),
    ] = None,
    threshold: Threshold = "eer",
    aggregate: AggregateOption = "mean",
    flip: Annotated[
        bool, typer.Option("--flip", help="Scores are higher for bona fide samples: change their sign.")
    ] = False,
    bob: Annotated[
        Path | None, typer.Option(help="Also write the scores of a single file as bob's CSV.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for metrics as JSON and CSV, and ROC.")] = None,
) -> None:
    """Evaluate score files of any detector, at a threshold from a validation file."""
    from anrl.evaluation import read_scores, write_bob_scores
    from anrl.metrics import evaluate_scores, parse_criterion

    if bob is not None and len(files) > 1:
        raise typer.BadParameter("--bob goes with a single file")
    _check_criterion(threshold)
    if validation is None and parse_criterion(threshold).kind != "number":
        raise typer.BadParameter(
            f"--threshold {threshold} needs validation data: give --validation FILE, or a number. A "
            "threshold set on the evaluated data themselves makes results optimistic"
        )

    def read(file: Path) -> Scores:
        scores = read_scores(file)
        try:
            scores.by_video(aggregate)
        except ValueError as error:
            raise DataError(str(error), path=str(file)) from None
        return scores.flipped() if flip else scores

    validation_scores = read(validation) if validation is not None else None
    scores = {name: read(file) for name, file in _short_names(files).items()}
    if bob is not None:
        write_bob_scores(bob, next(iter(scores.values())))
    evaluation = evaluate_scores(scores, validation_scores, threshold, aggregate=aggregate)
    folder = EvaluationFolder(out) if out is not None else None
    if folder is not None:
        folder.path.mkdir(parents=True, exist_ok=True)
    _show(evaluation, threshold, aggregate, folder, "video level")
    if folder is not None:
        console.print(f"written: {folder}/metrics_*.json, metrics_*.csv, roc.png")


def _check_criterion(criterion: str) -> None:
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


def _show(
    evaluation: Evaluation, criterion: str, aggregate: Aggregate, folder: EvaluationFolder | None, title: str
) -> None:
    """Print the tables of every domain, video and frame level, and store them if there is a folder."""
    from anrl.evaluation.tables import csv_rows, levels, text_rows
    from anrl.plots import plot_roc, save_figure

    _warn_of_polarity(evaluation)
    for name, of_domain in evaluation.by_domain.items():
        by_level = levels(of_domain)
        for level, columns in by_level.items():
            counts = " | ".join(f"{len(part.scores)} {column}" for column, part in columns.items())
            console.print(_table(f"{name}, {level} level ({counts})", text_rows(columns), criterion))
        if folder is None:
            continue
        summaries = {
            level: {column: part.summary() for column, part in columns.items()}
            for level, columns in by_level.items()
        }
        settings = {"threshold_criterion": criterion, "video_score": aggregate}
        folder.metrics_json(name).write_text(json.dumps(settings | summaries, indent=1))
        with open(folder.metrics_csv(name), "w", newline="") as stream:
            csv.writer(stream).writerows(csv_rows(summaries))
    if folder is not None:
        curves = {name: of_domain.scores for name, of_domain in evaluation.by_domain.items()}
        save_figure(plot_roc(curves, title), folder.roc)


def _warn_of_polarity(evaluation: Evaluation) -> None:
    if evaluation.validation is not None and (value := evaluation.validation.auc) < 0.5:
        errors.print(
            f"anrl: AUC {value:.3f} on validation data: scores seem to be higher for bona fide samples. "
            "If so, anrl metrics --flip changes their sign"
        )


def _table(title: str, rows: list[list[str]], criterion: str) -> Table:
    from anrl.metrics import parse_criterion

    source = "" if parse_criterion(criterion).kind == "number" else ", on validation data"
    table = Table(
        title=title,
        caption=f"Threshold: {criterion}{source}. In brackets 95 % intervals: Clopper-Pearson beside counts "
        "of videos, else bootstrap over videos.",
        title_justify="left",
        caption_justify="left",
    )
    for column in rows[0]:
        table.add_column(column, justify="right" if column else "left")
    for row in rows[1:]:
        table.add_row(*row)
    return table


def _short_names(files: Sequence[Path]) -> dict[str, Path]:
    """Name files by their stems, with as many of their folders as tell them apart."""
    distinct = {file.absolute(): file for file in files}
    for depth in range(1, max(len(path.parts) for path in distinct) + 1):
        parts = (path.with_suffix("").parts[-depth:] for path in distinct)
        names = [as_file_name("-".join(part)) for part in parts]
        if len(set(names)) == len(names):
            return dict(zip(names, distinct.values(), strict=True))
    raise typer.BadParameter(f"two files would both be called {names[0]}; rename one")
