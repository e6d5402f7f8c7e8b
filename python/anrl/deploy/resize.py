"""Resizing of 8-bit images in numpy, bit for bit as OpenCV's INTER_LINEAR."""

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def resize_linear(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Resize an image (H, W, C) to (height, width, C) in 11-bit fixed point, without antialiasing."""
    columns, column_weights = _taps(image.shape[1], width, clamp_fraction=True)
    rows, row_weights = _taps(image.shape[0], height, clamp_fraction=False)
    result = np.zeros((height, width, image.shape[2]), np.int64)
    for row, row_weight in zip(rows, row_weights, strict=True):
        lines = image[row].astype(np.int64)
        left, right = (
            lines[:, column] * weight[:, None] for column, weight in zip(columns, column_weights, strict=True)
        )
        result += (row_weight[:, None, None] * ((left + right) >> 4)) >> 16
    return np.clip((result + 2) >> 2, 0, 255).astype(np.uint8)


def _taps(length: int, size: int, clamp_fraction: bool) -> tuple[tuple[Ints, Ints], tuple[Ints, Ints]]:
    """Indices and weights, of 2048, of the two pixels that each of ``size`` output pixels reads."""
    scale = 1.0 / (size / length)
    position = ((np.arange(size) + 0.5) * scale - 0.5).astype(np.float32)
    floor = np.floor(position)
    fraction = position - floor
    left = floor.astype(np.int64)
    if clamp_fraction:
        fraction = np.where((left < 0) | (left >= length - 1), np.float32(0), fraction)
        left = np.clip(left, 0, length - 1)
    first, second = (np.clip(left + side, 0, length - 1) for side in (0, 1))
    low, high = (np.rint(weight * 2048).astype(np.int64) for weight in (1 - fraction, fraction))
    return (first, second), (low, high)
