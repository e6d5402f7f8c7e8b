"""Logistic regression on brightness, contrast and colour statistics.

Not a serious detector: a check of a benchmark. If it does well on a domain that it has not seen, attacks can
be told by cues that have nothing to do with how they are made.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from anrl import _anrl
from anrl.data import Domain
from anrl.evaluate import scores_of
from anrl.metrics import Scores


def statistics(domain: Domain) -> NDArray[np.float64]:
    """(N, 8): mean and variance of red, green and blue, mean and variance of the saturation."""
    pack = _anrl.Pack(str(domain.path))
    rows = []
    for record in domain.records:
        content = pack.get(record.path)
        assert content is not None  # Domain.open found it
        pixels = _anrl.decode(content).reshape(-1, 3) / 255.0
        brightest = pixels.max(1)
        saturation = (brightest - pixels.min(1)) / np.maximum(brightest, 1 / 255)
        rows.append([*pixels.mean(0), *pixels.var(0), saturation.mean(), saturation.var()])
    return np.array(rows)


class LowLevelStatistics:
    """The classifier, trained on source domains."""

    def __init__(self, sources: Sequence[Domain]) -> None:
        """Trains on all frames of the sources."""
        from sklearn.linear_model import LogisticRegression  # these take a second to import
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        self._model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        self._model.fit(
            np.concatenate([statistics(d) for d in sources]), np.concatenate([d.labels for d in sources])
        )

    def score(self, domain: Domain) -> Scores:
        """Scores the frames of a domain."""
        return scores_of(domain, self._model.predict_proba(statistics(domain))[:, 1])
