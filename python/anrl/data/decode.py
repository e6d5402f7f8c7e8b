"""Decoding of image files to arrays."""

from pathlib import Path

import numpy as np
import torch  # noqa: F401  # the extension needs torch's libraries
from numpy.typing import NDArray

from anrl import _anrl
from anrl.errors import DataError


def decode_image(content: bytes | str | Path, gray: bool = False) -> NDArray[np.uint8]:
    """Decode a JPEG or PNG file, or the raw pixels of a pack, as a loader with ``decoder="fast"`` does.

    Args:
        content: The bytes of the file, or its path.
        gray: Whether to decode to one channel, as depth maps are; otherwise to RGB.

    Returns:
        (H, W, 3), or (H, W, 1) if ``gray``; uint8, turned upright by the EXIF orientation.

    Raises:
        DataError: the file cannot be read, or is no whole image.
    """
    if isinstance(content, bytes):
        return _anrl.decode_image(content, gray)
    try:
        return _anrl.decode_image(Path(content).read_bytes(), gray)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", path=str(content)) from None
    except DataError as error:
        raise DataError(error.reason, path=str(content)) from None
