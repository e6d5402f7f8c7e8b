"""All metrics of one set of scores, and the table of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from anrl.metrics.intervals import Interval, bootstrap
from anrl.metrics.rates import (
    Rates,
    Share,
    auc,
    bpcer_at_apcer,
    eer,
    non_response_rates,
    percent,
    rates,
    tpr_at_fpr,
)
from anrl.metrics.scores import Scores


@dataclass(frozen=True)
class Judgement:
    """How well scores separate bona fide samples from attacks, at a threshold from elsewhere."""

    scores: Scores
    threshold: float

    @cached_property
    def auc(self) -> float:
        """Area under the ROC curve."""
        return auc(self.scores)

    @cached_property
    def _eer(self) -> tuple[float, float]:
        return eer(self.scores)

    @property
    def eer(self) -> float:
        """Equal error rate on these scores themselves."""
        return self._eer[0]

    @cached_property
    def at_threshold(self) -> Rates:
        """Error rates at the threshold: what a deployed system would see."""
        return rates(self.scores, self.threshold)

    @cached_property
    def at_own_eer(self) -> Rates:
        """Error rates at these scores' own equal-error threshold: optimistic, as many papers report them."""
        return rates(self.scores, self._eer[1])

    @cached_property
    def intervals(self) -> dict[str, Interval]:
        """95 % bootstrap intervals over videos; see :func:`anrl.metrics.bootstrap`."""
        return bootstrap(self.scores, self.threshold)

    @cached_property
    def bpcer_at_apcer(self) -> dict[int, float]:
        """BPCER10, BPCER20 and BPCER100."""
        return {n: bpcer_at_apcer(self.scores, 1 / n) for n in (10, 20, 100)}

    @cached_property
    def tpr_at_fpr(self) -> dict[float, float]:
        """Attacks detected while at most 1 % or 0.1 % of bona fide samples are rejected."""
        return {fpr: tpr_at_fpr(self.scores, fpr) for fpr in (0.01, 0.001)}

    def summary(self) -> dict[str, Any]:
        """Everything as plain values, for JSON."""
        at, (apnrr, bpnrr) = self.at_threshold, non_response_rates(self.scores)
        return {
            "samples": len(self.scores),
            "auc": self.auc,
            "eer": self.eer,
            "threshold": self.threshold,
            "hter": at.hter,
            "apcer": at.apcer,
            "apcer_worst_attack": at.worst_attack,
            "apcer_by_attack": {name: _share(share) for name, share in at.missed.items()},
            "bpcer": _share(at.false_alarms),
            "acer": at.acer,
            "accuracy": at.accuracy,
            "intervals_95": self.intervals,
            "bpcer_at_apcer": {f"BPCER{n}": value for n, value in self.bpcer_at_apcer.items()},
            "tpr_at_fpr": {str(fpr): value for fpr, value in self.tpr_at_fpr.items()},
            "apnrr": _share(apnrr),
            "bpnrr": _share(bpnrr),
            "at_own_eer_threshold": {
                "threshold": self.at_own_eer.threshold,
                "hter": self.at_own_eer.hter,
                "acer": self.at_own_eer.acer,
            },
        }

    def entries(self) -> dict[str, str]:
        """Everything as text, by the name of its row in a table."""
        at, own = self.at_threshold, self.at_own_eer
        apnrr, bpnrr = non_response_rates(self.scores)
        found = {
            "AUC": f"{100 * self.auc:.2f} %{self._interval('auc')}",
            "EER": f"{percent(self.eer)}{self._interval('eer')}",
            "threshold": f"{self.threshold:.4f}",
            "HTER": f"{percent(at.hter)}{self._interval('hter')}",
            "APCER (worst)": f"{percent(at.apcer)}{self._interval('apcer')} {at.worst_attack}",
        }
        for name, share in at.missed.items():
            found[f"APCER {name}"] = f"{share}{self._exact(share)}"
        found |= {
            "BPCER": f"{at.false_alarms}{self._exact(at.false_alarms) or self._interval('bpcer')}",
            "ACER": f"{percent(at.acer)}{self._interval('acer')}",
            "accuracy": percent(at.accuracy),
        }
        found |= {f"BPCER{n} (APCER {100 / n:g} %)": percent(v) for n, v in self.bpcer_at_apcer.items()}
        found |= {f"TPR at FPR {100 * fpr:g} %": percent(v) for fpr, v in self.tpr_at_fpr.items()}
        if apnrr.count or bpnrr.count:
            found |= {"APNRR": str(apnrr), "BPNRR": str(bpnrr)}
        found["HTER at own EER threshold (optimistic)"] = f"{percent(own.hter)}, at {own.threshold:.4f}"
        return found

    def _interval(self, name: str) -> str:
        return _bounds(self.intervals[name])

    def _exact(self, share: Share) -> str:
        """The Clopper-Pearson interval; nothing for frames, which are not independent within a video."""
        return _bounds(share.interval()) if len(self.scores.videos[0]) == len(self.scores) else ""


def judgement_rows(columns: Mapping[str, Judgement]) -> list[list[str]]:
    """Judgements side by side: a row of column names, then one for every metric, its name first."""
    entries = [judgement.entries() for judgement in columns.values()]
    names = dict.fromkeys(name for found in entries for name in found)
    return [["", *columns], *([name, *(found.get(name, "") for found in entries)] for name in names)]


def _share(share: Share) -> dict[str, float | int]:
    return {"rate": share.rate, "count": share.count, "total": share.total}


def _bounds(interval: Interval) -> str:
    low, high = interval
    return f" [{100 * low:.1f}, {100 * high:.1f}]"
