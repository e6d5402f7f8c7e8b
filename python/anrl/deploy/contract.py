"""What a model file promises beside its weights: threshold, limits of the input, crop; as plain strings."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from anrl.deploy.crop import CropRule
from anrl.errors import DataError

FORMAT = "anrl-deploy-1"
CLASSES = "bona fide, attack"
POLARITY = "score = P(attack): higher for attacks"


@dataclass(frozen=True)
class Threshold:
    """A decision threshold and where it comes from."""

    value: float
    """A score of at least this is an attack."""
    criterion: str = "number"
    """The rule that set it, as :func:`anrl.metrics.find_threshold` takes it; "number" if it was given."""
    data: str = "none"
    """The data that it was set on."""

    def __post_init__(self) -> None:
        """Check the value.

        Raises:
            ValueError: it is not finite.
        """
        if not math.isfinite(self.value):
            raise ValueError(f"a threshold must be a finite number, not {self.value}")

    def __str__(self) -> str:
        """The value and its source, for people."""
        if self.criterion == "number":
            return f"{self.value:.4g} (given as a number)"
        return f"{self.value:.4g} ({self.criterion} on {self.data})"


@dataclass(frozen=True)
class Limits:
    """Limits of the face that a verdict needs; outside them there is a reason instead."""

    min_size: float = 48
    """Shortest side of the face's box in pixels."""
    min_brightness: float = 30
    """Lowest mean luma of the face, of 255."""
    max_overexposed: float = 0.25
    """Largest fraction of the face's pixels with a luma of at least 250."""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: one is not a number of at least zero.
        """
        for part in fields(self):
            value = getattr(self, part.name)
            if not isinstance(value, int | float) or not value >= 0:
                raise ValueError(f"{part.name} must be a number of at least 0, not {value!r}")


@dataclass(frozen=True)
class Contract:
    """Everything that a detector needs to know of its model but the weights."""

    threshold: Threshold | None = None
    limits: Limits = field(default_factory=Limits)
    crop: CropRule = field(default_factory=CropRule)
    notes: Mapping[str, str] = field(default_factory=dict)
    """Further entries of an exported file: versions, color order, checksum of the checkpoint and so on."""


def to_metadata(contract: Contract) -> dict[str, str]:
    """Write a contract as strings for the metadata of a model file."""
    metadata = {
        "anrl.format": FORMAT,
        "anrl.classes": CLASSES,
        "anrl.polarity": POLARITY,
        "anrl.crop.rule": contract.crop.kind,
        "anrl.crop.margin": repr(float(contract.crop.margin)),
    }
    metadata |= {
        f"anrl.limits.{part.name}": repr(float(getattr(contract.limits, part.name)))
        for part in fields(Limits)
    }
    metadata |= {f"anrl.{key}": value for key, value in contract.notes.items()}
    return metadata | threshold_metadata(contract.threshold)


def threshold_metadata(threshold: Threshold | None) -> dict[str, str]:
    """The entries of a threshold, empty strings for none."""
    return {
        "anrl.threshold": "" if threshold is None else repr(float(threshold.value)),
        "anrl.threshold.criterion": "" if threshold is None else threshold.criterion,
        "anrl.threshold.data": "" if threshold is None else threshold.data,
    }


def from_metadata(metadata: Mapping[str, str], path: str) -> Contract:
    """Read a contract from the metadata of a model file.

    Raises:
        DataError: the file was not exported by anrl, by another version, or its metadata are damaged.
    """
    version = metadata.get("anrl.format")
    if version is None:
        raise DataError(
            "an ONNX file, but not one that anrl exported; describe it in a YAML file (see "
            "anrl.deploy.shipped_descriptions()) and load that",
            path=path,
        )
    if version != FORMAT:
        raise DataError(
            f"exported in the format {version}, and this anrl reads {FORMAT}; export the checkpoint again",
            path=path,
        )
    entries: dict[str, Any] = {key.removeprefix("anrl."): value for key, value in metadata.items()}
    try:
        if entries["classes"] != CLASSES or entries["polarity"] != POLARITY:
            raise ValueError(f"classes {entries['classes']!r} or polarity {entries['polarity']!r} unknown")
        threshold = None
        if value := entries.pop("threshold"):
            origin = entries["threshold.criterion"], entries["threshold.data"]
            threshold = Threshold(float(value), *origin)
        limits = Limits(**{part.name: float(entries.pop(f"limits.{part.name}")) for part in fields(Limits)})
        crop = CropRule(entries.pop("crop.rule"), float(entries.pop("crop.margin")))
    except (KeyError, ValueError) as error:
        raise DataError(
            f"its metadata are damaged ({error}); export the checkpoint again", path=path
        ) from None
    known = ("format", "classes", "polarity", "threshold.criterion", "threshold.data")
    return Contract(threshold, limits, crop, {k: v for k, v in entries.items() if k not in known})
