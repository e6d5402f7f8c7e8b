"""``anrl eval`` and ``anrl metrics``."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.table import Table

from anrl.atomic_io import as_file_name
from anrl.cli.console import console, errors, progress_bar
from anrl.cli.data import Columns, DepthRule, open_domain
from anrl.errors import DataError

if TYPE_CHECKING:
    from anrl.checkpoint import Checkpoint
    from anrl.data import Domain
    from anrl.metrics import Scores
    from anrl.metrics.scores import Aggregate

Threshold = Annotated[
    str,
    typer.Option(
        help="What sets the threshold on development data: eer, min-hter, apcer@X, bpcer@X, a number."
    ),
]
How = Annotated[
    Literal["mean", "median", "min", "max"],
    typer.Option("--aggregate", help="What makes one score of a video's frames.", show_choices=True),
]


def evaluate(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint to judge.")],
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
    aggregate: How = "mean",
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for scores, metrics, ROC; 'eval' beside the checkpoint by default."),
    ] = None,
    device: Annotated[str, typer.Option(help="A torch device, or auto.")] = "auto",
) -> None:
    """Judge a checkpoint on domains it has not seen, at the threshold from held-out source data."""
    from anrl.checkpoint import Checkpoint
    from anrl.evaluation.score import score_domain
    from anrl.evaluation.score_files import write_scores
    from anrl.evaluation.splits import open_domains
    from anrl.plots import plot_roc, save_figure
    from anrl.training.device import pick_device

    packs = packs or []
    if lists and len(packs) != 1:
        raise typer.BadParameter("--list goes with a single pack")
    found = Checkpoint.read(checkpoint)
    domains = [open_domain(path, lists, columns, depth_rule) for path in packs]
    domains = domains or open_domains(found.config.targets, found.config)
    if not domains:
        raise typer.BadParameter("name the packs to score: the checkpoint's configuration has no targets")
    if found.config.selection == "target":
        console.print("The checkpoint was chosen by its AUC on the targets: what follows is flattered.")
    names = [as_file_name(domain.name) for domain in domains]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise typer.BadParameter(f"several domains are called {repeated[0]}; score one at a time")
    where = pick_device(device)
    model = found.model().to(where)

    def score(domain: Domain, what: str) -> Scores:
        with progress_bar(f"scoring {domain.name}{what}") as report:
            return score_domain(model, domain, found.config.transform, where, report)[0]

    development = _held_out(found, score)
    out = out or checkpoint.parent / "eval"
    out.mkdir(parents=True, exist_ok=True)
    curves: dict[str, Scores] = {}
    for domain, name in zip(domains, names, strict=True):
        frames = score(domain, "")
        write_scores(out / f"scores_{name}.csv", [(domain, frames)])
        curves[name] = _judge(name, development, frames, threshold, aggregate, out)
    save_figure(plot_roc(curves, f"{checkpoint.parent.name}, video level"), out / "roc")
    console.print(f"written: {out}/scores_*.csv, metrics_*.json, metrics_*.csv, roc.png")


def metrics(
    files: Annotated[list[Path], typer.Argument(help="Score files to judge: anrl's CSV, or bob's.")],
    development: Annotated[
        Path | None,
        typer.Option(
            "--dev", help="Score file that sets the threshold; needed unless the threshold is a number."
        ),
    ] = None,
    threshold: Threshold = "eer",
    aggregate: How = "mean",
    flip: Annotated[
        bool, typer.Option("--flip", help="Scores are higher for bona fide samples: change their sign.")
    ] = False,
    bob: Annotated[
        Path | None, typer.Option(help="Also write the scores of a single file as bob's CSV.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for metrics as JSON and CSV, and ROC.")] = None,
) -> None:
    """Judge score files of any detector, at a threshold from a development file."""
    from anrl.evaluation.score_files import read_scores, write_bob_scores
    from anrl.metrics.rates import as_number
    from anrl.plots import plot_roc, save_figure

    if bob is not None and len(files) > 1:
        raise typer.BadParameter("--bob goes with a single file")

    def read(file: Path) -> Scores:
        scores = read_scores(file)
        try:
            scores.by_video(aggregate)
        except ValueError as error:
            raise DataError(f"{file}: {error}") from None
        return scores.flipped() if flip else scores

    dev = read(development) if development is not None else None
    if dev is None and as_number(threshold) is None:
        raise typer.BadParameter(
            f"--threshold {threshold} needs development data: give --dev FILE, or a number. A threshold that "
            "is set on the data it is judged by flatters"
        )
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    curves: dict[str, Scores] = {}
    for name, file in _short_names(files).items():
        scores = read(file)
        if bob is not None:
            write_bob_scores(bob, scores)
        curves[name] = _judge(name, dev, scores, threshold, aggregate, out)
    if out is not None:
        save_figure(plot_roc(curves, "video level"), out / "roc")
        console.print(f"written: {out}/metrics_*.json, metrics_*.csv, roc.png")


def _judge(
    name: str, development: Scores | None, frames: Scores, criterion: str, how: Aggregate, out: Path | None
) -> Scores:
    """Prints the tables of one domain, video and frame level, and stores them if a folder is given.

    Returns:
        The scores of its videos.
    """
    from anrl.metrics import Judgement, find_threshold, judgement_rows

    summary: dict[str, object] = {"threshold_criterion": criterion, "video_score": how}
    lines: list[list[object]] = []
    parts = {"development": development, "evaluation": frames}
    by_frame = {name: scores for name, scores in parts.items() if scores is not None}
    by_video = {name: scores.by_video(how) for name, scores in by_frame.items()}
    for level, scores in (("video", by_video), ("frame", by_frame)):
        try:
            threshold = find_threshold(scores.get("development", frames), criterion)
        except ValueError as error:
            raise typer.BadParameter(f"--threshold: {error}") from None
        columns = {k: Judgement(v, threshold) for k, v in scores.items()}
        if "development" in columns and (value := columns["development"].auc) < 0.5:
            errors.print(
                f"anrl: AUC {value:.3f} on development data: scores seem to be higher for bona fide samples. "
                "If so, anrl metrics --flip changes their sign"
            )
        rows = judgement_rows(columns)
        title = f"{name}, {level} level ({' | '.join(f'{len(v)} {k}' for k, v in scores.items())})"
        console.print(_table(title, rows, criterion))
        summaries = {k: judgement.summary() for k, judgement in columns.items()}
        summary[level] = summaries
        flat = {k: dict(_flat(values)) for k, values in summaries.items()}
        metrics = dict.fromkeys(key for values in flat.values() for key in values)
        lines += [
            [level, key, *(flat.get(column, {}).get(key, "") for column in ("development", "evaluation"))]
            for key in metrics
        ]
    if out is not None:
        (out / f"metrics_{name}.json").write_text(json.dumps(summary, indent=1))
        with open(out / f"metrics_{name}.csv", "w", newline="") as stream:
            csv.writer(stream).writerows([["level", "metric", "development", "evaluation"], *lines])
    return by_video["evaluation"]


def _flat(values: Any, prefix: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(values, Mapping):
        for key, value in values.items():
            yield from _flat(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(values, tuple):
        yield from _flat(dict(zip(("low", "high"), values, strict=True)), prefix)
    else:
        yield prefix, values


def _table(title: str, rows: list[list[str]], criterion: str) -> Table:
    from anrl.metrics.rates import as_number

    source = "" if as_number(criterion) is not None else ", on development data"
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


def _held_out(checkpoint: Checkpoint, score: Callable[[Domain, str], Scores]) -> Scores:
    """Scores of held-out source samples: training stores the best checkpoint's; another's are found anew."""
    from anrl.evaluation.run_folder import HELD_OUT_SCORES
    from anrl.evaluation.score_files import read_scores
    from anrl.evaluation.splits import split_sources
    from anrl.metrics import Scores

    file = checkpoint.path.with_name(HELD_OUT_SCORES)
    if checkpoint.path.stem == "best" and file.exists():
        return read_scores(file)
    try:
        splits = split_sources(checkpoint.config)
    except DataError as error:
        raise DataError(
            f"{error}. The threshold comes from held-out samples of the sources; only those of the best "
            f"checkpoint are stored, in {file}"
        ) from None
    return Scores.join([score(split.validation, ", held-out part") for split in splits])


def _short_names(files: Sequence[Path]) -> dict[str, Path]:
    """Files by name, with as many of the folders that they are in as tells them apart."""
    distinct = {file.absolute(): file for file in files}
    for depth in range(1, max(len(path.parts) for path in distinct) + 1):
        parts = (path.with_suffix("").parts[-depth:] for path in distinct)
        names = [as_file_name("-".join(part)) for part in parts]
        if len(set(names)) == len(names):
            return dict(zip(names, distinct.values(), strict=True))
    raise typer.BadParameter(f"two files would both be called {names[0]}; rename one")
