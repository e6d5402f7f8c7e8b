"""Bootstrap confidence intervals that draw whole videos, because frames of one video are not independent."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from anrl.metrics.rates import Proportion, auc, rates
from anrl.metrics.scores import Floats, Integers, Scores
from anrl.metrics.thresholds import eer

Interval = tuple[float, float]
_CELLS_AT_ONCE = 2_000_000


@dataclass(frozen=True)
class _Class:
    """Samples of one class, by ascending score."""

    score: Floats
    video: Integers
    """(n,): index of each sample's video within the class."""
    videos: int
    species: Integers

    def videos_of(self, species: int) -> int:
        return len(np.unique(self.video[self.species == species]))


def bootstrap(
    scores: Scores,
    threshold: float | None = None,
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Interval]:
    """Bootstrap percentile intervals of the metrics of one set of scores.

    Videos are drawn with replacement within each class, with all of their frames, so that intervals are as
    wide as the number of videos demands. Every interval holds its estimate: one that does not is widened to
    it. Where all resamples agree, as they do without a single error, the bootstrap knows nothing, and exact
    intervals take its place: Clopper-Pearson of the number of videos for a rate; of the number of disjoint
    pairs of a bona fide sample and an attack for "auc"; and for the mean of two rates, one of which shows no
    spread, their intervals joined by the square-and-add method (Zou & Donner, Statistics in Medicine 2008).

    Args:
        scores: Frames or videos.
        threshold: For the error rates; without it only "auc" and "eer" are computed. It is the same in all
            resamples, as it comes from other data.
        confidence: Coverage of the intervals, in (0, 1).
        resamples: Number of bootstrap resamples.
        seed: Seed of the draws.

    Returns:
        "auc", "eer" and, at the threshold, "hter", "apcer" (of the worst species), "bpcer" and "acer". Those
        that need a class without samples are left out.
    """
    classes = _classes(scores)
    places = _Places.of(scores, *classes)
    draws = _draws(*classes, resamples, seed, len(scores.counts[0]))
    parts = [_metrics_of_draws(*classes, *weights, places, threshold) for weights in draws]
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    intervals = {}
    for name in parts[0]:
        low, high = np.quantile(np.concatenate([part[name] for part in parts]), tails)
        intervals[name] = (float(low), float(high))
    return _Exact(scores, classes, threshold, confidence).mend(intervals)


def roc_band(
    scores: Scores, *, confidence: float = 0.95, resamples: int = 200, seed: int = 0
) -> tuple[Floats, Floats, Floats]:
    """Pointwise bootstrap band of the ROC curve, over videos as in :func:`bootstrap`.

    Returns:
        Rates of attacks accepted (201,), and at each the bounds of the lowest rate of bona fide samples
        rejected while no more attacks are accepted.

    Raises:
        ValueError: a class has no samples.
    """
    scores.need_both_classes()
    classes = _classes(scores)
    places, limits = _Places.of(scores, *classes), np.linspace(0, 1, 201)
    assert places is not None
    rows = []
    for bona_fide_weight, attack_weight in _draws(*classes, resamples, seed, len(places.passed)):
        bona_fide_sum, attack_sum = _sums(bona_fide_weight), _sums(attack_weight)
        accepted = attack_sum[:, places.accepted] / attack_sum[:, -1:]
        passed = bona_fide_sum[:, places.passed] / bona_fide_sum[:, -1:]
        # The last threshold that accepts no more attacks rejects the fewest bona fide samples.
        rows += [
            1 - own[np.searchsorted(rising, limits, "right") - 1]
            for rising, own in zip(accepted, passed, strict=True)
        ]
    low, high = np.quantile(rows, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return limits, low, high


class _Places(NamedTuple):
    """How many samples of a class lie below others; where both classes have samples."""

    lower: Integers
    """Bona fide samples below each attack."""
    not_higher: Integers
    """Bona fide samples below each attack, or level with it."""
    passed: Integers
    """Bona fide samples below each threshold of ``Scores.counts``."""
    accepted: Integers
    """Attacks below each threshold."""

    @classmethod
    def of(cls, scores: Scores, bona_fide: _Class, attacks: _Class) -> "_Places | None":
        if scores.missing_class is not None:
            return None
        levels = attacks.score, scores.counts[0]
        return cls(
            np.searchsorted(bona_fide.score, levels[0], "left"),
            np.searchsorted(bona_fide.score, levels[0], "right"),
            *(np.searchsorted(part.score, levels[1]) for part in (bona_fide, attacks)),
        )


def _metrics_of_draws(
    bona_fide: _Class,
    attacks: _Class,
    bona_fide_weight: Floats,
    attack_weight: Floats,
    places: _Places | None,
    threshold: float | None,
) -> dict[str, Floats]:
    """Metrics of a block of resamples, each (resamples,)."""
    bona_fide_sum, attack_sum = _sums(bona_fide_weight), _sums(attack_weight)
    bona_fide_total, attack_total = bona_fide_sum[:, -1:], attack_sum[:, -1:]
    metrics: dict[str, Floats] = {}
    if places is not None:
        wins = (bona_fide_sum[:, places.lower] + bona_fide_sum[:, places.not_higher]) / 2
        metrics["auc"] = (attack_weight * wins).sum(1) / (bona_fide_total * attack_total)[:, 0]
        accepted = attack_sum[:, places.accepted] / attack_total
        rejected = (bona_fide_total - bona_fide_sum[:, places.passed]) / bona_fide_total
        best = np.argmin(np.abs(accepted - rejected), 1)[:, None]
        both = np.take_along_axis(accepted, best, 1) + np.take_along_axis(rejected, best, 1)
        metrics["eer"] = both[:, 0] / 2
    if threshold is None:
        return metrics
    if attacks.videos:
        metrics["apcer"] = _worst_apcer(attacks, attack_weight, threshold)
        pooled = attack_sum[:, np.searchsorted(attacks.score, threshold)] / attack_total[:, 0]
        metrics["pooled"] = pooled
    if bona_fide.videos:
        passed = bona_fide_sum[:, np.searchsorted(bona_fide.score, threshold)]
        metrics["bpcer"] = (bona_fide_total[:, 0] - passed) / bona_fide_total[:, 0]
    if places is not None:
        metrics["hter"] = (metrics["pooled"] + metrics["bpcer"]) / 2
        metrics["acer"] = (metrics["apcer"] + metrics["bpcer"]) / 2
    return metrics


@dataclass(frozen=True)
class _Exact:
    """Intervals where the bootstrap has none."""

    scores: Scores
    classes: tuple[_Class, _Class]
    threshold: float | None
    confidence: float

    def mend(self, intervals: dict[str, Interval]) -> dict[str, Interval]:
        """Replace the intervals without width, and widen all to hold their estimates."""
        bona_fide, attacks = self.classes
        estimates: dict[str, float] = {}
        mended = {}
        if "auc" in intervals:
            estimates["auc"], (estimates["eer"], own) = auc(self.scores), eer(self.scores)
            if _is_point(intervals["auc"]):
                mended["auc"] = self._of(estimates["auc"], min(bona_fide.videos, attacks.videos))
            if _is_point(intervals["eer"]):
                at = rates(self.scores, own)
                pair = at.accepted_attacks.rate, at.bpcer
                mended["eer"] = _mean(pair, (self._pooled(pair[0]), self._of(pair[1], bona_fide.videos)))
        if self.threshold is not None:
            at = rates(self.scores, self.threshold)
            estimates |= {"apcer": at.apcer, "pooled": at.accepted_attacks.rate, "bpcer": at.bpcer}
            estimates |= {"hter": at.hter, "acer": at.acer}
            if "apcer" in intervals and _is_point(intervals["apcer"]):
                mended["apcer"] = self._apcer()
            if "pooled" in intervals and _is_point(intervals["pooled"]):
                mended["pooled"] = self._pooled(estimates["pooled"])
            if "bpcer" in intervals and _is_point(intervals["bpcer"]):
                mended["bpcer"] = self._of(at.bpcer, bona_fide.videos)
            both = intervals | mended
            for name, part in (("hter", "pooled"), ("acer", "apcer")):
                if name in intervals and mended.keys() & {part, "bpcer"}:
                    mended[name] = _mean((estimates[part], at.bpcer), (both[part], both["bpcer"]))
        intervals = {
            name: (min(low, estimates[name]), max(high, estimates[name]))
            for name, (low, high) in (intervals | mended).items()
        }
        return {name: intervals[name] for name in _NAMES if name in intervals}

    def _of(self, rate: float, videos: int) -> Interval:
        """Clopper-Pearson interval of a rate of independent videos."""
        low, high = (
            Proportion(round_(rate * videos), videos).interval(self.confidence)
            for round_ in (math.floor, math.ceil)
        )
        return low[0], high[1]

    def _pooled(self, rate: float) -> Interval:
        return self._of(rate, self.classes[1].videos)

    def _apcer(self) -> Interval:
        """That of the worst species: the worst of the species' intervals, at either end."""
        attacks = self.classes[1]
        bounds = [
            self._of(
                float((attacks.score[attacks.species == one] < self.threshold).mean()), attacks.videos_of(one)
            )
            for one in np.unique(attacks.species).tolist()
        ]
        return max(low for low, _ in bounds), max(high for _, high in bounds)


_NAMES = ("auc", "eer", "hter", "apcer", "bpcer", "acer")


def _is_point(interval: Interval) -> bool:
    return interval[1] - interval[0] < 1e-9


def _mean(rates: tuple[float, float], intervals: tuple[Interval, Interval]) -> Interval:
    """Interval of the mean of two rates from theirs."""
    below, above = (
        math.hypot(*(rate - bounds[end] for rate, bounds in zip(rates, intervals, strict=True))) / 2
        for end in (0, 1)
    )
    return max(0.0, sum(rates) / 2 - below), min(1.0, sum(rates) / 2 + above)


def _classes(scores: Scores) -> tuple[_Class, _Class]:
    scores = scores.responses
    parts = []
    for value in (0, 1):
        kept = np.flatnonzero(scores.label == value)
        kept = kept[np.argsort(scores.score[kept], kind="stable")]
        _, video = np.unique(scores.videos[kept], return_inverse=True)
        videos = int(video.max()) + 1 if len(video) else 0
        parts.append(_Class(scores.score[kept], video, videos, scores.species[1][kept]))
    return parts[0], parts[1]


def _draws(
    bona_fide: _Class, attacks: _Class, resamples: int, seed: int, thresholds: int
) -> Iterator[tuple[Floats, Floats]]:
    """Yield how often every sample was drawn, (resamples, samples) of either class, a block at a time."""
    generator = np.random.default_rng(seed)
    block = max(1, _CELLS_AT_ONCE // max(thresholds, len(bona_fide.score), len(attacks.score)))
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        yield _weights(bona_fide, rows, generator), _weights(attacks, rows, generator)


def _weights(part: _Class, rows: int, generator: np.random.Generator) -> Floats:
    if not part.videos:
        return np.zeros((rows, 0))
    drawn = generator.integers(0, part.videos, (rows, part.videos))
    drawn += np.arange(rows)[:, None] * part.videos
    counts = np.bincount(drawn.ravel(), minlength=rows * part.videos).reshape(rows, part.videos)
    return counts[:, part.video].astype(np.float64)


def _sums(weights: Floats) -> Floats:
    """Cumulative sums of the first 0, 1, … weights: (R, n) → (R, n + 1)."""
    return np.concatenate([np.zeros((len(weights), 1)), np.cumsum(weights, 1)], 1)


def _worst_apcer(attacks: _Class, weights: Floats, threshold: float) -> Floats:
    worst = np.zeros(len(weights))
    accepted = attacks.score < threshold
    for species in np.unique(attacks.species):
        own = attacks.species == species
        total = weights[:, own].sum(1)
        # A species that a resample happens to lack has no error rate in it.
        rate = np.divide(weights[:, own & accepted].sum(1), total, out=np.zeros(len(total)), where=total > 0)
        worst = np.maximum(worst, rate)
    return worst
