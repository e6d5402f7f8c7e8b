"""Decoding of image files to arrays."""

from pathlib import Path

import numpy as np
import torch  # noqa: F401  # the extension needs torch's libraries
from numpy.typing import NDArray

from anrl import _anrl
from anrl.errors import DataError


def decode_image(content: bytes | str | Path, gray: bool = False) -> NDArray[np.uint8]:
    """Decode a JPEG or PNG file, or the raw pixels of a pack, to the pixels of OpenCV 5, byte for byte.

    JPEG files of every kind that OpenCV reads, but for lossless ones: baseline, progressive or arithmetic,
    in one or several scans, of any chroma subsampling, gray, CMYK and YCCK too. Bytes too many before a
    marker, or a missing end marker after complete data, are no fault (OpenCV refuses the latter). A file
    that lacks data or was damaged is an error, where OpenCV invents pixels: where libjpeg-turbo warns of
    the code, where a scan is missing, or where more than a few bytes of a scan are left over.

    PNG files of every kind: palettes are expanded, alpha is dropped, gamma and color profiles change
    nothing; of an animation it is the default image, which every reader shows (OpenCV takes the first frame
    where the two differ, and rounds 16-bit animations otherwise).

    One channel is exact for gray files of 1, 2, 4 and 8 bits, with alpha or a gray palette, and for color
    files whose channels are equal. Other colors become luma with OpenCV's weights, but for PNG files with a
    gamma, which OpenCV applies. A gray PNG of 1, 2 or 4 bits is stretched to 0..255. 16 bits, depth in
    millimetres for example, are refused: which levels they are to become only their owner knows. In RGB of
    16 bits the upper 8 stay.

    Args:
        content: The bytes of the file, or its path.
        gray: Whether to decode to one channel, as loaders decode depth maps; otherwise to RGB.

    Returns:
        (H, W, 3), or (H, W, 1) if ``gray``; uint8, turned upright by the EXIF orientation.

    Raises:
        DataError: the file cannot be read, is no whole image, has more than 16,384 pixels a side, or is of
            another format, which the message names.
    """
    if isinstance(content, bytes):
        return _anrl.decode_image(content, gray)
    try:
        return _anrl.decode_image(Path(content).read_bytes(), gray)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", path=str(content)) from None
    except DataError as error:
        raise DataError(error.reason, path=str(content)) from None
