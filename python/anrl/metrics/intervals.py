"""Bootstrap confidence intervals that draw whole videos, because frames of one video are not independent."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anrl.metrics.scores import Floats, Scores

Interval = tuple[float, float]
_CELLS_AT_ONCE = 2_000_000


@dataclass(frozen=True)
class _Class:
    """Samples of one class, by ascending score."""

    score: Floats
    video: NDArray[np.int64]
    """(n,): index of each sample's video within the class."""
    videos: int
    species: NDArray[np.int64]


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
    wide as the number of videos demands.

    Args:
        scores: Frames or videos.
        threshold: For the error rates; without it only "auc" and "eer" are computed. It is the same in all
            resamples, as it comes from other data.
        confidence: Coverage of the intervals, in (0, 1).
        resamples: Number of bootstrap resamples.
        seed: Seed of the draws.

    Returns:
        "auc", "eer" and, at the threshold, "hter", "apcer" (of the worst species), "bpcer" and "acer".
    """
    bona_fide, attacks = _classes(scores)
    thresholds = scores.curves[0]
    left, right = (np.searchsorted(bona_fide.score, attacks.score, side) for side in ("left", "right"))
    bona_fide_below, attacks_below = (
        np.searchsorted(part.score, thresholds) for part in (bona_fide, attacks)
    )
    samples: dict[str, list[Floats]] = {}
    for bona_fide_weight, attack_weight in _draws(bona_fide, attacks, resamples, seed, len(thresholds)):
        bona_fide_sum, attack_sum = _sums(bona_fide_weight), _sums(attack_weight)
        wins = (bona_fide_sum[:, left] + bona_fide_sum[:, right]) / 2
        total = bona_fide_sum[:, -1] * attack_sum[:, -1]
        samples.setdefault("auc", []).append((attack_weight * wins).sum(1) / total)
        accepted = attack_sum[:, attacks_below] / attack_sum[:, -1:]
        rejected = 1 - bona_fide_sum[:, bona_fide_below] / bona_fide_sum[:, -1:]
        best = np.argmin(np.abs(accepted - rejected), 1)[:, None]
        both = np.take_along_axis(accepted, best, 1) + np.take_along_axis(rejected, best, 1)
        samples.setdefault("eer", []).append(both[:, 0] / 2)
        if threshold is None:
            continue
        pooled = attack_sum[:, np.searchsorted(attacks.score, threshold)] / attack_sum[:, -1]
        passed = bona_fide_sum[:, np.searchsorted(bona_fide.score, threshold)] / bona_fide_sum[:, -1]
        bpcer = 1 - passed
        apcer = _worst_apcer(attacks, attack_weight, threshold)
        for name, value in (
            ("hter", (pooled + bpcer) / 2),
            ("apcer", apcer),
            ("bpcer", bpcer),
            ("acer", (apcer + bpcer) / 2),
        ):
            samples.setdefault(name, []).append(value)
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    intervals = {}
    for name, parts in samples.items():
        low, high = np.quantile(np.concatenate(parts), tails)
        intervals[name] = (float(low), float(high))
    return intervals


def _classes(scores: Scores) -> tuple[_Class, _Class]:
    scores = scores.responses
    parts = []
    for value in (0, 1):
        kept = np.flatnonzero(scores.label == value)
        kept = kept[np.argsort(scores.score[kept], kind="stable")]
        _, video = np.unique(scores.videos[1][kept], return_inverse=True)
        parts.append(_Class(scores.score[kept], video, int(video.max()) + 1, scores.species[1][kept]))
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
