"""Decision thresholds, and error rates at the threshold that a limit on the other error allows."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from anrl.metrics.scores import Scores


@dataclass(frozen=True)
class Criterion:
    """A rule that sets a threshold on validation data."""

    kind: str
    """"eer", "min-hter", "min-wer", "apcer", "bpcer", or "number"."""
    value: float | None = None
    """The limit on APCER or BPCER, or the weight, in [0, 1]; the threshold itself for a number."""


def parse_criterion(criterion: str | float) -> Criterion:
    """Read a criterion as :func:`find_threshold` takes it.

    Raises:
        ValueError: the criterion is unknown, or X is not in [0, 1].
    """
    try:
        number = float(criterion)
    except ValueError:
        number = float("nan")
    if np.isfinite(number):
        return Criterion("number", number)
    text = str(criterion)
    if text in ("eer", "min-hter"):
        return Criterion(text)
    kind, _, limit = text.partition("@")
    if kind not in ("apcer", "bpcer", "min-wer"):
        raise ValueError(
            f"criterion {text!r} is none of eer, min-hter, min-wer@X, apcer@X, bpcer@X and a number"
        )
    return Criterion(kind, _fraction(limit, text))


def find_threshold(validation: Scores, criterion: str | float = "eer") -> float:
    """Set a threshold on validation data by a criterion.

    Args:
        validation: Scores of data other than those to evaluate.
        criterion: "eer"; "min-hter"; "min-wer@X", the lowest error where that of attacks (all species pooled)
            weighs X and BPCER 1 - X; "apcer@X", the highest threshold with an APCER of at most X for every
            attack species; "bpcer@X", the lowest with a BPCER of at most X; X a fraction ("apcer@0.05") or in
            per cent ("apcer@5%"). A number is itself the threshold. "At most" compares counts: one of a
            hundred is at most 1 %.

    Returns:
        A finite threshold, half-way between scores.

    Raises:
        ValueError: the criterion is unknown, X is not in [0, 1], or a class that it needs is missing.
    """
    parsed = parse_criterion(criterion)
    if parsed.kind == "eer":
        return eer(validation)[1]
    if parsed.kind == "number":
        assert parsed.value is not None
        return parsed.value
    thresholds, accepted, rejected = validation.counts
    bona_fide, attacks = map(len, validation.by_class)
    if parsed.kind == "min-hter":
        validation.need_both_classes()
        return float(thresholds[int(np.argmin(accepted * bona_fide + rejected * attacks))])
    assert parsed.value is not None
    if parsed.kind == "min-wer":
        validation.need_both_classes()
        errors = parsed.value * accepted * bona_fide + (1 - parsed.value) * rejected * attacks
        return float(thresholds[int(np.argmin(errors))])
    if validation.missing_class == ("bona fide" if parsed.kind == "bpcer" else "attack"):
        validation.need_both_classes()
    if parsed.kind == "bpcer":
        return float(thresholds[int(np.argmax(rejected <= largest_count(parsed.value, bona_fide)))])
    allowed = _apcer_is_at_most(validation, parsed.value)
    return float(thresholds[len(thresholds) - 1 - int(np.argmax(allowed[::-1]))])


def largest_count(share: float, total: int) -> int:
    """The largest count that is at most a share of a total, without rounding: 0.01 of 100 allows 1.

    Args:
        share: In [0, 1]; what its shortest decimal says, or a quotient of two integers (1 / 3).
        total: What the share is of.
    """
    count = int(Fraction(repr(float(share))) * total)
    # No decimal says 1 / 3: the quotient that rounds to the same number is meant.
    return count + 1 if count < total and (count + 1) / total == share else count


def eer(scores: Scores) -> tuple[float, float]:
    """Equal error rate and its threshold.

    Of all thresholds between (and just outside) the scores, takes the one where the error rates of attacks
    (all species pooled) and bona fide samples differ least, and returns their mean. The threshold is finite.
    """
    scores.need_both_classes()
    thresholds, accepted, rejected = scores.counts
    bona_fide, attacks = map(len, scores.by_class)
    best = int(np.argmin(np.abs(accepted * bona_fide - rejected * attacks)))
    return float((accepted[best] / attacks + rejected[best] / bona_fide) / 2), float(thresholds[best])


def bpcer_at_apcer(scores: Scores, max_apcer: float) -> float:
    """Lowest BPCER of these scores at thresholds where no species' APCER exceeds ``max_apcer``.

    BPCER10, BPCER20 and BPCER100 of ISO/IEC 30107-3 are those at 0.1, 0.05 and 0.01.
    """
    scores.need_both_classes()
    rejected = scores.counts[2][_apcer_is_at_most(scores, max_apcer)]
    return int(rejected.min()) / len(scores.by_class[0])


def tpr_at_fpr(scores: Scores, max_fpr: float) -> float:
    """Highest fraction of bona fide samples accepted while at most ``max_fpr`` of attacks are.

    Positive means bona fide, as in the ROC curves: the false positive rate is that of attacks, all species
    pooled. For the attacks detected at a rate of bona fide samples rejected see :func:`detected_at_bpcer`.
    """
    scores.need_both_classes()
    _, accepted, rejected = scores.counts
    bona_fide, attacks = map(len, scores.by_class)
    return (bona_fide - int(rejected[accepted <= largest_count(max_fpr, attacks)].min())) / bona_fide


def detected_at_bpcer(scores: Scores, max_bpcer: float) -> float:
    """Highest fraction of attacks (all species pooled) detected while BPCER is at most ``max_bpcer``."""
    scores.need_both_classes()
    _, accepted, rejected = scores.counts
    bona_fide, attacks = map(len, scores.by_class)
    return (attacks - int(accepted[rejected <= largest_count(max_bpcer, bona_fide)].min())) / attacks


def _apcer_is_at_most(scores: Scores, limit: float) -> NDArray[np.bool_]:
    """Whether no species' APCER exceeds a limit, at the thresholds of ``scores.counts``."""
    allowed = np.ones(len(scores.counts[0]), bool)
    for accepted, total in scores.accepted_by_species:
        allowed &= accepted <= largest_count(limit, total)
    return allowed


def _fraction(text: str, criterion: str) -> float:
    try:
        number = float(text.removesuffix("%"))
        # Divided as floating-point numbers, 0.1 % would not be 0.001.
        value = float(Fraction(repr(number)) / 100) if text.endswith("%") else number
    except (ValueError, OverflowError):
        value = -1.0
    if not 0 <= value <= 1:
        raise ValueError(f"criterion {criterion!r}: {text!r} is no fraction in [0, 1]")
    return value
