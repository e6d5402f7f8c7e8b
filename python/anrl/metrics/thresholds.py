"""Decision thresholds, and error rates at the threshold that a limit on the other error allows."""

from dataclasses import dataclass

import numpy as np

from anrl.metrics.scores import Scores


@dataclass(frozen=True)
class Criterion:
    """A rule that sets a threshold on validation data."""

    kind: str
    """"eer", "min-hter", "apcer", "bpcer", or "number"."""
    value: float | None = None
    """The limit on APCER or BPCER, in [0, 1]; the threshold itself for a number."""


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
    if kind not in ("apcer", "bpcer"):
        raise ValueError(f"criterion {text!r} is none of eer, min-hter, apcer@X, bpcer@X and a number")
    return Criterion(kind, _fraction(limit, text))


def find_threshold(validation: Scores, criterion: str | float = "eer") -> float:
    """Set a threshold on validation data by a criterion.

    Args:
        validation: Scores of data other than those to evaluate.
        criterion: "eer"; "min-hter"; "apcer@X", the highest threshold with an APCER of at most X for every
            attack species; "bpcer@X", the lowest with a BPCER of at most X; X a fraction ("apcer@0.05") or in
            per cent ("apcer@5%"). A number is itself the threshold.

    Returns:
        A finite threshold, half-way between scores.

    Raises:
        ValueError: the criterion is unknown, or X is not in [0, 1].
    """
    parsed = parse_criterion(criterion)
    if parsed.kind == "eer":
        return eer(validation)[1]
    if parsed.kind == "number":
        assert parsed.value is not None
        return parsed.value
    thresholds, accepted, rejected = validation.curves
    if parsed.kind == "min-hter":
        return float(thresholds[int(np.argmin(accepted + rejected))])
    assert parsed.value is not None
    if parsed.kind == "bpcer":
        return float(thresholds[int(np.argmax(rejected <= parsed.value))])
    allowed = validation.worst_accepted <= parsed.value
    return float(thresholds[len(thresholds) - 1 - int(np.argmax(allowed[::-1]))])


def eer(scores: Scores) -> tuple[float, float]:
    """Equal error rate and its threshold.

    Of all thresholds between (and just outside) the scores, takes the one where the error rates of attacks
    (all species pooled) and bona fide samples differ least, and returns their mean. The threshold is finite.
    """
    thresholds, accepted, rejected = scores.curves
    best = int(np.argmin(np.abs(accepted - rejected)))
    return float((accepted[best] + rejected[best]) / 2), float(thresholds[best])


def bpcer_at_apcer(scores: Scores, max_apcer: float) -> float:
    """Lowest BPCER of these scores at thresholds where no species' APCER exceeds ``max_apcer``.

    BPCER10, BPCER20 and BPCER100 of ISO/IEC 30107-3 are those at 0.1, 0.05 and 0.01.
    """
    _, _, rejected = scores.curves
    return float(rejected[scores.worst_accepted <= max_apcer].min())


def tpr_at_fpr(scores: Scores, max_fpr: float) -> float:
    """Highest fraction of attacks detected while at most ``max_fpr`` of bona fide samples are rejected."""
    _, accepted, rejected = scores.curves
    return float(1 - accepted[rejected <= max_fpr].min())


def _fraction(text: str, criterion: str) -> float:
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ValueError(f"criterion {criterion!r}: {text!r} is no fraction in [0, 1]")
    return value
