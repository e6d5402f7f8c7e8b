"""Thresholds by every criterion: by hand, and properties of any scores."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from anrl.metrics import (
    Scores,
    auc,
    bootstrap,
    bpcer_at_apcer,
    detected_at_bpcer,
    eer,
    find_threshold,
    parse_criterion,
    rates,
    tpr_at_fpr,
)
from anrl.metrics.thresholds import largest_count
from support.scores import make


def test_hand_computed_thresholds():
    validation = make(
        [0.1, 0.2, 0.3, 0.4, 0.5, 0.25, 0.45, 0.6, 0.7, 0.8],
        [0] * 5 + [1] * 5,
        attack=[""] * 5 + ["print", "replay", "print", "replay", "print"],
    )
    # Pooled, one attack lies below 0.3, two below 0.5; of each species one of three or one of two.
    assert find_threshold(validation, "apcer@0") == pytest.approx(0.225)
    assert find_threshold(validation, "apcer@0.34") == pytest.approx(0.425)
    assert find_threshold(validation, "apcer@0.5") == pytest.approx(0.55)
    assert find_threshold(validation, "apcer@50%") == pytest.approx(0.55)
    assert find_threshold(validation, "bpcer@0") == pytest.approx(0.55)
    assert find_threshold(validation, "bpcer@0.2") == pytest.approx(0.425)
    assert find_threshold(validation, "bpcer@40%") == pytest.approx(0.35)
    assert rates(validation, find_threshold(validation, "min-hter")).hter == pytest.approx(0.2)
    assert find_threshold(validation, "0.3") == find_threshold(validation, 0.3) == 0.3
    assert find_threshold(validation) == eer(validation)[1]
    assert bpcer_at_apcer(validation, 0.34) == pytest.approx(0.2)
    assert bpcer_at_apcer(validation, 0.0) == pytest.approx(0.6)
    assert detected_at_bpcer(validation, 0.0) == pytest.approx(0.6)
    assert detected_at_bpcer(validation, 0.2) == pytest.approx(0.8)
    assert detected_at_bpcer(validation, 0.6) == pytest.approx(1.0)
    # Of the bona fide scores two lie below all attacks, four below all attacks but one.
    assert tpr_at_fpr(validation, 0.0) == pytest.approx(0.4)
    assert tpr_at_fpr(validation, 0.2) == pytest.approx(0.8)
    assert tpr_at_fpr(validation, 0.4) == pytest.approx(1.0)
    assert find_threshold(validation, "min-wer@0.5") == find_threshold(validation, "min-hter")
    assert (
        find_threshold(validation, "min-wer@1") <= 0.225 and find_threshold(validation, "min-wer@0") >= 0.55
    )
    for wrong in ("apcer@2", "bpcer@x", "apcer", "best", "apcer@101%", "nan", "inf"):
        with pytest.raises(ValueError, match=f"criterion '{wrong}'"):
            find_threshold(validation, wrong)
        with pytest.raises(ValueError, match=f"criterion '{wrong}'"):
            parse_criterion(wrong)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 2)), min_size=2, max_size=60))
def test_properties_of_any_scores(samples):
    kind = np.array([k for _, k in samples])
    label = (kind > 0).astype(int)
    score = np.array([s / 20 for s, _ in samples])
    attack = [("", "print", "replay")[k] for k in kind]
    if len(set(label)) < 2:
        for metric in (auc, eer):
            with pytest.raises(ValueError, match="both classes, but there is no (bona fide|attack)"):
                metric(make(score, label, attack=attack))
        return
    scores = make(score, label, attack=attack)
    assert auc(scores) == pytest.approx(roc_auc_score(label, score), abs=1e-12)
    value, threshold = eer(scores)
    assert np.isfinite(threshold) and 0 <= value <= 1
    assert rates(scores, threshold).hter == pytest.approx(value)
    # Thresholds move with the scores under any monotone map, and rates stay.
    stretched = make(np.exp(3 * score), label, attack=attack)
    assert auc(stretched) == pytest.approx(auc(scores))
    for criterion in ("eer", "min-hter", "min-wer@0.3", "apcer@0.2", "bpcer@0.2", "apcer@0", "bpcer@1"):
        places = find_threshold(scores, criterion), find_threshold(stretched, criterion)
        assert np.isfinite(places).all()
        one, two = rates(scores, places[0]), rates(stretched, places[1])
        assert one.accepted_by_attack == two.accepted_by_attack
        assert one.rejected_bona_fide == two.rejected_bona_fide
        if criterion.startswith(("apcer", "bpcer")):
            name, limit = criterion.split("@")
            assert getattr(one, name) <= float(limit)
            at_most = largest_count(float(limit), one.rejected_bona_fide.total)
            assert name == "apcer" or one.rejected_bona_fide.count <= at_most
    for limit in (0.0, 0.05, 0.3, 1.0):
        alarms, detected, _ = roc_curve(label, score, drop_intermediate=False)
        # roc_curve divides counts as one does by hand; at these limits that is exact.
        assert detected_at_bpcer(scores, limit) == pytest.approx(detected[alarms <= limit].max())
        alarms, passed, _ = roc_curve(1 - label, -score, drop_intermediate=False)
        assert tpr_at_fpr(scores, limit) == pytest.approx(passed[alarms <= limit].max())
        # No threshold does better.
        levels = [*score, score.max() + 1]
        allowed = [rates(scores, t).bpcer for t in levels if rates(scores, t).apcer <= limit]
        assert bpcer_at_apcer(scores, limit) == pytest.approx(min(allowed))
    # Labels and signs exchanged, the curve is the same.
    mirrored = make(-score, 1 - label)
    assert auc(mirrored) == pytest.approx(auc(scores))


@pytest.mark.parametrize("percent", [0.1, 1, 2, 5])
def test_a_share_that_is_exactly_the_limit_is_at_most_it(percent):
    limit, share = Fraction(str(percent)) / 100, f"{percent}%"
    totals = [n for n in range(1, 1001) if (limit * n).denominator == 1]
    assert totals
    for total in totals:
        errors = int(limit * total)
        assert largest_count(float(limit), total) == errors
        # `errors` bona fide samples above all attacks, and as many attacks below all bona fide samples.
        others = [*range(total, 2 * total)]
        bona_fide_high = make(
            [*range(total - errors), *[3 * total] * errors, *others], [0] * total + [1] * total
        )
        attacks_low = make(
            [*others, *[0] * errors, *[3 * total] * (total - errors)], [0] * total + [1] * total
        )
        for text in (share, str(float(limit))):
            at = rates(bona_fide_high, find_threshold(bona_fide_high, f"bpcer@{text}"))
            assert (at.rejected_bona_fide.count, at.accepted_attacks.count) == (errors, 0)
            at = rates(attacks_low, find_threshold(attacks_low, f"apcer@{text}"))
            assert (at.rejected_bona_fide.count, at.accepted_attacks.count) == (0, errors)
        assert detected_at_bpcer(bona_fide_high, float(limit)) == 1
        assert bpcer_at_apcer(attacks_low, float(limit)) == 0
        assert tpr_at_fpr(attacks_low, float(limit)) == 1
        # One error more than allowed is too many.
        assert bpcer_at_apcer(attacks_low, (errors - 1) / total) == 1
        assert detected_at_bpcer(bona_fide_high, (errors - 1) / total) == 0


def test_quotients_and_decimals_are_exact_shares():
    for total in range(1, 400):
        assert all(largest_count(count / total, total) == count for count in range(total + 1))
        assert all(
            largest_count(np.nextafter(count / total, 0), total) < count for count in range(1, total + 1)
        )
    assert (largest_count(0.0, 7), largest_count(1.0, 7), largest_count(0.29, 100)) == (0, 7, 29)


def test_one_class_sets_the_thresholds_that_need_no_other():
    bona_fide, attacks = make([0.1, 0.2, 0.3], [0, 0, 0]), make([0.4, 0.5, 0.6], [1, 1, 1])
    assert rates(bona_fide, find_threshold(bona_fide, "bpcer@40%")).rejected_bona_fide.count == 1
    assert rates(attacks, find_threshold(attacks, "apcer@40%")).accepted_attacks.count == 1
    for scores, criterion in (
        (bona_fide, "apcer@1%"),
        (attacks, "bpcer@1%"),
        (attacks, "eer"),
        (attacks, "min-hter"),
    ):
        with pytest.raises(ValueError, match="need samples of both classes"):
            find_threshold(scores, criterion)
    with pytest.raises(ValueError, match="no attack .label 1. sample has a score"):
        auc(make([0.1, np.nan], [0, 1]))


def test_thresholds_lie_between_neighboring_floating_point_numbers():
    low = 0.1
    high = np.nextafter(low, 1)
    value, threshold = eer(make([low, high], [0, 1]))
    assert value == 0 and rates(make([low, high], [0, 1]), threshold).hter == 0


def test_a_million_scores_are_measured_exactly():
    generator = np.random.default_rng(0)
    label = generator.integers(0, 2, 1_000_000)
    attack = np.where(label, np.char.add("a", generator.integers(0, 5, label.size).astype(str)), "")
    score = generator.normal(label, 1.0)
    scores = Scores(score, label, attack=attack)
    threshold = find_threshold(scores, "min-hter")
    at = rates(scores, threshold)
    assert auc(scores) == pytest.approx(roc_auc_score(label, score), abs=1e-12)
    # Normal scores of unit variance, one apart: the best threshold is half-way, where both errors are 0.3085.
    assert threshold == pytest.approx(0.5, abs=0.05)
    assert (eer(scores)[0], at.hter) == pytest.approx((0.3085, 0.3085), abs=0.002)
    values = [at.acer, at.accuracy, *(bpcer_at_apcer(scores, x) for x in (0.1, 0.05, 0.01))]
    values += [metric(scores, x) for x in (0.01, 0.001) for metric in (tpr_at_fpr, detected_at_bpcer)]
    assert all(0 < value < 1 for value in values)
    # Ten thousand videos are drawn a thousand times in blocks; the intervals hold the estimates.
    some = Scores(score[:10_000], label[:10_000], attack=attack[:10_000])
    intervals, at = bootstrap(some, 0.5), rates(some, 0.5)
    for name, value in {"auc": auc(some), "eer": eer(some)[0], "hter": at.hter, "bpcer": at.bpcer}.items():
        low, high = intervals[name]
        assert low <= value <= high and high - low < 0.05, name
