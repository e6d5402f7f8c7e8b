"""Base class of the classical methods: features of each frame, a linear classifier, scores."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anrl.data import Domain, Transform, evaluation_batches

Floats = NDArray[np.float64]


class ClassicalMethod(ABC):
    """A classifier of hand-made features, trained on source domains."""

    size = 64
    """Side of the images that features are made of, in pixels."""

    def __init__(self, sources: Sequence[Domain]) -> None:
        """Fit to all frames of the sources."""
        from sklearn.pipeline import make_pipeline  # takes a second to import
        from sklearn.preprocessing import StandardScaler

        self._model = make_pipeline(StandardScaler(), self.classifier())
        self._model.fit(
            np.concatenate([self._features(d) for d in sources]), np.concatenate([d.labels for d in sources])
        )

    @abstractmethod
    def features(self, image: NDArray[np.uint8]) -> Floats:
        """(S, S, 3), RGB → (F,)."""

    def classifier(self) -> Any:
        """A linear support vector machine."""
        from sklearn.svm import LinearSVC

        return LinearSVC(C=0.01, class_weight="balanced", random_state=0)

    def score(self, domain: Domain) -> Floats:
        """Score the frames of a domain, (N,): the logistic function of the distance from the hyperplane."""
        distance = self._model.decision_function(self._features(domain))
        scores: Floats = 1 / (1 + np.exp(-distance))
        return scores

    def _features(self, domain: Domain) -> Floats:
        transform = Transform(image_size=self.size, color="rgb", output="uint8")
        rows = [
            self.features(image)
            for batch in evaluation_batches(domain, 32, transform)
            for image in batch.image.permute(0, 2, 3, 1).numpy()
        ]
        return np.stack(rows)
