"""Error rates at a threshold in the terms of ISO/IEC 30107-3, and the area under the ROC curve."""

import math
from dataclasses import dataclass

import numpy as np

from anrl.metrics.scores import Scores


@dataclass(frozen=True)
class Proportion:
    """A count out of a total."""

    count: int
    total: int

    @property
    def rate(self) -> float:
        """The fraction, in [0, 1]; NaN of nothing."""
        return self.count / self.total if self.total else math.nan

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Clopper-Pearson confidence interval of the rate.

        It is exact for independent samples: for videos, not for the frames of a video.
        """
        if not self.total:
            return math.nan, math.nan
        from scipy.stats import binomtest  # takes a second to import

        interval = binomtest(self.count, self.total).proportion_ci(confidence, method="exact")
        return float(interval.low), float(interval.high)

    def __str__(self) -> str:
        """Format as in "19.5 % (78/400)"."""
        return f"{percent(self.rate)} ({self.count}/{self.total})"


@dataclass(frozen=True)
class Rates:
    """Error rates at one threshold; all are fractions in [0, 1], and NaN where a class has no samples."""

    threshold: float
    """A sample is classified as an attack if its score is at least this."""
    accepted_by_attack: dict[str, Proportion]
    """Attacks classified as bona fide, for each attack species (the empty name where it is unknown)."""
    rejected_bona_fide: Proportion
    """Bona fide samples classified as attacks."""

    @property
    def accepted_attacks(self) -> Proportion:
        """Attacks of all species together that are classified as bona fide."""
        species = self.accepted_by_attack.values()
        return Proportion(sum(s.count for s in species), sum(s.total for s in species))

    @property
    def apcer_by_attack(self) -> dict[str, float]:
        """Attack presentation classification error rate (APCER) of every species."""
        return {name: proportion.rate for name, proportion in self.accepted_by_attack.items()}

    @property
    def worst_attack(self) -> str:
        """Name of the species with the highest APCER; empty if that species is unknown."""
        return max(self.accepted_by_attack, key=lambda name: self.accepted_by_attack[name].rate, default="")

    @property
    def apcer(self) -> float:
        """APCER of the worst species."""
        return self.accepted_by_attack.get(self.worst_attack, _NOTHING).rate

    @property
    def bpcer(self) -> float:
        """Bona fide presentation classification error rate."""
        return self.rejected_bona_fide.rate

    @property
    def acer(self) -> float:
        """Average classification error rate: mean of ``apcer`` (of the worst species) and ``bpcer``."""
        return (self.apcer + self.bpcer) / 2

    @property
    def hter(self) -> float:
        """Half total error rate: mean of the error rate of all attacks pooled and ``bpcer``."""
        return (self.accepted_attacks.rate + self.bpcer) / 2

    @property
    def accuracy(self) -> float:
        """Fraction of all samples that are classified correctly."""
        attacks, bona_fide = self.accepted_attacks, self.rejected_bona_fide
        total = attacks.total + bona_fide.total
        return Proportion(total - attacks.count - bona_fide.count, total).rate

    @property
    def precision(self) -> Proportion:
        """Bona fide samples among all samples classified as bona fide; a total of 0 if there are none."""
        accepted = self.rejected_bona_fide.total - self.rejected_bona_fide.count
        return Proportion(accepted, accepted + self.accepted_attacks.count)

    @property
    def recall(self) -> Proportion:
        """Bona fide samples classified as such: 1 - ``bpcer``."""
        total = self.rejected_bona_fide.total
        return Proportion(total - self.rejected_bona_fide.count, total)

    @property
    def f1(self) -> float:
        """F1 score of bona fide samples: the harmonic mean of ``precision`` and ``recall``."""
        accepted, wrong = self.recall.count, self.rejected_bona_fide.count + self.accepted_attacks.count
        return Proportion(2 * accepted, 2 * accepted + wrong).rate


_NOTHING = Proportion(0, 0)
NO_RATES = Rates(math.nan, {}, _NOTHING)
"""Rates that do not exist: all are NaN."""


def rates(scores: Scores, threshold: float) -> Rates:
    """Error rates at a threshold, which should come from other data than ``scores``.

    Samples without a score take no part.
    """
    scores = scores.responses
    is_attack, predicted_attack = scores.label == 1, scores.score >= threshold
    names, species = scores.species
    totals = np.bincount(species[is_attack], minlength=len(names))
    accepted = np.bincount(species[is_attack & ~predicted_attack], minlength=len(names))
    accepted_by_attack = {
        name: Proportion(int(accepted[i]), int(totals[i])) for i, name in enumerate(names) if totals[i]
    }
    rejected = Proportion(int((predicted_attack & ~is_attack).sum()), int((~is_attack).sum()))
    return Rates(threshold, dict(sorted(accepted_by_attack.items())), rejected)


def apcer(scores: Scores, threshold: float) -> float:
    """Attack presentation classification error rate of the worst attack species, in [0, 1]."""
    return rates(scores, threshold).apcer


def bpcer(scores: Scores, threshold: float) -> float:
    """Bona fide presentation classification error rate, in [0, 1]."""
    return rates(scores, threshold).bpcer


def acer(scores: Scores, threshold: float) -> float:
    """Average classification error rate: mean of :func:`apcer` and :func:`bpcer`, in [0, 1]."""
    return rates(scores, threshold).acer


def hter(scores: Scores, threshold: float) -> float:
    """Half total error rate: mean of the error rate of all attacks pooled and :func:`bpcer`, in [0, 1]."""
    return rates(scores, threshold).hter


def auc(scores: Scores) -> float:
    """Area under the ROC curve: the probability that an attack scores higher than a bona fide sample.

    Equal scores count one half.

    Raises:
        ValueError: a class has no samples.
    """
    scores.need_both_classes()
    bona_fide, attacks = scores.by_class
    lower = np.searchsorted(bona_fide, attacks, "left").sum()
    not_higher = np.searchsorted(bona_fide, attacks, "right").sum()
    return float(int(lower + not_higher) / (2 * len(bona_fide) * len(attacks)))


def non_response_rates(scores: Scores) -> tuple[Proportion, Proportion]:
    """Failures to acquire: APNRR (of attacks) and BPNRR (of bona fide samples)."""
    failed = np.isnan(scores.score)
    attacks, bona_fide = (
        Proportion(int(failed[scores.label == value].sum()), int((scores.label == value).sum()))
        for value in (1, 0)
    )
    return attacks, bona_fide


def failures_included(scores: Scores, threshold: float) -> tuple[Proportion, Proportion]:
    """Attacks accepted, and bona fide samples rejected, of all presentations at a threshold.

    A failure to acquire lets no attack pass, and no bona fide user either.
    """
    at, (attacks, bona_fide) = rates(scores, threshold), non_response_rates(scores)
    rejected = at.rejected_bona_fide.count + bona_fide.count
    return Proportion(at.accepted_attacks.count, attacks.total), Proportion(rejected, bona_fide.total)


def riapar(iapar: float, frr: float) -> float:
    """Relative impostor attack presentation accept rate of ISO/IEC 30107-3:2023: 1 + (IAPAR - (1 - FRR)).

    Args:
        iapar: Impostor attack presentation accept rate of the full system, comparison included, in [0, 1].
        frr: False reject rate of the same system, in [0, 1].
    """
    return 1 + (iapar - (1 - frr))


def percent(rate: float) -> str:
    """Format a fraction: 0.125 → "12.5 %"."""
    return f"{100 * rate:.1f} %"
