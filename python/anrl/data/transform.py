"""How a sample becomes the network's input."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from anrl import _anrl


@dataclass(frozen=True)
class Transform:
    """Decoding, colour conversion, augmentation, resizing and normalization, in Rust.

    After decoding, the pixels are those of OpenCV 5 and albumentations 2.0.8. The decoder is pure Rust:
    PNG is exact, JPEG differs from libjpeg-turbo by a few levels (see the README).

    Called on one sample it is deterministic and takes the draws as arguments; in a loader the draws come from
    the loader's seed with the probabilities and ranges given here.
    """

    image_size: int = 256
    """Side S of the square output in pixels."""
    color: Literal["rgb_hsv", "rgb", "hsv"] = "rgb_hsv"
    """Channels of the output. HSV is OpenCV's 8-bit convention (H 0..179)."""
    mean: float = 0.5
    """Subtracted from every channel, as a fraction of 255."""
    std: float = 0.5
    """Divides every channel, as a fraction of 255."""
    flip: float = 0.5
    """Probability of a horizontal flip."""
    jitter: float = 0.1
    """Probability of shifting hue, saturation and value."""
    hue: float = 20
    """Largest shift of the hue, of 180."""
    saturation: float = 30
    """Largest shift of the saturation, of 255."""
    value: float = 20
    """Largest shift of the value, of 255."""
    crop_margin: float | None = None
    """If given, crops to the square around the landmarks, widened by this fraction of its side."""
    depth_size: int | None = None
    """Side D of the depth map; by default S / 8, the network's."""
    hsv: Literal["compat", "consistent"] = "compat"
    """Whether the HSV half ignores the jitter, as in the official code, or follows it."""
    output: Literal["float32", "uint8"] = "float32"
    """Normalized float32, or the 8-bit levels, a quarter of the memory, for :meth:`normalize` to scale where
    the network runs."""

    def __post_init__(self) -> None:
        """Checks the arguments.

        Raises:
            ValueError: an argument is out of range; the message names it.
        """
        if self.image_size < 8 or self.image_size % 8:
            raise ValueError(f"image_size must be a positive multiple of 8, not {self.image_size}")
        for name in ("flip", "jitter"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be a probability in [0, 1], not {getattr(self, name)}")
        if self.hsv not in ("compat", "consistent"):
            raise ValueError(f"hsv must be 'compat' or 'consistent', not {self.hsv!r}")
        self.core  # noqa: B018  # checks the rest

    def __getstate__(self) -> dict[str, Any]:
        """Without the Rust object."""
        return {k: v for k, v in self.__dict__.items() if k != "core"}

    @property
    def channels(self) -> int:
        """Channels of the output image."""
        return 6 if self.color == "rgb_hsv" else 3

    @cached_property
    def core(self) -> _anrl.Transform:
        """The Rust object that does the work."""
        depth_size = self.image_size // 8 if self.depth_size is None else self.depth_size
        return _anrl.Transform(
            self.image_size,
            depth_size,
            self.color,
            [self.mean] * self.channels,
            [self.std] * self.channels,
            self.hsv == "consistent",
            self.crop_margin,
            self.output,
        )

    def normalize(self, levels: Tensor) -> Tensor:
        """The float32 image of 8-bit levels, on any device: what ``output="float32"`` gives, to the bit.

        Images that are float32 already stay as they are.
        """
        if levels.is_floating_point():
            return levels
        mean, std, full = np.float32(self.mean), np.float32(self.std), np.float32(255)
        return (levels.float() - float(mean * full)) * float(1 / (std * full))

    def __call__(
        self,
        image: bytes,
        depth: bytes | None = None,
        *,
        label: int = 0,
        landmarks: list[float] | None = None,
        flip: bool = False,
        jitter: tuple[float, float, float] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Transforms one sample.

        Args:
            image: A JPEG or PNG file.
            depth: The depth map's file.
            label: 0 = bona fide, 1 = attack; an attack's depth is zero and is not decoded.
            landmarks: x1 y1 … x5 y5 in pixels.
            flip: Whether to mirror.
            jitter: Shifts of hue, saturation and value.

        Returns:
            Image (channels, S, S), float32 or uint8, and depth (D, D) in [0, 1], float32.

        Raises:
            DataError: an image cannot be decoded, or a crop lacks landmarks.
        """
        image_out, depth_out = self.core.apply(image, None if label == 1 else depth, landmarks, flip, jitter)
        return torch.from_numpy(image_out), torch.from_numpy(depth_out)
