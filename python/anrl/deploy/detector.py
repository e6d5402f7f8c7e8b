"""Detectors: from a photograph to a score and a verdict, whatever the model's file."""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol, overload

import numpy as np
from numpy.typing import NDArray

from anrl.deploy.contract import Contract, Threshold
from anrl.deploy.crop import CropRule, Face, Region, box_region
from anrl.deploy.photographs import Photograph, flaw, read_photograph
from anrl.errors import DataError

FaceFinder = Callable[[NDArray[np.uint8]], Sequence[Face]]
"""A face detector: from an image, uint8 RGB (H, W, 3), to the faces in it."""

Where = Face | Sequence[float] | Literal["whole"]
"""A face, its box (left, top, right, bottom in pixels), or "whole": the image is the network's crop."""


@dataclass(frozen=True)
class Prediction:
    """The score of a face and what follows from it."""

    score: float
    """P(attack), in [0, 1]; NaN if no face was scored."""
    verdict: Literal["bona fide", "attack"] | None
    """"attack" if the score is at least the threshold; None for no verdict."""
    threshold: Threshold | None
    """The threshold and where it comes from."""
    reason: str | None = None
    """Why there is no verdict."""


class Network(Protocol):
    """A network together with its preprocessing."""

    def __call__(self, image: NDArray[np.uint8], region: Region) -> float:
        """Score a region of an image (H, W, 3): P(attack)."""


@dataclass(frozen=True)
class Member:
    """One of the networks whose scores a detector averages, and what it sees of an image."""

    network: Network
    crop: CropRule


class Detector:
    """A presentation attack detector. Scores are P(attack), whatever the model's own convention.

    :meth:`load` opens a model; :meth:`predict` judges photographs. A detector may be used by several threads
    at once.

    Args:
        members: The networks; their scores are averaged.
        contract: The threshold and the limits.
        find_faces: A face detector for images that come without a face's place.
    """

    def __init__(
        self, members: Sequence[Member], contract: Contract, find_faces: FaceFinder | None = None
    ) -> None:
        self.members = tuple(members)
        self.contract = contract
        self.find_faces = find_faces

    @classmethod
    def load(cls, path: str | os.PathLike[str], find_faces: FaceFinder | None = None) -> "Detector":
        """Load a model.

        Args:
            path: A file written by :func:`anrl.deploy.export` (``.onnx``), the description of another model
                (``.yaml``), a checkpoint (``.safetensors``), or the folder of a run. Only the last two import
                torch.
            find_faces: A face detector: from an image to its faces.

        Raises:
            DataError: the file is missing, damaged or of another kind, or a description does not fit its
                model.
            ConfigError: a package is missing.
        """
        path = Path(path)
        if not path.exists():
            raise DataError("there is no such file", path=str(path))
        if path.suffix in (".yaml", ".yml"):
            from anrl.deploy.foreign import load_description

            return cls(*load_description(path), find_faces)
        if path.suffix == ".onnx":
            from anrl.deploy.onnx_network import ExportedNetwork

            exported = ExportedNetwork(path)
            return cls([Member(exported, exported.contract.crop)], exported.contract, find_faces)
        from anrl.checkpoint import Checkpoint
        from anrl.deploy.deployed_network import CheckpointNetwork
        from anrl.evaluation import RunFolder

        checkpoint = Checkpoint.read(RunFolder(path).best if path.is_dir() else path)
        network = CheckpointNetwork(checkpoint)
        return cls([Member(network, network.contract.crop)], network.contract, find_faces)

    @property
    def threshold(self) -> Threshold | None:
        """The threshold of the verdicts."""
        return self.contract.threshold

    def with_threshold(self, threshold: Threshold | float) -> "Detector":
        """Make the same detector with another threshold."""
        chosen = threshold if isinstance(threshold, Threshold) else Threshold(threshold)
        return Detector(self.members, replace(self.contract, threshold=chosen), self.find_faces)

    @overload
    def predict(self, image: Photograph, where: Where | None = None) -> Prediction: ...
    @overload
    def predict(
        self, image: list[Any] | tuple[Any, ...], where: Sequence[Where | None] | None = None
    ) -> list[Prediction]: ...
    def predict(self, image: Any, where: Any = None) -> Prediction | list[Prediction]:
        """Judge one photograph, or each of a list.

        Args:
            image: A photograph: uint8 RGB (H, W, 3), an image of Pillow or a path; or a list of them.
            where: The face: a :class:`Face`, its box, or "whole" if the image is the crop that the network
                was trained on already; for a list of images, a list. By default the largest face that
                ``find_faces`` reports; without it, "whole" for networks that were trained on crops of any
                kind.

        Returns:
            The prediction, or a list of them.

        Raises:
            DataError: a photograph cannot be read.
            TypeError: ``image`` is no photograph.
            ValueError: the network crops around faces and none is given, or it lies outside the image.
        """
        if isinstance(image, list | tuple):
            places = [None] * len(image) if where is None else list(where)
            if len(places) != len(image):
                raise ValueError(f"where: {len(places)} places for {len(image)} images")
            return [self.predict(one, place) for one, place in zip(image, places, strict=True)]
        return self._judge(read_photograph(image), where)

    def _judge(self, image: NDArray[np.uint8], where: Where | None) -> Prediction:
        height, width, _ = image.shape
        whole = isinstance(where, str)
        if isinstance(where, str) and where != "whole":
            raise ValueError(f"where must be a face, a box or 'whole', not {where!r}")
        face = self._face(image, where)
        if face is None:
            return Prediction(math.nan, None, self.threshold, "no face")
        regions = [
            (0, 0, width, height) if whole else member.crop.region(face, width, height)
            for member in self.members
        ]
        scores = [member.network(image, region) for member, region in zip(self.members, regions, strict=True)]
        score = sum(scores) / len(scores)
        left, top, right, bottom = box_region(face.box, width, height)
        size = min(right - left, bottom - top)
        reason = flaw(image[top:bottom, left:right], size, self.contract.limits)
        if not math.isfinite(score):
            reason = "the network's output is not a finite number"
        elif reason is None and self.threshold is None:
            reason = "no threshold: set one with anrl calibrate, or give a number"
        if reason is not None or self.threshold is None:
            return Prediction(score, None, self.threshold, reason)
        verdict: Literal["bona fide", "attack"] = "attack" if score >= self.threshold.value else "bona fide"
        return Prediction(score, verdict, self.threshold)

    def _face(self, image: NDArray[np.uint8], where: Where | None) -> Face | None:
        height, width, _ = image.shape
        if isinstance(where, Face):
            return where
        if where is not None and not isinstance(where, str):
            return _face_of_box(where)
        if where is None and self.find_faces is not None:
            return max(self.find_faces(image), key=_area, default=None)
        if where is None and (rules := [m.crop.kind for m in self.members if m.crop.kind != "whole"]):
            raise ValueError(
                f"the network sees a crop around the face's {rules[0]}: give the face, or 'whole' if the "
                "image is such a crop already"
            )
        return Face((0, 0, width, height))


def _face_of_box(box: Sequence[float]) -> Face:
    sides = tuple(float(side) for side in box)
    if len(sides) != 4 or not all(map(math.isfinite, sides)):
        raise ValueError(f"a box has four numbers, left, top, right and bottom, not {tuple(box)}")
    left, top, right, bottom = sides
    if right <= left or bottom <= top:
        raise ValueError(f"a box is left, top, right, bottom, so that {tuple(box)} is empty")
    return Face((left, top, right, bottom))


def _area(face: Face) -> float:
    left, top, right, bottom = face.box
    return (right - left) * (bottom - top)
