"""Faces, and the part of an image around a face that a network was trained on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

Region = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; right and bottom exclusive."""

CROPS = ("whole", "box", "landmarks")


class Face(NamedTuple):
    """A face in an image, as a face detector reports it."""

    box: tuple[float, float, float, float]
    """Left, top, right, bottom in pixels."""
    landmarks: tuple[float, ...] | None = None
    """x1 y1 … x5 y5 in pixels."""

    @classmethod
    def from_landmarks(cls, landmarks: Sequence[float]) -> "Face":
        """A face of which only the landmarks are known; its box is theirs."""
        x, y = landmarks[::2], landmarks[1::2]
        return cls((min(x), min(y), max(x), max(y)), tuple(landmarks))


@dataclass(frozen=True)
class CropRule:
    """The part of an image that a network sees."""

    kind: Literal["whole", "box", "landmarks"] = "whole"
    """"whole": the image is the crop, or the face's box is. "box": the box, ``margin`` times as large (less
    where the image is smaller), moved into the image, as Silent-Face crops. "landmarks": the square around
    the landmarks, widened by the fraction ``margin`` of its side and cut to the image, as
    ``Transform.crop_margin`` does."""
    margin: float = 0.0

    def __post_init__(self) -> None:
        """Check the rule.

        Raises:
            ValueError: there is no such rule, or the margin does not fit it.
        """
        if self.kind not in CROPS:
            raise ValueError(f"crop must be one of {', '.join(CROPS)}, not {self.kind!r}")
        least = 1 if self.kind == "box" else 0
        if not least <= self.margin < math.inf:
            raise ValueError(f"margin must be a number of at least {least}, not {self.margin!r}")

    def region(self, face: Face, width: int, height: int) -> Region:
        """Compute the region to keep of an image.

        Raises:
            ValueError: the rule needs landmarks, and the face has none, or they lie outside the image.
        """
        if self.kind == "whole":
            return box_region(face.box, width, height)
        if self.kind == "box":
            return _enlarged(face.box, self.margin, width, height)
        if face.landmarks is None:
            raise ValueError("the model was trained on crops around five landmarks, and the face has none")
        return _around(face.landmarks, self.margin, width, height)


def box_region(box: Sequence[float], width: int, height: int) -> Region:
    """Round a box to pixels and cut it to an image; at least one pixel is left.

    Raises:
        ValueError: the box lies outside the image.
    """
    left, top, right, bottom = (round(float(side)) for side in box)
    if left >= width or top >= height or right <= 0 or bottom <= 0:
        raise ValueError(f"the box {tuple(box)} lies outside the image of {width} x {height} pixels")
    left, top = max(left, 0), max(top, 0)
    return left, top, min(max(right, left + 1), width), min(max(bottom, top + 1), height)


def _enlarged(box: Sequence[float], margin: float, width: int, height: int) -> Region:
    """The box ``margin`` times as large around its center, moved into the image; its last pixel inclusive."""
    left, top, right, bottom = box_region(box, width, height)
    sides, limits = (right - left, bottom - top), (width - 1, height - 1)
    factor = min(margin, *(limit / side for side, limit in zip(sides, limits, strict=True)))

    def span(start: int, side: int, limit: int) -> tuple[int, int]:
        low, high = (start + side / 2 + sign * side * factor / 2 for sign in (-1, 1))
        move = max(0.0, -low) - max(0.0, high - limit)
        # Rounding may leave a bound a hair below zero.
        return int(max(low + move, 0)), int(min(high + move, limit)) + 1

    (first, last), (upper, lower) = map(span, (left, top), sides, limits)
    return first, upper, last, lower


def _around(landmarks: Sequence[float], margin: float, width: int, height: int) -> Region:
    x, y = landmarks[::2], landmarks[1::2]
    side = max(max(x) - min(x), max(y) - min(y))
    more = math.trunc(side * margin / 2)

    def span(low: float, limit: int) -> tuple[int, int]:
        return (
            int(min(max(low - more, 0.0), float(limit))),
            int(min(max(low + side + more, 0.0), float(limit))),
        )

    (left, right), (top, bottom) = span(min(x), width), span(min(y), height)
    if right <= left or bottom <= top:
        raise ValueError("the landmarks lie outside the image")
    return left, top, right, bottom
