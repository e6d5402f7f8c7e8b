"""``anrl metrics`` and ``anrl multi-metrics``: score files of any detector."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anrl.atomic_io import as_file_name
from anrl.cli.console import console
from anrl.cli.evaluation import AggregateOption, Threshold, check_criterion, show, table_of
from anrl.errors import DataError
from anrl.evaluation import EvaluationFolder

if TYPE_CHECKING:
    from anrl.evaluation.score_files import ScoreFile
    from anrl.metrics import Scores
    from anrl.metrics.scores import Aggregate

Flip = Annotated[
    bool,
    typer.Option(
        "--flip",
        help="Scores are higher for bona fide samples: change their sign, and that of a numeric threshold. "
        "bob's files are read so without it.",
    ),
]
Species = Annotated[
    list[str] | None,
    typer.Option(
        help="Regular expression of attack species to judge as one; give one or more. Each species goes to "
        "the first that is found in its name."
    ),
]


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
    flip: Flip = False,
    species: Species = None,
    bob: Annotated[
        Path | None, typer.Option(help="Also write the scores of a single file as bob's CSV.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for metrics as JSON and CSV, ROC, DET, EPC and histograms of the scores."),
    ] = None,
) -> None:
    """Evaluate score files of any detector, at a threshold from a validation file."""
    from anrl.evaluation import write_bob_scores
    from anrl.metrics import evaluate_scores

    if bob is not None and len(files) > 1:
        raise typer.BadParameter("--bob goes with a single file")
    _need_validation(threshold, validation is not None)
    named = _short_names(files)
    folder = EvaluationFolder(out) if out is not None else None
    written = [bob] if bob is not None else []
    if folder is not None:
        written += [path(name) for name in named for path in (folder.metrics_json, folder.metrics_csv)]
    _refuse_to_replace([*files, *([validation] if validation is not None else [])], written)

    readings = {name: _read(file, flip) for name, file in named.items()}
    developed = _read(validation, flip) if validation is not None else None
    every = [*readings.values(), *([developed] if developed is not None else [])]
    criterion = _criterion(threshold, every)
    for name, reading in readings.items():
        console.print(f"{name}: {reading.note}")
    if developed is not None:
        console.print(f"validation, {validation}: {developed.note}")
    if criterion != threshold:
        console.print(
            f"threshold {threshold}: bona fide at or above it, so its sign was changed with the scores'"
        )
    if bob is not None:
        write_bob_scores(bob, next(iter(readings.values())).scores)
    scores = {name: reading.judged(aggregate, species) for name, reading in readings.items()}
    with _named(validation):
        evaluation = evaluate_scores(
            scores,
            developed.judged(aggregate, species) if developed is not None else None,
            criterion,
            aggregate=aggregate,
        )
    show(evaluation, threshold, aggregate, folder, "", list(readings) if criterion != threshold else ())


def multi_metrics(
    files: Annotated[list[Path], typer.Argument(help="Score files to evaluate, one of each fold.")],
    validation: Annotated[
        list[Path] | None,
        typer.Option(
            "--validation",
            "--dev",
            help="Score file that sets the threshold of a fold: one for each file, in their order.",
        ),
    ] = None,
    threshold: Threshold = "eer",
    aggregate: AggregateOption = "mean",
    flip: Flip = False,
    species: Species = None,
) -> None:
    """Evaluate score files of folds, each at its own threshold: mean and standard deviation."""
    from anrl.evaluation.tables import fold_rows
    from anrl.metrics import evaluate_scores

    validation = validation or []
    _need_validation(threshold, bool(validation))
    if validation and len(validation) != len(files):
        raise typer.BadParameter(
            f"{len(files)} files and {len(validation)} validation files: give one for each"
        )
    folds = []
    for number, file in enumerate(files):
        reading = _read(file, flip)
        developed = _read(validation[number], flip) if validation else None
        console.print(f"{file}: {reading.note}")
        with _named(validation[number] if validation else file):
            fold = evaluate_scores(
                {str(file): reading.judged(aggregate, species)},
                developed.judged(aggregate, species) if developed is not None else None,
                _criterion(threshold, [reading, *([developed] if developed is not None else [])]),
                aggregate=aggregate,
            )
        folds.append(next(iter(fold.by_domain.values())))
    level = "video" if all(fold.scores.has_videos for fold in folds) else "frame"
    if level == "frame":
        folds = [fold.frames or fold for fold in folds]
    title = f"{len(folds)} folds, {level} level: mean ± standard deviation"
    console.print(table_of(title, f"Threshold of each fold: {threshold}.", fold_rows(folds)))


class _Reading:
    """A score file as it is judged, with its sign changed if scores are higher for bona fide samples."""

    def __init__(self, path: Path, file: ScoreFile, flip: bool) -> None:
        self.path, self.file, self.is_turned = path, file, flip or file.is_bob
        self.scores = file.scores.flipped() if flip and not file.is_bob else file.scores
        notes = [file.grouping]
        if file.is_bob:
            notes.append(
                "bob's scores, higher for bona fide samples: sign changed"
                + (", once: --flip changes nothing" if flip else "")
            )
        elif flip:
            notes.append("--flip: sign changed")
        if file.unread:
            notes.append(f"columns not read: {', '.join(file.unread)}")
        self.note = "; ".join(notes)

    def judged(self, aggregate: Aggregate, species: Sequence[str] | None) -> Scores:
        """The scores, with species grouped, once their videos are known to be of one kind each."""
        from anrl.metrics import group_species

        with _named(self.path):
            scores = group_species(self.scores, species) if species else self.scores
            scores.by_video(aggregate)
        return scores


def _read(path: Path, flip: bool) -> _Reading:
    from anrl.evaluation.score_files import read_score_file

    return _Reading(path, read_score_file(path), flip)


def _criterion(threshold: str, readings: Sequence[_Reading]) -> str | float:
    """The criterion for the scores as they are judged: a numeric threshold changes its sign with them."""
    import numpy as np

    from anrl.metrics import parse_criterion

    value = parse_criterion(threshold).value
    if parse_criterion(threshold).kind != "number" or not any(reading.is_turned for reading in readings):
        return threshold
    if not all(reading.is_turned for reading in readings):
        turned, kept = (
            next(reading.path for reading in readings if reading.is_turned is is_turned)
            for is_turned in (True, False)
        )
        raise DataError(
            f"--threshold {threshold}: the scores of {turned} are higher for bona fide samples and those of "
            f"{kept} for attacks, so one number is no threshold of both; judge them one by one"
        )
    assert value is not None
    # A score at the threshold is bona fide where higher means bona fide, and an attack where it means attack.
    return float(np.nextafter(-value, np.inf))


def _need_validation(threshold: str, has_validation: bool) -> None:
    from anrl.metrics import parse_criterion

    check_criterion(threshold)
    if not has_validation and parse_criterion(threshold).kind != "number":
        raise typer.BadParameter(
            f"--threshold {threshold} needs validation data: give --validation FILE, or a number. A "
            "threshold set on the evaluated data themselves makes results optimistic"
        )


def _refuse_to_replace(inputs: Sequence[Path], outputs: Sequence[Path]) -> None:
    for path in outputs:
        if path.exists() and any(file.exists() and path.samefile(file) for file in inputs):
            raise typer.BadParameter(f"{path} is a file to evaluate and would be overwritten; name another")


@contextmanager
def _named(path: Path | None) -> Iterator[None]:
    """Name a file in errors of its scores."""
    try:
        yield
    except DataError:
        raise
    except ValueError as error:
        raise DataError(str(error), path=str(path) if path is not None else None) from None


def _short_names(files: Sequence[Path]) -> dict[str, Path]:
    """Name files by their stems, with as many of their folders as tell them apart."""
    distinct = {file.absolute(): file for file in files}
    for depth in range(1, max(len(path.parts) for path in distinct) + 1):
        parts = (path.with_suffix("").parts[-depth:] for path in distinct)
        names = ["-".join(part) for part in parts]
        if len({as_file_name(name) for name in names}) == len(names):
            return dict(zip(names, distinct.values(), strict=True))
    raise typer.BadParameter(f"two files would both be called {names[0]}; rename one")
