"""A threshold from a user's own captures, written into the model's file."""

import json
import os
import re
from pathlib import Path

from anrl.atomic_io import replacing
from anrl.data import Domain
from anrl.deploy.contract import Threshold, threshold_metadata
from anrl.deploy.detector import Detector, FaceFinder
from anrl.deploy.scoring import Place, detector_scores
from anrl.errors import ConfigError
from anrl.metrics import find_threshold, parse_criterion
from anrl.progress import Progress


def calibrate(
    path: str | os.PathLike[str],
    domain: Domain,
    criterion: str = "apcer@0.05",
    *,
    find_faces: FaceFinder | None = None,
    where: Place = None,
    progress: Progress | None = None,
) -> Threshold:
    """Set the threshold of a model on captures of one's own, and write it into the model's file.

    Args:
        path: An exported model (``.onnx``) or the description of another (``.yaml``). Nothing but its
            threshold changes.
        domain: The captures, of both classes.
        criterion: What sets the threshold on their frames; see :func:`anrl.metrics.find_threshold`.
        find_faces: A face detector.
        where: Where the faces are; see :func:`anrl.deploy.detector_scores`.
        progress: Told the number of frames done.

    Returns:
        The threshold.

    Raises:
        ConfigError: the file is of another kind, or a package is missing.
        DataError: the model or a capture cannot be read.
        ValueError: the criterion is unknown or a number.
    """
    path = Path(path)
    if parse_criterion(criterion).kind == "number":
        raise ValueError("a criterion such as apcer@0.05 sets a threshold on data; a number needs none")
    if path.suffix not in (".onnx", ".yaml", ".yml"):
        raise ConfigError(
            f"{path}: only an exported model (.onnx) or a description (.yaml) holds a threshold"
        )
    scores = detector_scores(Detector.load(path, find_faces), domain, where, progress=progress)
    value = find_threshold(scores, criterion)
    threshold = Threshold(value, criterion, f"{domain.name}, {len(domain)} frames")
    (_write_onnx if path.suffix == ".onnx" else _write_yaml)(path, threshold)
    return threshold


def _write_onnx(path: Path, threshold: Threshold) -> None:
    try:
        import onnx
    except ImportError:
        raise ConfigError("writing into ONNX files needs onnx; run `pip install 'anrl[onnx]'`") from None
    model = onnx.load(path)
    entries = {entry.key: entry.value for entry in model.metadata_props} | threshold_metadata(threshold)
    onnx.helper.set_model_props(model, entries)
    with replacing(path) as partial:
        onnx.save(model, partial)


def _write_yaml(path: Path, threshold: Threshold) -> None:
    """Replace the block ``threshold`` of a description; all other lines, comments too, stay."""
    text = path.read_text(encoding="utf-8")
    kept = re.sub(r"^threshold\s*:.*\n?(?:(?:[ \t]+.*)?\n)*(?:[ \t]+.*)?", "", text, flags=re.MULTILINE)
    values = {"value": threshold.value, "criterion": threshold.criterion, "data": threshold.data}
    lines = [f"  {key}: {json.dumps(value)}" for key, value in values.items()]
    with replacing(path) as partial:
        partial.write_text("\n".join([kept.rstrip("\n"), "threshold:", *lines, ""]), encoding="utf-8")
