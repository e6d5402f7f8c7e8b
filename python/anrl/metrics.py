"""Presentation attack detection metrics in the terms of ISO/IEC 30107-3.

Labels: 0 = bona fide, 1 = attack. A score is the probability of attack; a sample is taken for an attack if
its score is at least the threshold. Rates are fractions in [0, 1].
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """Scores of N samples (frames or videos)."""

    score: Floats
    """(N,): probability of attack."""
    label: NDArray[np.int64]
    """(N,): 0 = bona fide, 1 = attack."""
    video: Sequence[str]
    """(N,): the video each belongs to."""
    attack: Sequence[str]
    """(N,): attack species; empty for bona fide or if unknown."""

    def __post_init__(self) -> None:
        """Checks the arrays.

        Raises:
            ValueError: lengths differ, a class is missing or a score is not finite.
        """
        lengths = {len(self.score), len(self.label), len(self.video), len(self.attack)}
        if len(lengths) != 1:
            raise ValueError(f"scores, labels, videos and attacks differ in length: {sorted(lengths)}")
        if set(np.unique(self.label)) != {0, 1}:
            raise ValueError("metrics need bona fide (label 0) and attack (label 1) samples")
        if not np.isfinite(self.score).all():
            raise ValueError(f"{int((~np.isfinite(self.score)).sum())} scores are not finite")

    @staticmethod
    def join(parts: Sequence["Scores"]) -> "Scores":
        """The samples of several domains together; videos of the same name in two domains stay two."""
        return Scores(
            np.concatenate([p.score for p in parts]),
            np.concatenate([p.label for p in parts]),
            [f"{k}/{video}" for k, p in enumerate(parts) for video in p.video],
            [attack for p in parts for attack in p.attack],
        )

    def by_video(self) -> "Scores":
        """The mean score of every video, in the order of their first frames.

        Raises:
            ValueError: a video has frames of both classes or of two attack species.
        """
        names, first, group = np.unique(np.asarray(self.video), return_index=True, return_inverse=True)
        label, attack = self.label[first], np.asarray(self.attack)[first]
        mixed = (self.label != label[group]) | (np.asarray(self.attack) != attack[group])
        if mixed.any():
            raise ValueError(f"video {names[group[mixed][0]]!r} has frames of more than one label or attack")
        mean = np.bincount(group, self.score) / np.bincount(group)
        order = np.argsort(first)
        return Scores(mean[order], label[order], names[order].tolist(), attack[order].tolist())


@dataclass(frozen=True)
class Rates:
    """Error rates at one threshold."""

    threshold: float
    apcer: float
    """Attack presentation classification error rate of the worst attack species."""
    apcer_by_attack: dict[str, float]
    """The same for each species."""
    bpcer: float
    """Bona fide presentation classification error rate."""
    acer: float
    """Mean of ``apcer`` and ``bpcer``."""
    hter: float
    """Half total error rate: mean of the error rate of all attacks pooled and ``bpcer``."""


def auc(scores: Scores) -> float:
    """Area under the ROC curve: the chance that an attack scores higher than a bona fide sample."""
    from sklearn.metrics import roc_auc_score  # takes a second to import

    return float(roc_auc_score(scores.label, scores.score))


def auc_interval(
    scores: Scores, confidence: float = 0.95, resamples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Bootstrap confidence interval of the AUC, drawing whole videos within each class.

    Frames of one video are not independent, so they are drawn together.
    """
    generator = np.random.default_rng(seed)
    _, video = np.unique(np.asarray(scores.video), return_inverse=True)
    ranked = [(scores.score[scores.label == c], video[scores.label == c]) for c in (0, 1)]
    values = np.empty(resamples)
    wins = _video_wins(ranked[1], ranked[0])
    frames = [np.unique(v, return_counts=True)[1] for _, v in ranked]
    for i in range(resamples):
        real, fake = (np.bincount(generator.integers(0, len(f), len(f)), minlength=len(f)) for f in frames)
        values[i] = fake @ wins @ real / ((fake @ frames[1]) * (real @ frames[0]))
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _video_wins(attacks: tuple[Floats, NDArray[np.int64]], real: tuple[Floats, NDArray[np.int64]]) -> Floats:
    """(attack videos, bona fide videos): frame pairs in which the attack scores higher; ties count half."""
    attack_videos, attack_group = np.unique(attacks[1], return_inverse=True)
    real_videos = np.unique(real[1])
    wins = np.empty((len(attack_videos), len(real_videos)))
    for j, name in enumerate(real_videos):
        frames = np.sort(real[0][real[1] == name])
        below = np.searchsorted(frames, attacks[0], "left")
        not_above = np.searchsorted(frames, attacks[0], "right")
        wins[:, j] = np.bincount(attack_group, (below + not_above) / 2)
    return wins


def eer(scores: Scores) -> tuple[float, float]:
    """Equal error rate and its threshold.

    Of all thresholds between (and just outside) the scores, takes the one where the error rates of attacks
    (pooled) and bona fide samples differ least, and returns their mean. The threshold is always finite.
    """
    levels = np.unique(scores.score)
    outside = max(1e-6, 1e-6 * float(np.abs(levels).max()))
    thresholds = np.concatenate(
        [[levels[0] - outside], levels[:-1] + np.diff(levels) / 2, [levels[-1] + outside]]
    )
    real, fake = (np.sort(scores.score[scores.label == c]) for c in (0, 1))
    missed = np.searchsorted(fake, thresholds, "left") / len(fake)
    false_alarms = 1 - np.searchsorted(real, thresholds, "left") / len(real)
    best = int(np.argmin(np.abs(missed - false_alarms)))
    return float((missed[best] + false_alarms[best]) / 2), float(thresholds[best])


def rates(scores: Scores, threshold: float) -> Rates:
    """Error rates at a threshold, which should come from other data than ``scores``."""
    said_attack = scores.score >= threshold
    is_attack = scores.label == 1
    attack = np.asarray(scores.attack)
    by_attack = {
        str(name) or "attack": float(1 - said_attack[is_attack & (attack == name)].mean())
        for name in np.unique(attack[is_attack])
    }
    apcer, bpcer = max(by_attack.values()), float(said_attack[~is_attack].mean())
    pooled = float(1 - said_attack[is_attack].mean())
    return Rates(threshold, apcer, by_attack, bpcer, (apcer + bpcer) / 2, (pooled + bpcer) / 2)
