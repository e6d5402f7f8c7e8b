"""Photographs as arrays, and what makes one unfit for a verdict."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from anrl.deploy.contract import Limits
from anrl.errors import DataError

Photograph = NDArray[np.uint8] | Image.Image | str | os.PathLike[str]
"""A photograph: uint8 RGB (H, W, 3), an image of Pillow, or the path of a file."""

_OVEREXPOSED = 250


def read_photograph(source: Any) -> NDArray[np.uint8]:
    """Read a photograph as uint8 RGB (H, W, 3), turned upright by its EXIF orientation.

    Raises:
        DataError: a file is missing, damaged or of a kind with more than 8 bits.
        TypeError: the array is not of type uint8, or ``source`` is something else.
        ValueError: the array is not (H, W, 3), or is empty.
    """
    if isinstance(source, str | os.PathLike):
        return _read_file(Path(source))
    if isinstance(source, Image.Image):
        return _to_rgb(source)
    if not isinstance(source, np.ndarray):
        raise TypeError(
            f"a photograph is a uint8 array (H, W, 3), an image of Pillow or a path, not {type(source)}"
        )
    if source.dtype != np.uint8:
        raise TypeError(f"a photograph has levels 0..255 of type uint8, not {source.dtype}")
    if source.ndim != 3 or source.shape[2] != 3 or source.size == 0:
        raise ValueError(f"a photograph is RGB, (H, W, 3), and not empty; this one is {source.shape}")
    return source


def _read_file(path: Path) -> NDArray[np.uint8]:
    try:
        with Image.open(path) as image:
            return _to_rgb(ImageOps.exif_transpose(image))
    except DataError as error:
        raise DataError(error.reason, path=str(path)) from None
    except UnidentifiedImageError:
        raise DataError("is no image that can be read", path=str(path)) from None
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", path=str(path)) from None
    except (SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"is no image that can be read ({error})", path=str(path)) from None


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith(("I", "F")):
        raise DataError("has more than 8 bits a pixel; convert it to 8-bit RGB")
    return np.asarray(image.convert("RGB"))


def flaw(face: NDArray[np.uint8], size: float, limits: Limits) -> str | None:
    """Find the reason why a face allows no verdict, if there is one.

    Args:
        face: The pixels of the face, (H, W, 3).
        size: The shortest side of its box in pixels.
        limits: The limits that it has to meet.
    """
    if size < limits.min_size:
        return f"too small: {size:.0f} pixels, and {limits.min_size:.0f} are needed"
    luma = face @ np.array([0.299, 0.587, 0.114], np.float32)
    if (brightness := float(luma.mean())) < limits.min_brightness:
        return f"too dark: mean brightness {brightness:.0f} of 255, and {limits.min_brightness:.0f} is needed"
    if (part := float((luma >= _OVEREXPOSED).mean())) > limits.max_overexposed:
        return (
            f"overexposed: {part:.0%} of the pixels are white, and {limits.max_overexposed:.0%} are allowed"
        )
    return None
