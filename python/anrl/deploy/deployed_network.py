"""A trained network together with its preprocessing: from 8-bit pixels to a score."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from anrl.checkpoint import Checkpoint
from anrl.data import Transform
from anrl.deploy.contract import Contract, Limits, Threshold
from anrl.deploy.crop import CropRule, Region
from anrl.deploy.preprocessing import Preprocessing
from anrl.errors import ConfigError, DataError
from anrl.evaluation import RunFolder, read_validation_scores
from anrl.metrics import find_threshold, parse_criterion
from anrl.models.base import Model

OUTPUTS = ("score", "logits", "depth", "features")
"""What a network can be asked for; see :class:`anrl.models.ModelOutput`."""


class DeployedNetwork(nn.Module):
    """Preprocessing and network in one module, in evaluation mode.

    Args:
        network: The network.
        transform: The preprocessing of its training.
        outputs: Some of "score" (P(attack), (N,)), "logits", "depth" and "features".
    """

    def __init__(self, network: Model, transform: Transform, outputs: Sequence[str] = ("score",)) -> None:
        super().__init__()
        unknown = [name for name in outputs if name not in OUTPUTS]
        if unknown or not outputs:
            raise ConfigError(f"outputs are some of {', '.join(OUTPUTS)}, not {', '.join(unknown) or 'none'}")
        self.preprocessing = Preprocessing(transform)
        self.network = network
        self.outputs = tuple(outputs)
        self.eval()

    def forward(self, image: Tensor, box: Tensor | None = None) -> tuple[Tensor, ...]:
        """(N, H, W, 3), uint8, and boxes (N, 4) as :class:`Preprocessing` takes them → the outputs."""
        result = self.network(self.preprocessing(image, box))
        values = result._asdict() | {"score": result.logits.softmax(1)[:, 1]}
        return tuple(values[name] for name in self.outputs)


class CheckpointNetwork:
    """The network of a checkpoint as a detector calls it, through torch.

    Args:
        checkpoint: The checkpoint.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.contract = contract_of(checkpoint)
        self._module = DeployedNetwork(checkpoint.model(), checkpoint.config.transform)

    def __call__(self, image: NDArray[np.uint8], region: Region) -> float:
        """Score a region of an image (H, W, 3)."""
        left, top, right, bottom = region
        crop = image[top:bottom, left:right].copy()  # torch warns of arrays that may not be written to
        with torch.inference_mode():
            (score,) = self._module(torch.from_numpy(crop)[None])
        return float(score)


def contract_of(
    checkpoint: Checkpoint,
    criterion: str | float = "eer",
    limits: Limits | None = None,
    license: str = "not stated",
) -> Contract:
    """Make the contract of a checkpoint.

    Args:
        checkpoint: The checkpoint.
        criterion: What sets the threshold on validation frames of the sources: see
            :func:`anrl.metrics.find_threshold`. Other criteria than "eer" and a number need the validation
            scores in the run's folder.
        limits: Limits of the input.
        license: License of the training data, in words.

    Raises:
        ValueError: the criterion is unknown.
        DataError: the validation scores are not there.
    """
    import anrl

    config = checkpoint.config
    margin = config.transform.crop_margin
    notes: dict[str, Any] = {
        "version": anrl.__version__,
        "color_order": "RGB",
        "image_size": config.transform.image_size,
        "color": config.transform.color,
        "model": config.model.name,
        "method": config.method.name,
        "training_data": _source_names(checkpoint),
        "license": license,
        "checkpoint.sha256": _sha256(checkpoint),
    }
    return Contract(
        _threshold(checkpoint, criterion),
        limits or Limits(),
        CropRule() if margin is None else CropRule("landmarks", margin),
        {key: str(value) for key, value in notes.items()},
    )


def _threshold(checkpoint: Checkpoint, criterion: str | float) -> Threshold | None:
    parsed = parse_criterion(criterion)
    if parsed.kind == "number":
        assert parsed.value is not None
        return Threshold(parsed.value)
    run = RunFolder(checkpoint.path.parent)
    data = f"validation frames of {_source_names(checkpoint)}"
    if checkpoint.path.name == run.best.name and run.validation_scores.exists():
        return Threshold(find_threshold(read_validation_scores(run), criterion), str(criterion), data)
    if parsed.kind != "eer":
        raise DataError(
            f"a threshold by {criterion} needs the validation scores that training writes beside the best "
            f"checkpoint, {run.validation_scores}; give a number, or set it with anrl calibrate",
            path=str(checkpoint.path),
        )
    value = checkpoint.progress.thresholds.get("frame")
    return None if value is None else Threshold(value, "eer", data)


def _source_names(checkpoint: Checkpoint) -> str:
    return ", ".join(source.name or Path(source.path).name for source in checkpoint.config.sources)


def _sha256(checkpoint: Checkpoint) -> str:
    with open(checkpoint.path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
