"""How a sample becomes the network's input."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from anrl import _anrl

Region = tuple[float, float, float, float]


@dataclass(frozen=True)
class Transform:
    """Decoding, colour conversion, augmentation, resizing and normalization, in Rust.

    After decoding, the pixels are those of OpenCV 5 and albumentations 2.0.8; with ``decoder="exact"`` the
    decoded ones are too.

    Called on one sample it is deterministic and takes the draws as arguments; in a loader the draws come from
    the loader's seed with the probabilities and ranges given here. What happens, in this order: decoding,
    cropping to the landmarks; random resized crop, contrast and brightness, blur, noise, JPEG compression,
    cutout (off by default, on RGB before HSV is computed); shifts of hue, saturation and value; flip;
    resizing; normalization.
    """

    image_size: int = 256
    """Side S of the square output in pixels."""
    color: Literal["rgb_hsv", "rgb", "hsv"] = "rgb_hsv"
    """Channels of the output. HSV is OpenCV's 8-bit convention (H 0..179)."""
    mean: Any = 0.5
    """Subtracted from every channel, as a fraction of 255: one number, or a list of one for each channel."""
    std: Any = 0.5
    """Divides every channel, as ``mean`` is subtracted."""
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
    crop_area: float = 1.0
    """Smallest share of the image's area that a random resized crop keeps; 1 for none. Its sides differ by up
    to a third from the image's shape."""
    linear: float = 0.0
    """Probability of changing contrast and brightness."""
    contrast: float = 0.2
    """Largest change of the contrast, of 1."""
    brightness: float = 0.1
    """Largest change of the brightness, of 255."""
    blur: float = 0.0
    """Probability of a Gaussian blur."""
    blur_sigma: float = 2.0
    """Its largest standard deviation, in pixels of the stored image; at least 0.1."""
    noise: float = 0.0
    """Probability of adding (about) Gaussian noise."""
    noise_std: float = 10.0
    """Its largest standard deviation, of 255."""
    jpeg: float = 0.0
    """Probability of compressing (OpenCV's JPEG, halved chroma)."""
    jpeg_quality: float = 30
    """The lowest quality, 1 to 100; the highest is 100."""
    cutout: float = 0.0
    """Probability of making a part of the image black."""
    cutout_area: float = 0.2
    """The largest share of the image's area that it takes."""
    output: Literal["float32", "uint8"] = "float32"
    """Normalized float32, or the 8-bit levels, a quarter of the memory, for :meth:`normalize` to scale where
    the network runs."""
    decoder: Literal["fast", "exact"] = "fast"
    """How JPEG files are decoded: "fast" in Rust, at most 6 levels from libjpeg-turbo's pixels, or "exact" by
    libjpeg-turbo, byte for byte as OpenCV; 3 times slower where ``nasm`` was missing when anrl was built. PNG
    files are exact always."""

    def __post_init__(self) -> None:
        """Checks the arguments.

        Raises:
            ValueError: an argument is out of range; the message names it.
        """
        if self.image_size < 8 or self.image_size % 8:
            raise ValueError(f"image_size must be a positive multiple of 8, not {self.image_size}")
        for name in ("flip", "jitter", "linear", "blur", "noise", "jpeg", "cutout"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be a probability in [0, 1], not {getattr(self, name)}")
        for name in ("hue", "saturation", "value", "contrast", "brightness", "noise_std"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be a number from 0, not {getattr(self, name)}")
        for name in ("crop_area", "cutout_area"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} must be a share in (0, 1], not {getattr(self, name)}")
        if not 0.1 <= self.blur_sigma <= 50:
            raise ValueError(f"blur_sigma must be from 0.1 to 50 pixels, not {self.blur_sigma}")
        if not 1 <= self.jpeg_quality <= 100:
            raise ValueError(f"jpeg_quality must be from 1 to 100, not {self.jpeg_quality}")
        for name in ("mean", "std"):
            if not isinstance(value := getattr(self, name), int | float):
                object.__setattr__(self, name, tuple(float(v) for v in value))
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
            self._per_channel(self.mean),
            self._per_channel(self.std),
            self.hsv == "consistent",
            self.crop_margin,
            self.output,
            self.decoder,
        )

    def _per_channel(self, values: float | Sequence[float]) -> list[float]:
        return [values] * self.channels if isinstance(values, int | float) else list(values)

    def normalize(self, levels: Tensor) -> Tensor:
        """The float32 image of 8-bit levels (…, channels, S, S), on any device.

        It is what ``output="float32"`` gives, to the bit. Images that are float32 already stay as they are.
        """
        if levels.is_floating_point():
            return levels
        mean, std = (
            torch.tensor(self._per_channel(v), device=levels.device)[:, None, None]
            for v in (self.mean, self.std)
        )
        return (levels.float() - mean * 255) * (1 / (std * 255))

    def __call__(
        self,
        image: bytes,
        depth: bytes | None = None,
        *,
        label: int = 0,
        landmarks: list[float] | None = None,
        flip: bool = False,
        jitter: tuple[float, float, float] | None = None,
        crop: Region | None = None,
        linear: tuple[float, float] | None = None,
        blur: float | None = None,
        noise: tuple[float, int] | None = None,
        jpeg: int | None = None,
        cutout: Region | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Transforms one sample.

        Args:
            image: A JPEG or PNG file.
            depth: The depth map's file.
            label: 0 = bona fide, 1 = attack; an attack's depth is zero and is not decoded.
            landmarks: x1 y1 … x5 y5 in pixels.
            flip: Whether to mirror.
            jitter: Shifts of hue, saturation and value.
            crop: The part to keep: left, top, width and height in fractions of the image's sides.
            linear: Contrast, and what is added to the brightness, of 255.
            blur: Standard deviation in pixels.
            noise: Standard deviation, of 255, and a seed.
            jpeg: Quality to compress to, 1 to 100.
            cutout: The part to make black, as for ``crop``.

        Returns:
            Image (channels, S, S), float32 or uint8, and depth (D, D) in [0, 1], float32.

        Raises:
            DataError: an image cannot be decoded, or a crop lacks landmarks.
        """
        depth = None if label == 1 else depth
        image_out, depth_out = self.core.apply(
            image, depth, landmarks, flip, jitter, crop, linear, blur, noise, jpeg, cutout
        )
        return torch.from_numpy(image_out), torch.from_numpy(depth_out)
