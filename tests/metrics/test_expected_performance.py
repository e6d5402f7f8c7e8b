"""Expected performance curve: against the criterion at each weight."""

import numpy as np
import pytest

from anrl.metrics import expected_performance, find_threshold, hter
from support.scores import make


def test_each_weight_has_its_threshold_from_validation_data():
    draws = np.random.default_rng(0)
    label = np.repeat([0, 1], 50)
    validation, evaluation = (make(draws.normal(label * 1.5, 1), label) for _ in range(2))
    weights, errors = expected_performance(validation, evaluation)
    assert weights.tolist() == pytest.approx(np.arange(0, 1.001, 0.05).tolist())
    assert errors[10] == hter(evaluation, find_threshold(validation, "min-hter"))
    assert errors[10] < min(errors[0], errors[-1])
    for weight, error in zip(
        *expected_performance(validation, evaluation, np.array([0.2, 0.9])), strict=True
    ):
        accepted, rejected = validation.curves[1:]
        best = validation.counts[0][np.argmin(weight * accepted + (1 - weight) * rejected)]
        assert error == hter(evaluation, float(best))
    with pytest.raises(ValueError, match="both classes"):
        expected_performance(validation, make([0.1], [0]))
