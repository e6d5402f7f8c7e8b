import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from sklearn.metrics import roc_auc_score, roc_curve

from anrl.metrics import (
    Scores,
    Share,
    auc,
    bootstrap,
    bpcer_at_apcer,
    eer,
    find_threshold,
    non_response_rates,
    rates,
    tpr_at_fpr,
)


def make(score, label, video=None, attack=None):
    label = np.asarray(label)
    attack = attack or ["print" if c else "" for c in label]
    return Scores(np.asarray(score, float), label, video or [str(i) for i in range(len(label))], attack)


def test_hand_computed_rates():
    scores = make(
        [0.1, 0.2, 0.6, 0.3, 0.9, 0.8, 0.7, 0.4],
        [0, 0, 0, 0, 1, 1, 1, 1],
        attack=["", "", "", "", "print", "print", "replay", "replay"],
    )
    found = rates(scores, 0.5)
    assert found.apcer_by_attack == {"print": 0.0, "replay": 0.5}
    assert (found.apcer, found.bpcer, found.acer, found.hter) == (0.5, 0.25, 0.375, 0.25)
    assert found.worst_attack == "replay" and found.accuracy == 0.75
    assert str(found.missed["replay"]) == "50.0 % (1/2)" and str(found.missed_in_all) == "25.0 % (1/4)"
    assert rates(scores, 0.6).bpcer == 0.25  # a score at the threshold is an attack
    assert eer(scores)[0] == 0.25
    assert auc(scores) == 15 / 16


def test_video_score_is_the_mean_of_its_frames():
    frames = make([0.0, 0.2, 1.0, 0.5], [0, 0, 1, 1], video=["b", "b", "a", "a"])
    videos = frames.by_video()
    assert videos.video == ["b", "a"]
    np.testing.assert_allclose(videos.score, [0.1, 0.75])
    with pytest.raises(ValueError, match="'a'"):
        make([0.0, 0.2, 1.0], [0, 1, 1], video=["a", "a", "b"]).by_video()


def test_joined_domains_keep_their_videos_apart():
    one, two = make([0.0, 1.0], [0, 1], video=["a", "b"]), make([0.5, 0.2], [1, 0], video=["a", "b"])
    joined = Scores.join([one, two]).by_video()
    np.testing.assert_array_equal(joined.score, [0.0, 1.0, 0.5, 0.2])
    np.testing.assert_array_equal(joined.label, [0, 1, 1, 0])


@pytest.mark.parametrize("how", ["mean", "median", "min", "max"])
def test_videos_aggregate_as_numpy_does(how):
    generator = np.random.default_rng(0)
    video = generator.integers(0, 12, 100)
    score = generator.normal(size=100)
    score[generator.random(100) < 0.2] = np.nan
    score[video == 3] = np.nan
    frames = make(
        score, video % 2, video=[f"v{v}" for v in video], attack=["x" if v % 2 else "" for v in video]
    )
    videos = frames.by_video(how)
    for name, found, label in zip(videos.video, videos.score, videos.label, strict=True):
        of_video = score[[f"v{v}" == name for v in video]]
        if np.isnan(of_video).all():
            assert np.isnan(found) and name == "v3"
        else:
            assert found == pytest.approx(getattr(np, f"nan{how}")(of_video))
        assert label == int(name[1:]) % 2
    with pytest.raises(ValueError, match="'mode'"):
        frames.by_video("mode")


def test_failures_to_acquire_are_counted_apart():
    scores = make([0.1, np.nan, 0.3, 0.9, np.nan, np.nan, 0.2], [0, 0, 0, 1, 1, 1, 1])
    attacks, real = non_response_rates(scores)
    assert (attacks, real) == (Share(2, 4), Share(1, 3))
    answered = make([0.1, 0.3, 0.9, 0.2], [0, 0, 1, 1])
    assert rates(scores, 0.25).hter == rates(answered, 0.25).hter == 0.5
    assert auc(scores) == auc(answered) and eer(scores) == eer(answered)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (([0.1, np.nan], [0, 1]), "no attack .* has a score"),
        (([0.1, np.inf], [0, 1]), "1 of 2 are infinite"),
        (([0.1, 0.2], [0, 0]), "no attack"),
        (([0.1, 0.2], [1, 1]), "no bona fide"),
        (([0.1, 0.2], [0, 2]), "2.* is neither 0 .* nor 1"),
        (([0.1, 0.2], [0, 1, 1]), "label: 3 values for 2 scores"),
        (([0.1, 0.2], [0, 1], ["a"]), "video: 1 values for 2 scores"),
    ],
)
def test_wrong_scores_are_named(arguments, message):
    score, label, *video = arguments
    with pytest.raises(ValueError, match=message):
        Scores(np.array(score), np.array(label), *video)


def test_hand_computed_thresholds():
    development = make(
        [0.1, 0.2, 0.3, 0.4, 0.5, 0.25, 0.45, 0.6, 0.7, 0.8],
        [0] * 5 + [1] * 5,
        attack=[""] * 5 + ["print", "replay", "print", "replay", "print"],
    )
    # Pooled, one attack lies below 0.3, two below 0.5; of each species one of three or one of two.
    assert find_threshold(development, "apcer@0") == pytest.approx(0.225)
    assert find_threshold(development, "apcer@0.34") == pytest.approx(0.425)
    assert find_threshold(development, "apcer@0.5") == pytest.approx(0.55)
    assert find_threshold(development, "apcer@50%") == pytest.approx(0.55)
    assert find_threshold(development, "bpcer@0") == pytest.approx(0.55)
    assert find_threshold(development, "bpcer@0.2") == pytest.approx(0.425)
    assert find_threshold(development, "bpcer@40%") == pytest.approx(0.35)
    assert rates(development, find_threshold(development, "min-hter")).hter == pytest.approx(0.2)
    assert find_threshold(development, "0.3") == find_threshold(development, 0.3) == 0.3
    assert find_threshold(development) == eer(development)[1]
    assert bpcer_at_apcer(development, 0.34) == pytest.approx(0.2)
    assert bpcer_at_apcer(development, 0.0) == pytest.approx(0.6)
    assert tpr_at_fpr(development, 0.0) == pytest.approx(0.6)
    assert tpr_at_fpr(development, 0.2) == pytest.approx(0.8)
    assert tpr_at_fpr(development, 0.6) == pytest.approx(1.0)
    for wrong in ("apcer@2", "bpcer@x", "apcer", "best", "apcer@101%", "nan", "inf"):
        with pytest.raises(ValueError, match=f"criterion '{wrong}'"):
            find_threshold(development, wrong)


@pytest.mark.parametrize("count, total", [(0, 10), (3, 10), (10, 10), (78, 400)])
def test_clopper_pearson_bounds_are_where_the_tails_have_their_size(count, total):
    low, high = Share(count, total).interval(0.9)
    # By definition: were the rate at the bound, a count as far off would have a chance of 5 %.
    if count:
        assert binom.sf(count - 1, total, low) == pytest.approx(0.05)
    else:
        assert low == 0
    if count < total:
        assert binom.cdf(count, total, high) == pytest.approx(0.05)
    else:
        assert high == 1


def test_intervals_hold_the_estimate_and_respect_videos():
    generator = np.random.default_rng(0)
    label = np.repeat([0, 1], 40)
    score = generator.normal(label, 1.0)
    attack = ["" if not c else "ab"[i % 2] for i, c in enumerate(label)]
    one = make(score, label, attack=attack)
    found, at = bootstrap(one, 0.5), rates(one, 0.5)
    for name, value in {
        "auc": auc(one),
        "eer": eer(one)[0],
        "hter": at.hter,
        "apcer": at.apcer,
        "bpcer": at.bpcer,
        "acer": at.acer,
    }.items():
        low, high = found[name]
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
        np.testing.assert_allclose(interval, found[name], atol=1e-12)


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


def auc_by_counting(scores):
    real, fake = scores.score[scores.label == 0], scores.score[scores.label == 1]
    return np.mean((fake[:, None] > real) + (fake[:, None] == real) / 2)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 2)), min_size=2, max_size=60))
def test_properties(samples):
    kind = np.array([k for _, k in samples])
    label = (kind > 0).astype(int)
    score = np.array([s / 20 for s, _ in samples])
    attack = [("", "print", "replay")[k] for k in kind]
    if len(set(label)) < 2:
        with pytest.raises(ValueError, match="bona fide|attack"):
            make(score, label, attack=attack)
        return
    scores = make(score, label, attack=attack)
    assert auc(scores) == pytest.approx(roc_auc_score(label, score))
    value, threshold = eer(scores)
    assert np.isfinite(threshold) and 0 <= value <= 1
    assert rates(scores, threshold).hter == pytest.approx(value)
    # Thresholds move with the scores under any monotone map, and rates stay.
    stretched = make(np.exp(3 * score), label, attack=attack)
    assert auc(stretched) == pytest.approx(auc(scores))
    for criterion in ("eer", "min-hter", "apcer@0.2", "bpcer@0.2", "apcer@0", "bpcer@1"):
        places = find_threshold(scores, criterion), find_threshold(stretched, criterion)
        assert np.isfinite(places).all()
        one, two = rates(scores, places[0]), rates(stretched, places[1])
        assert one.missed == two.missed and one.false_alarms == two.false_alarms
        if criterion != "eer" and "@" in criterion:
            name, limit = criterion.split("@")
            assert getattr(one, name) <= float(limit)
    for limit in (0.0, 0.05, 0.3, 1.0):
        alarms, detected, _ = roc_curve(label, score, drop_intermediate=False)
        assert tpr_at_fpr(scores, limit) == pytest.approx(detected[alarms <= limit].max())
        # No threshold does better.
        levels = [*score, score.max() + 1]
        allowed = [rates(scores, t).bpcer for t in levels if rates(scores, t).apcer <= limit]
        assert bpcer_at_apcer(scores, limit) == pytest.approx(min(allowed))
    # Labels and signs exchanged, the curve is the same.
    mirrored = make(-score, 1 - label)
    assert auc(mirrored) == pytest.approx(auc(scores))


def test_thresholds_lie_between_neighbouring_floating_point_numbers():
    low = 0.1
    high = np.nextafter(low, 1)
    value, threshold = eer(make([low, high], [0, 1]))
    assert value == 0 and rates(make([low, high], [0, 1]), threshold).hter == 0


def test_a_million_scores_and_ten_thousand_videos_take_seconds():
    generator = np.random.default_rng(0)
    label = generator.integers(0, 2, 1_000_000)
    attack = np.where(label, np.char.add("a", generator.integers(0, 5, label.size).astype(str)), "")
    score = generator.normal(label, 1.0)
    start = time.perf_counter()
    scores = Scores(score, label, attack=attack)
    threshold = find_threshold(scores, "min-hter")
    at = rates(scores, threshold)
    found = [auc(scores), eer(scores)[0], at.hter, at.acer, at.accuracy]
    found += [bpcer_at_apcer(scores, x) for x in (0.1, 0.05, 0.01)]
    found += [tpr_at_fpr(scores, x) for x in (0.01, 0.001)]
    seconds = time.perf_counter() - start
    assert all(0 < value < 1 for value in found)
    some = Scores(score[:10_000], label[:10_000], attack=attack[:10_000])
    start = time.perf_counter()
    bootstrap(some, 0.5)
    print(seconds, time.perf_counter() - start)
    # On a quiet machine they take 1 second and 0.4.
    assert seconds < 4 and time.perf_counter() - start < 5
