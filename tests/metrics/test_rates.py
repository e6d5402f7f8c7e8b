"""Error rates, AUC and exact intervals: by hand, against sklearn, and properties of any scores."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from sklearn.metrics import precision_recall_fscore_support, roc_auc_score

from anrl.metrics import (
    Proportion,
    acer,
    apcer,
    auc,
    bpcer,
    eer,
    failures_included,
    hter,
    non_response_rates,
    rates,
    riapar,
)
from support.scores import make


def test_hand_computed_rates():
    scores = make(
        [0.1, 0.2, 0.6, 0.3, 0.9, 0.8, 0.7, 0.4],
        [0, 0, 0, 0, 1, 1, 1, 1],
        attack=["", "", "", "", "print", "print", "replay", "replay"],
    )
    at = rates(scores, 0.5)
    assert at.apcer_by_attack == {"print": 0.0, "replay": 0.5}
    assert (at.apcer, at.bpcer, at.acer, at.hter) == (0.5, 0.25, 0.375, 0.25)
    assert at.worst_attack == "replay" and at.accuracy == 0.75
    assert (
        str(at.accepted_by_attack["replay"]) == "50.0 % (1/2)" and str(at.accepted_attacks) == "25.0 % (1/4)"
    )
    assert rates(scores, 0.6).bpcer == 0.25  # a score at the threshold is an attack
    assert eer(scores)[0] == 0.25
    assert auc(scores) == 15 / 16


def test_rates_have_a_function_each():
    scores = make(
        [0.1, 0.2, 0.6, 0.3, 0.9, 0.8, 0.7, 0.4],
        [0, 0, 0, 0, 1, 1, 1, 1],
        attack=["", "", "", "", "print", "print", "replay", "replay"],
    )
    assert (apcer(scores, 0.5), bpcer(scores, 0.5), acer(scores, 0.5), hter(scores, 0.5)) == (
        0.5,
        0.25,
        0.375,
        0.25,
    )
    # At other thresholds they are those of `rates`; a score at the threshold is an attack.
    for threshold in (0.0, 0.4, 0.6, 0.75, 1.0):
        at = rates(scores, threshold)
        assert apcer(scores, threshold) == at.apcer and bpcer(scores, threshold) == at.bpcer
        assert acer(scores, threshold) == at.acer == (at.apcer + at.bpcer) / 2
        assert hter(scores, threshold) == at.hter == (at.accepted_attacks.rate + at.bpcer) / 2


def test_species_add_up_to_all_attacks_whatever_their_names():
    species = ["attack", "", "unknown", "print"] * 5
    scores = make([0.1] * 10 + [0.9, 0.2, 0.9, 0.9] * 5, [0] * 10 + [1] * 20, attack=[""] * 10 + species)
    at = rates(scores, 0.5)
    assert set(at.accepted_by_attack) == {"attack", "", "unknown", "print"}
    assert (at.accepted_attacks, at.accepted_by_attack[""]) == (Proportion(5, 20), Proportion(5, 5))
    assert (at.hter, at.apcer, at.worst_attack) == (0.125, 1.0, "")


def test_one_class_has_its_own_rates_only():
    at = rates(make([0.1, 0.9, 0.2, 0.3], [0] * 4), 0.5)
    assert (at.bpcer, at.accuracy, at.recall) == (0.25, 0.75, Proportion(3, 4))
    assert np.isnan([at.apcer, at.acer, at.hter, at.accepted_attacks.rate]).all()
    at = rates(make([0.1, 0.9, 0.8, 0.7], [1] * 4), 0.5)
    assert (at.apcer, at.accuracy) == (0.25, 0.75) and np.isnan([at.bpcer, at.acer, at.hter]).all()
    assert at.precision == Proportion(0, 1)


def test_precision_recall_and_f1_are_those_of_sklearn_for_bona_fide():
    draws = np.random.default_rng(0)
    label = draws.integers(0, 2, 300)
    scores = make(draws.normal(label, 1), label)
    at, predicted = rates(scores, 0.4), scores.score >= 0.4
    expected = precision_recall_fscore_support(label, predicted, pos_label=0, average="binary")[:3]
    assert (at.precision.rate, at.recall.rate, at.f1) == pytest.approx(expected)


def test_riapar_is_that_of_the_standard():
    # Of attacks on the full system 3 % are accepted, of users 5 % rejected.
    assert riapar(0.03, 0.05) == pytest.approx(0.08)


def test_failures_are_no_acceptance_and_no_entry():
    scores = make([0.1, 0.9, np.nan, 0.9, np.nan, 0.2, np.nan], [0, 0, 0, 1, 1, 1, 1])
    assert failures_included(scores, 0.5) == (Proportion(1, 4), Proportion(2, 3))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=2, max_size=200), st.floats(0.1, 1e6))
def test_auc_is_that_of_sklearn_with_ties(samples, scale):
    score, label = np.array([s / scale for s, _ in samples]), np.array([int(c) for _, c in samples])
    assume(0 < label.sum() < len(label))
    assert abs(auc(make(score, label)) - roc_auc_score(label, score)) <= 1e-12


def test_failures_to_acquire_are_counted_apart():
    scores = make([0.1, np.nan, 0.3, 0.9, np.nan, np.nan, 0.2], [0, 0, 0, 1, 1, 1, 1])
    attacks, real = non_response_rates(scores)
    assert (attacks, real) == (Proportion(2, 4), Proportion(1, 3))
    answered = make([0.1, 0.3, 0.9, 0.2], [0, 0, 1, 1])
    assert rates(scores, 0.25).hter == rates(answered, 0.25).hter == 0.5
    assert auc(scores) == auc(answered) and eer(scores) == eer(answered)


@pytest.mark.parametrize("count, total", [(0, 10), (3, 10), (10, 10), (78, 400)])
def test_clopper_pearson_bounds_are_where_the_tails_have_their_size(count, total):
    low, high = Proportion(count, total).interval(0.9)
    # By definition: were the rate at the bound, a count as far off would have a chance of 5 %.
    if count:
        assert binom.sf(count - 1, total, low) == pytest.approx(0.05)
    else:
        assert low == 0
    if count < total:
        assert binom.cdf(count, total, high) == pytest.approx(0.05)
    else:
        assert high == 1
