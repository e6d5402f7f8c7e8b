"""Cllr: by hand, and the lowest that a calibration reaches."""

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from anrl.metrics import cllr, min_cllr
from support.scores import make


def test_scores_that_say_nothing_cost_a_bit():
    scores = make([0.0, 0.0, 0.0], [0, 0, 1])
    assert cllr(scores) == pytest.approx(1) and min_cllr(scores) == pytest.approx(1)


def test_cllr_is_the_mean_cost_in_bits():
    scores = make([np.log(3), -np.log(3), np.log(7)], [0, 0, 1])
    expected = ((np.log2(4) + np.log2(4 / 3)) / 2 + np.log2(8 / 7)) / 2
    assert cllr(scores) == pytest.approx(expected)


def test_the_lowest_cost_is_that_of_isotonic_regression():
    draws = np.random.default_rng(0)
    label = draws.integers(0, 2, 400)
    scores = make(np.round(draws.normal(label * 1.5, 1), 1), label)
    # Classes of equal weight, as Cllr is of none of the two more than of the other.
    weight = np.where(label, 0.5 / label.sum(), 0.5 / (1 - label).sum())
    p = IsotonicRegression(y_min=0, y_max=1).fit_transform(scores.score, label, sample_weight=weight)
    cost = np.where(label, -np.log2(np.clip(p, 1e-300, 1)), -np.log2(np.clip(1 - p, 1e-300, 1)))
    assert min_cllr(scores) == pytest.approx((cost * weight).sum())
    assert min_cllr(scores) < cllr(scores)
    assert min_cllr(make(np.exp(scores.score), label)) == pytest.approx(min_cllr(scores))
    assert min_cllr(make([0, 1, 2, 3], [0, 0, 1, 1])) == 0
    assert min_cllr(make([0, 1, 2, 3], [1, 1, 0, 0])) == pytest.approx(1)


@pytest.mark.parametrize("metric", [cllr, min_cllr])
def test_one_class_has_no_cost(metric):
    with pytest.raises(ValueError, match="there is no attack"):
        metric(make([0.0], [0]))
