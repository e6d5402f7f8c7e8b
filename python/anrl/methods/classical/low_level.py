"""Logistic regression on brightness, contrast and color statistics.

Not a serious detector: a check of a benchmark. If it does well on a domain that it has not seen, attacks can
be told by cues that have nothing to do with how they are made.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from anrl.methods.classical.base import ClassicalMethod, Floats


class LowLevelStatistics(ClassicalMethod):
    """Mean and variance of red, green, blue and the saturation: 8 features."""

    def features(self, image: NDArray[np.uint8]) -> Floats:
        """(S, S, 3), RGB → (8,)."""
        pixels = image.reshape(-1, 3) / 255.0
        brightest = pixels.max(1)
        saturation = (brightest - pixels.min(1)) / np.maximum(brightest, 1 / 255)
        return np.array([*pixels.mean(0), *pixels.var(0), saturation.mean(), saturation.var()])

    def classifier(self) -> Any:
        """Logistic regression."""
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(max_iter=1000)
