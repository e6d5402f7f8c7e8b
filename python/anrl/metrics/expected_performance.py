"""Expected performance curve: the error to expect for every weight of the two errors."""

import numpy as np

from anrl.metrics.rates import rates
from anrl.metrics.scores import Floats, Scores
from anrl.metrics.thresholds import find_threshold


def expected_performance(
    validation: Scores, evaluation: Scores, weights: Floats | None = None
) -> tuple[Floats, Floats]:
    """Expected performance curve (EPC): HTER at thresholds that validation data set for each weight.

    For every weight X of attacks accepted the threshold is that of the criterion "min-wer@X"; see
    :func:`anrl.metrics.find_threshold`. Bengio, Mariéthoz & Keller, "The Expected Performance Curve", 2005.

    Args:
        validation: Scores that set the thresholds.
        evaluation: Scores to judge.
        weights: (W,) in [0, 1]; 0, 0.05, … 1 by default.

    Returns:
        The weights and, at each, the HTER of the evaluated scores: (W,) each.

    Raises:
        ValueError: a class has no samples in one of the two.
    """
    evaluation.need_both_classes()
    weights = np.linspace(0, 1, 21) if weights is None else np.asarray(weights, np.float64)
    thresholds = [find_threshold(validation, f"min-wer@{weight}") for weight in weights.tolist()]
    return weights, np.array([rates(evaluation, threshold).hter for threshold in thresholds])
