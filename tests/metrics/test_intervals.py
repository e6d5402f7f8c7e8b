"""Bootstrap intervals: against a plain loop, and of copied frames."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anrl.metrics import auc, bootstrap, eer, rates, roc_band
from support.scores import make


def test_intervals_hold_the_estimate_and_respect_videos():
    generator = np.random.default_rng(0)
    label = np.repeat([0, 1], 40)
    score = generator.normal(label, 1.0)
    attack = ["" if not c else "ab"[i % 2] for i, c in enumerate(label)]
    one = make(score, label, attack=attack)
    intervals, at = bootstrap(one, 0.5), rates(one, 0.5)
    for name, value in {
        "auc": auc(one),
        "eer": eer(one)[0],
        "hter": at.hter,
        "apcer": at.apcer,
        "bpcer": at.bpcer,
        "acer": at.acer,
    }.items():
        low, high = intervals[name]
        assert low <= value <= high and 0 < high - low < 0.5, name
    # The same frames ten times in one video are no more evidence than once.
    video = [str(i) for i in range(80)]
    copies = make(
        np.repeat(score, 10),
        np.repeat(label, 10),
        np.repeat(video, 10).tolist(),
        np.repeat(attack, 10).tolist(),
    )
    for name, interval in bootstrap(copies, 0.5).items():
        np.testing.assert_allclose(interval, intervals[name], atol=1e-12)


def test_bootstrap_draws_are_those_of_a_plain_loop():
    generator = np.random.default_rng(1)
    label = np.repeat([0, 1], [60, 90])
    score = np.round(generator.normal(label, 1.5), 1)
    video = [f"v{i // 3}" for i in range(150)]
    attack = ["" if not c else ("a", "b")[(i // 3) % 2] for i, c in enumerate(label)]
    scores = make(score, label, video, attack)
    draws = np.random.default_rng(5)
    plain = {name: [] for name in ("auc", "eer", "hter", "apcer", "bpcer", "acer")}
    names = {c: sorted({v for v, own in zip(video, label, strict=True) if own == c}) for c in (0, 1)}
    for _ in range(4000):
        chosen = [v for c in (0, 1) for v in draws.choice(names[c], len(names[c]))]
        rows = np.concatenate([np.flatnonzero(np.array(video) == v) for v in chosen])
        drawn = make(score[rows], label[rows], attack=[attack[i] for i in rows])
        at = rates(drawn, 0.7)
        plain["auc"].append(auc_by_counting(drawn)), plain["eer"].append(eer(drawn)[0])
        for name in ("hter", "apcer", "bpcer", "acer"):
            plain[name].append(getattr(at, name))
    for name, interval in bootstrap(scores, 0.7, resamples=4000).items():
        expected = np.quantile(plain[name], [0.025, 0.975])
        np.testing.assert_allclose(interval, expected, atol=0.02, err_msg=name)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3), st.integers(0, 9)), min_size=1, max_size=40),
    st.integers(-1, 7),
)
def test_every_interval_holds_its_estimate_and_has_width(samples, threshold):
    kinds = [kind for _, kind, _ in samples]
    scores = make(
        [score for score, _, _ in samples],
        [int(kind > 0) for kind in kinds],
        [f"{kind}/{video}" for _, kind, video in samples],
        [("", "", "print", "replay")[kind] for kind in kinds],
    )
    at, intervals = rates(scores, threshold), bootstrap(scores, threshold, resamples=50)
    estimates = {name: getattr(at, name) for name in ("hter", "apcer", "bpcer", "acer")}
    if scores.missing_class is None:
        estimates |= {"auc": auc(scores), "eer": eer(scores)[0]}
    assert set(intervals) == {name for name, value in estimates.items() if not np.isnan(value)}
    for name, (low, high) in intervals.items():
        assert 0 <= low <= estimates[name] <= high <= 1 and low < high, name


def test_no_errors_among_n_videos_are_as_sure_as_the_exact_interval():
    n, half = 100, 0.025 ** (1 / 100)
    perfect = make([*np.linspace(0, 0.2, n), *np.linspace(0.8, 1, n)], [0] * n + [1] * n)
    intervals = bootstrap(perfect, 0.5)
    for name in ("apcer", "bpcer"):
        assert intervals[name] == pytest.approx((0, 1 - half))
    # Square and add: the mean of two such rates, from 0, is at most the root of the sum of squares, halved.
    for name in ("hter", "acer", "eer"):
        assert intervals[name] == pytest.approx((0, (1 - half) / np.sqrt(2)))
    assert intervals["auc"] == pytest.approx((half, 1))
    # Ten frames of each video are no more evidence.
    frames = make(
        np.repeat(perfect.score, 10),
        np.repeat(perfect.label, 10),
        np.repeat([str(i) for i in range(2 * n)], 10).tolist(),
    )
    assert bootstrap(frames, 0.5) == intervals


def test_the_band_holds_the_curve_and_narrows_with_more_videos():
    draws = np.random.default_rng(3)
    widths = []
    for videos in (40, 640):
        label = np.repeat([0, 1], videos // 2)
        scores = make(draws.normal(label * 1.5, 1), label)
        limits, low, high = roc_band(scores)
        _, accepted, rejected = scores.curves
        curve = rejected[np.searchsorted(accepted, limits, "right") - 1]
        assert ((low <= curve + 1e-12) & (curve <= high + 1e-12)).mean() > 0.95
        widths.append((high - low).mean())
    assert widths[1] < widths[0] / 2.5


def auc_by_counting(scores):
    real, fake = scores.score[scores.label == 0], scores.score[scores.label == 1]
    return np.mean((fake[:, None] > real) + (fake[:, None] == real) / 2)
