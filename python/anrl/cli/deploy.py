"""``anrl export``, ``anrl predict`` and ``anrl calibrate``."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from anrl.cli.console import console, progress_bar
from anrl.errors import DataError

if TYPE_CHECKING:
    from anrl.deploy import Prediction

_IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
_COLUMNS = ("image", "score", "verdict", "threshold", "threshold_source", "reason")

Whole = Annotated[
    bool, typer.Option("--whole", help="Images are crops as the network was trained on, not to be cropped.")
]
Model = Annotated[
    Path, typer.Argument(help="Exported model (.onnx), description (.yaml), checkpoint, or folder of a run.")
]


def export(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint, or folder of a run with its best one.")],
    out: Annotated[Path, typer.Argument(help="File to write: .onnx, or .pt2 for torch.export.load.")],
    input: Annotated[
        Literal["crop", "image"],
        typer.Option(help="What the model takes: crops of faces, or images with a box of the crop."),
    ] = "crop",
    outputs: Annotated[
        str, typer.Option(help="Outputs, separated by commas: score, logits, depth, features.")
    ] = "score",
    threshold: Annotated[
        str, typer.Option(help="What sets the threshold on validation data: eer, apcer@X, a number, …")
    ] = "eer",
    min_size: Annotated[
        float, typer.Option(help="Shortest side of a face, in pixels, that gets a verdict.")
    ] = 48,
    min_brightness: Annotated[
        float, typer.Option(help="Lowest mean brightness of a face, of 255, that gets a verdict.")
    ] = 30,
    max_overexposed: Annotated[
        float, typer.Option(help="Largest fraction of white pixels of a face that gets a verdict.")
    ] = 0.25,
    license: Annotated[str, typer.Option(help="License of the training data.")] = "not stated",
    check: Annotated[
        Path | None, typer.Option(help="Pack to score through both; prints the largest deviation.")
    ] = None,
) -> None:
    """Export a checkpoint with its preprocessing, for onnxruntime."""
    from anrl.data import Domain
    from anrl.deploy import Detector, Limits, largest_deviation
    from anrl.deploy import export as export_checkpoint

    if check is not None and out.suffix != ".onnx":
        raise typer.BadParameter("--check goes with an .onnx file")
    domain = Domain.open(check) if check is not None else None
    names = [name.strip() for name in outputs.split(",")]
    if domain is not None and "score" not in names:
        raise typer.BadParameter("--check needs the output score")
    try:
        limits = Limits(min_size, min_brightness, max_overexposed)
        export_checkpoint(checkpoint, out, input, names, threshold, limits, license)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    console.print(f"written: {out}", soft_wrap=True)
    if domain is None:
        return
    detectors = Detector.load(checkpoint), Detector.load(out)
    with progress_bar("checking") as progress:
        deviation = largest_deviation(*detectors, domain, progress=progress)
    console.print(f"largest deviation of {len(domain)} scores from torch's: {deviation:.2g}")


def predict(
    model: Model,
    images: Annotated[list[Path], typer.Argument(help="Image files, or folders of them.")],
    box: Annotated[
        str | None, typer.Option(help="Box of the face in every image: left,top,right,bottom in pixels.")
    ] = None,
    whole: Whole = False,
    threshold: Annotated[float | None, typer.Option(help="Threshold instead of the model's own.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for every image.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """Judge photographs. Exit code: 0 all bona fide, 1 some attack, 3 some without verdict and no attack."""
    from anrl.deploy import Detector

    if as_json and as_csv:
        raise typer.BadParameter("choose one of --json and --csv")
    if box is not None and whole:
        raise typer.BadParameter("choose one of --box and --whole")
    where: Any = _box(box) if box is not None else "whole" if whole else None
    files = list(_files(images))
    detector = Detector.load(model)
    if threshold is not None:
        if not math.isfinite(threshold):
            raise typer.BadParameter(f"--threshold must be a finite number, not {threshold}")
        detector = detector.with_threshold(threshold)
    table = csv.writer(sys.stdout, lineterminator="\n")
    if as_csv:
        table.writerow(_COLUMNS)
    verdicts = set()
    for file in files:
        try:
            prediction = detector.predict(file, where)
        except DataError as error:
            prediction = _unread(detector.threshold, error.reason)
        except ValueError as error:
            raise DataError(str(error), path=str(file)) from None
        verdicts.add(prediction.verdict)
        row = _row(file, prediction)
        if as_json:
            console.out(json.dumps(row), highlight=False)
        elif as_csv:
            table.writerow("" if row[name] is None else row[name] for name in _COLUMNS)
        else:
            console.print(_line(file, prediction), soft_wrap=True)
    raise typer.Exit(1 if "attack" in verdicts else 3 if None in verdicts else 0)


def calibrate(
    model: Annotated[Path, typer.Argument(help="Exported model (.onnx) or description (.yaml) to write to.")],
    pack: Annotated[Path, typer.Argument(help="Pack of your own captures, of both classes.")],
    apcer: Annotated[
        float | None, typer.Option(help="Highest APCER allowed for any attack species, in [0, 1].")
    ] = None,
    bpcer: Annotated[float | None, typer.Option(help="Highest BPCER allowed, in [0, 1].")] = None,
    whole: Whole = False,
) -> None:
    """Set a model's threshold on your own captures; by default at equal error rates."""
    from anrl.data import Domain
    from anrl.deploy import calibrate as calibrate_model

    if apcer is not None and bpcer is not None:
        raise typer.BadParameter("choose one of --apcer and --bpcer")
    criterion = "eer"
    for name, limit in (("apcer", apcer), ("bpcer", bpcer)):
        if limit is not None:
            criterion = f"{name}@{limit}"
    domain = Domain.open(pack)
    with progress_bar("scoring") as progress:
        try:
            threshold = calibrate_model(
                model, domain, criterion, where="whole" if whole else None, progress=progress
            )
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
    console.print(f"{model}: threshold {threshold}", soft_wrap=True)


def _box(text: str) -> list[float]:
    try:
        sides = [float(side) for side in text.split(",")]
    except ValueError:
        sides = []
    if len(sides) != 4:
        raise typer.BadParameter(f"--box takes left,top,right,bottom in pixels, not {text!r}")
    return sides


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.exists():
            raise typer.BadParameter(f"{path}: there is no such file")
        if not path.is_dir():
            yield path
            continue
        inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in _IMAGES)
        if not inside:
            raise typer.BadParameter(f"{path}: the folder has no images ({', '.join(_IMAGES)})")
        yield from inside


def _unread(threshold: Any, reason: str) -> Prediction:
    from anrl.deploy import Prediction

    return Prediction(math.nan, None, threshold, reason)


def _row(file: Path, prediction: Prediction) -> dict[str, Any]:
    threshold = prediction.threshold
    return {
        "image": str(file),
        "score": None if math.isnan(prediction.score) else prediction.score,
        "verdict": prediction.verdict,
        "threshold": None if threshold is None else threshold.value,
        "threshold_source": None if threshold is None else f"{threshold.criterion}, data: {threshold.data}",
        "reason": prediction.reason,
    }


def _line(file: Path, prediction: Prediction) -> str:
    verdict = prediction.verdict or f"no verdict ({prediction.reason})"
    if math.isnan(prediction.score):
        return f"{file}: {verdict}"
    threshold = "" if prediction.threshold is None else f", threshold {prediction.threshold}"
    return f"{file}: {verdict}, P(attack) {prediction.score:.4f}{threshold}"
