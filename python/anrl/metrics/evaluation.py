"""All metrics of one set of scores, and the evaluation of frame scores video by video."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from anrl.metrics.intervals import Interval, bootstrap
from anrl.metrics.likelihood_ratio import min_cllr
from anrl.metrics.rates import (
    NO_RATES,
    Proportion,
    Rates,
    auc,
    failures_included,
    non_response_rates,
    rates,
)
from anrl.metrics.scores import Aggregate, Scores
from anrl.metrics.thresholds import (
    bpcer_at_apcer,
    detected_at_bpcer,
    eer,
    find_threshold,
    parse_criterion,
    tpr_at_fpr,
)


@dataclass(frozen=True)
class Evaluation:
    """Metrics of scores at a threshold that comes from other data.

    Metrics that need a class without samples are NaN (None in the summary).
    """

    scores: Scores
    threshold: float
    criterion: str | float | None = None
    """The rule that set the threshold, as :func:`anrl.metrics.find_threshold` takes it."""
    by_domain: Mapping[str, "Evaluation"] = field(default_factory=dict, repr=False)
    """The evaluation of every domain by itself, at the same threshold."""
    frames: "Evaluation | None" = field(default=None, repr=False)
    """The frames of these videos, judged one by one at a threshold of their own."""
    validation: "Evaluation | None" = field(default=None, repr=False)
    """The validation data that set the threshold."""

    @cached_property
    def auc(self) -> float:
        """Area under the ROC curve."""
        return auc(self.scores) if self._has_both else math.nan

    @cached_property
    def _eer(self) -> tuple[float, float]:
        return eer(self.scores) if self._has_both else (math.nan, math.nan)

    @property
    def eer(self) -> float:
        """Equal error rate of these scores themselves."""
        return self._eer[0]

    @property
    def eer_threshold(self) -> float:
        """Threshold of the equal error rate of these scores themselves."""
        return self._eer[1]

    @cached_property
    def at_threshold(self) -> Rates:
        """Error rates at the threshold: those of a deployed system."""
        return rates(self.scores, self.threshold)

    @cached_property
    def at_own_eer(self) -> Rates:
        """Error rates at these scores' own equal-error threshold: optimistic, as many papers report them."""
        return rates(self.scores, self.eer_threshold) if self._has_both else NO_RATES

    @property
    def hter(self) -> float:
        """Half total error rate at the threshold."""
        return self.at_threshold.hter

    @property
    def apcer(self) -> float:
        """APCER of the worst attack species at the threshold."""
        return self.at_threshold.apcer

    @property
    def bpcer(self) -> float:
        """BPCER at the threshold."""
        return self.at_threshold.bpcer

    @property
    def acer(self) -> float:
        """Mean of ``apcer`` and ``bpcer``."""
        return self.at_threshold.acer

    @property
    def accuracy(self) -> float:
        """Fraction of samples that are classified correctly at the threshold."""
        return self.at_threshold.accuracy

    @cached_property
    def intervals(self) -> dict[str, Interval]:
        """95 % intervals over videos, of the metrics that exist; see :func:`anrl.metrics.bootstrap`."""
        return bootstrap(self.scores, self.threshold)

    @cached_property
    def bpcer_at_apcer(self) -> dict[int, float]:
        """BPCER10, BPCER20 and BPCER100."""
        return {n: self._at_limit(bpcer_at_apcer, 1 / n) for n in (10, 20, 100)}

    @cached_property
    def tpr_at_fpr(self) -> dict[float, float]:
        """Bona fide samples accepted while at most 1 % or 0.1 % of attacks are."""
        return {limit: self._at_limit(tpr_at_fpr, limit) for limit in (0.01, 0.001)}

    @cached_property
    def min_cllr(self) -> float:
        """Lowest Cllr that a calibration reaches, in bits; see :func:`anrl.metrics.min_cllr`."""
        return min_cllr(self.scores) if self._has_both else math.nan

    @cached_property
    def detected_at_bpcer(self) -> dict[float, float]:
        """Attacks detected while at most 1 % or 0.1 % of bona fide samples are rejected."""
        return {limit: self._at_limit(detected_at_bpcer, limit) for limit in (0.01, 0.001)}

    def summary(self) -> dict[str, Any]:
        """All metrics as plain values, for JSON; of the domains together only."""
        at, (apnrr, bpnrr) = self.at_threshold, non_response_rates(self.scores)
        accepted, rejected = failures_included(self.scores, self.threshold)
        summary: dict[str, Any] = {
            "samples": len(self.scores),
            "auc": self.auc,
            "eer": self.eer,
            "min_cllr": self.min_cllr,
            "threshold": self.threshold,
            "hter": at.hter,
            "apcer": at.apcer,
            "apcer_worst_attack": at.worst_attack if at.accepted_by_attack else None,
            "apcer_by_attack": {name: _values(part) for name, part in at.accepted_by_attack.items()},
            "bpcer": _values(at.rejected_bona_fide),
            "acer": at.acer,
            "accuracy": at.accuracy,
            "attacks_accepted": _values(at.accepted_attacks),
            "intervals_95": self.intervals,
            "bpcer_at_apcer": {f"BPCER{n}": value for n, value in self.bpcer_at_apcer.items()},
            "tpr_at_fpr": {str(fpr): value for fpr, value in self.tpr_at_fpr.items()},
            "attacks_detected_at_bpcer": {str(x): value for x, value in self.detected_at_bpcer.items()},
            "precision_bona_fide": at.precision.rate if self._has_both else None,
            "recall_bona_fide": at.recall.rate if self._has_both else None,
            "f1_bona_fide": at.f1 if self._has_both else None,
            "apnrr": _values(apnrr),
            "bpnrr": _values(bpnrr),
            "attacks_accepted_of_all": _values(accepted),
            "bona_fide_rejected_or_failed": _values(rejected),
            "at_own_eer_threshold": {
                "threshold": self.at_own_eer.threshold,
                "hter": self.at_own_eer.hter,
                "acer": self.at_own_eer.acer,
            },
        }
        plain: dict[str, Any] = _without_nan(summary)
        return plain

    @property
    def _has_both(self) -> bool:
        return self.scores.missing_class is None

    def _at_limit(self, metric: Callable[[Scores, float], float], limit: float) -> float:
        return metric(self.scores, limit) if self._has_both else math.nan


def evaluate_scores(
    frames: Mapping[str, Scores],
    validation: Scores | None = None,
    criterion: str | float = "eer",
    *,
    aggregate: Aggregate = "mean",
) -> Evaluation:
    """Evaluate the frame scores of some domains, at thresholds from validation frames.

    Args:
        frames: Scores of the frames of every domain, by its name.
        validation: Scores of the frames that set the threshold; needed unless the criterion is a number.
        criterion: See :func:`anrl.metrics.find_threshold`; applied at video and at frame level.
        aggregate: How a video's score is made of those of its frames.

    Returns:
        The evaluation of all videos together, with ``by_domain``, ``frames`` and ``validation``. Where the
        videos of no frame are known, it is that of the frames, at their threshold.

    Raises:
        ValueError: the criterion is unknown or lacks validation scores, there is no domain, or a video mixes
            labels.
    """
    if not frames:
        raise ValueError("frames: no domain to evaluate")
    if validation is None and parse_criterion(criterion).kind != "number":
        raise ValueError(f"criterion {criterion!r} needs validation scores; give them, or a number")
    by_frame = _at_one_level(frames, validation, criterion)
    by_video = _at_one_level(
        {name: scores.by_video(aggregate) for name, scores in frames.items()},
        validation.by_video(aggregate) if validation is not None else None,
        criterion,
    )
    by_domain = {
        name: replace(part if frames[name].has_videos else one, frames=one)
        for (name, part), one in zip(by_video.by_domain.items(), by_frame.by_domain.values(), strict=True)
    }
    together = by_video if by_video.scores.has_videos else by_frame
    return replace(together, by_domain=by_domain, frames=by_frame)


def _at_one_level(
    domains: Mapping[str, Scores], validation: Scores | None, criterion: str | float
) -> Evaluation:
    parts = list(domains.values())
    together = Scores.join(parts) if len(parts) > 1 else parts[0]
    threshold = find_threshold(together if validation is None else validation, criterion)
    validated = Evaluation(validation, threshold, criterion) if validation is not None else None
    by_domain = {
        name: Evaluation(scores, threshold, criterion, validation=validated)
        for name, scores in domains.items()
    }
    return Evaluation(together, threshold, criterion, by_domain, validation=validated)


def _without_nan(values: Any) -> Any:
    if isinstance(values, Mapping):
        return {key: _without_nan(value) for key, value in values.items()}
    return None if isinstance(values, float) and math.isnan(values) else values


def _values(proportion: Proportion) -> dict[str, float | int]:
    return {"rate": proportion.rate, "count": proportion.count, "total": proportion.total}
