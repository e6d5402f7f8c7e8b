"""The transform of a sample to the network's input."""

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
    """Decoding, color conversion, augmentation, resizing and normalization, in Rust.

    The pixels are those of OpenCV 5 and albumentations 2.0.8; of decoding, see
    :func:`anrl.data.decode_image`.

    Called on one sample it is deterministic and takes the draws as arguments; in a loader the draws come from
    the loader's seed with the probabilities and ranges given here. What happens, in this order: decoding,
    cropping to the landmarks; random resized crop, brightness and contrast, blur, noise, JPEG compression,
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
    flip_prob: float = 0.5
    """Probability of a horizontal flip."""
    jitter_prob: float = 0.1
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
    """Smallest fraction of the image's area that a random resized crop keeps; 1 for none. Its sides differ by
    up to a third from the image's shape."""
    brightness_contrast_prob: float = 0.0
    """Probability of changing brightness and contrast."""
    brightness: float = 0.1
    """Largest change of the brightness, as a fraction of 255."""
    contrast: float = 0.2
    """Largest change of the contrast, whose factor is 1 without change."""
    blur_prob: float = 0.0
    """Probability of a Gaussian blur."""
    blur_sigma: float = 2.0
    """Largest standard deviation of the blur, in pixels of the stored image; at least 0.1."""
    noise_prob: float = 0.0
    """Probability of adding (about) Gaussian noise."""
    noise_std: float = 10.0
    """Largest standard deviation of the noise, of 255."""
    jpeg_prob: float = 0.0
    """Probability of JPEG compression (OpenCV's, halved chroma)."""
    jpeg_quality: float = 30
    """Lowest quality of the compression, 1 to 100; the highest is 100."""
    cutout_prob: float = 0.0
    """Probability of making a part of the image black."""
    cutout_area: float = 0.2
    """Largest fraction of the image's area that a cutout takes."""
    output: Literal["float32", "uint8"] = "float32"
    """Normalized float32, or the 8-bit levels, a quarter of the memory, for :meth:`normalize` to scale where
    the network runs."""

    def __post_init__(self) -> None:
        """Check the arguments.

        Raises:
            ValueError: an argument is out of range; the message names it.
        """
        for name in ("mean", "std"):
            if not isinstance(value := getattr(self, name), int | float):
                object.__setattr__(self, name, tuple(float(v) for v in value))
        self.core  # noqa: B018  # checks all arguments

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
        return _anrl.Transform(self)

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
        brightness_contrast: tuple[float, float] | None = None,
        blur: float | None = None,
        noise: tuple[float, int] | None = None,
        jpeg: int | None = None,
        cutout: Region | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Transform one sample.

        Args:
            image: A JPEG or PNG file.
            depth: The depth map's file.
            label: 0 = bona fide, 1 = attack; an attack's depth is zero and is not decoded.
            landmarks: x1 y1 … x5 y5 in pixels.
            flip: Whether to mirror.
            jitter: Shifts of hue, saturation and value.
            crop: The part to keep: left, top, width and height in fractions of the image's sides.
            brightness_contrast: The addend, as a fraction of 255, and the factor of the contrast.
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
            image, depth, landmarks, flip, jitter, crop, brightness_contrast, blur, noise, jpeg, cutout
        )
        return torch.from_numpy(image_out), torch.from_numpy(depth_out)
