"""Local binary patterns and a linear support vector machine: what detectors were before networks."""

import numpy as np
from numpy.typing import NDArray

from anrl.methods.classical.base import ClassicalMethod, Floats


class MultiScaleLBP(ClassicalMethod):
    """Local binary patterns of the gray image at three scales: 833 features.

    Histograms of uniform patterns: 8 neighbors at radius 1 in 3 x 3 overlapping blocks, 8 and 16 at radius 2
    in the whole image. (The paper's classifier is not linear.)
    """

    def features(self, image: NDArray[np.uint8]) -> Floats:
        """(S, S, 3), RGB → (833,)."""
        from skimage.color import rgb2gray

        gray = np.round(rgb2gray(image) * 255).astype(np.uint8)
        fine = _patterns(gray, 8, 1)
        side, step = len(fine) // 2, len(fine) // 4
        blocks = [
            _histogram(fine[y : y + side, x : x + side], 8)
            for y in (0, step, 2 * step)
            for x in (0, step, 2 * step)
        ]
        return np.concatenate([*blocks, *(_histogram(_patterns(gray, n, 2), n) for n in (8, 16))])


class ColorTexture(ClassicalMethod):
    """Local binary patterns of every channel of HSV and YCbCr: 354 features.

    Histograms of uniform patterns, 8 neighbors at radius 1.
    """

    def features(self, image: NDArray[np.uint8]) -> Floats:
        """(S, S, 3), RGB → (354,)."""
        from skimage.color import rgb2hsv, rgb2ycbcr

        planes = np.concatenate([rgb2hsv(image) * 255, rgb2ycbcr(image)], 2).round().astype(np.uint8)
        return np.concatenate([_histogram(_patterns(plane, 8, 1), 8) for plane in np.moveaxis(planes, 2, 0)])


def _patterns(plane: NDArray[np.uint8], neighbors: int, radius: int) -> NDArray[np.int64]:
    from skimage.feature import local_binary_pattern

    codes: Floats = local_binary_pattern(plane, neighbors, radius, "nri_uniform")  # type: ignore[no-untyped-call]  # skimage's
    return codes.astype(np.int64)


def _histogram(patterns: NDArray[np.int64], neighbors: int) -> Floats:
    bins = neighbors * (neighbors - 1) + 3
    return np.bincount(patterns.ravel(), minlength=bins) / patterns.size
