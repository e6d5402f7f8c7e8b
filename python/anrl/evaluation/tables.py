"""Evaluations as rows of tables: text for people, CSV for programs."""

from collections.abc import Iterator, Mapping
from typing import Any

from anrl.metrics import Evaluation, Proportion, non_response_rates
from anrl.metrics.intervals import Interval
from anrl.metrics.rates import percent

COLUMNS = ("validation", "evaluation")


def levels(evaluation: Evaluation) -> dict[str, dict[str, Evaluation]]:
    """Video and frame level of an evaluation, each with its columns: validation, if any, and evaluation."""
    by_level = {"video": evaluation, "frame": evaluation.frames}
    return {
        level: ({"validation": one.validation} if one.validation is not None else {}) | {"evaluation": one}
        for level, one in by_level.items()
        if one is not None
    }


def text_rows(columns: Mapping[str, Evaluation]) -> list[list[str]]:
    """Evaluations side by side: a row of column names, then one for every metric, its name first."""
    texts = [metric_texts(evaluation) for evaluation in columns.values()]
    names = dict.fromkeys(name for column in texts for name in column)
    return [["", *columns], *([name, *(column.get(name, "") for column in texts)] for name in names)]


def csv_rows(summaries: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[list[object]]:
    """Summaries by level and column: a row of column names, then one for every level and metric.

    Nested metrics have names with dots: "intervals_95.auc.low".
    """
    rows: list[list[object]] = [["level", "metric", *COLUMNS]]
    for level, columns in summaries.items():
        values = {column: dict(_flat(summary)) for column, summary in columns.items()}
        metrics = dict.fromkeys(metric for column in values.values() for metric in column)
        rows += [
            [level, metric, *(values.get(column, {}).get(metric, "") for column in COLUMNS)]
            for metric in metrics
        ]
    return rows


def metric_texts(evaluation: Evaluation) -> dict[str, str]:
    """All metrics of an evaluation as text with counts and 95 % intervals, by the names of their rows."""
    at, own = evaluation.at_threshold, evaluation.at_own_eer
    apnrr, bpnrr = non_response_rates(evaluation.scores)
    bootstrapped = {name: _bounds(interval) for name, interval in evaluation.intervals.items()}
    # The exact interval is for independent samples, which the frames of a video are not.
    is_exact = len(evaluation.scores.videos[0]) == len(evaluation.scores)

    def exact(proportion: Proportion) -> str:
        return _bounds(proportion.interval()) if is_exact else ""

    texts = {
        "AUC": f"{100 * evaluation.auc:.2f} %{bootstrapped['auc']}",
        "EER": f"{percent(evaluation.eer)}{bootstrapped['eer']}",
        "threshold": f"{evaluation.threshold:.4f}",
        "HTER": f"{percent(at.hter)}{bootstrapped['hter']}",
        "APCER (worst)": f"{percent(at.apcer)}{bootstrapped['apcer']} {at.worst_attack}",
    }
    texts |= {f"APCER {name}": f"{part}{exact(part)}" for name, part in at.accepted_by_attack.items()}
    texts |= {
        "BPCER": f"{at.rejected_bona_fide}{exact(at.rejected_bona_fide) or bootstrapped['bpcer']}",
        "ACER": f"{percent(at.acer)}{bootstrapped['acer']}",
        "accuracy": percent(at.accuracy),
    }
    texts |= {f"BPCER{n} (APCER {100 / n:g} %)": percent(v) for n, v in evaluation.bpcer_at_apcer.items()}
    texts |= {f"TPR at FPR {100 * fpr:g} %": percent(v) for fpr, v in evaluation.tpr_at_fpr.items()}
    if apnrr.count or bpnrr.count:
        texts |= {"APNRR": str(apnrr), "BPNRR": str(bpnrr)}
    texts["HTER at own EER threshold (optimistic)"] = f"{percent(own.hter)}, at {own.threshold:.4f}"
    return texts


def _bounds(interval: Interval) -> str:
    low, high = interval
    return f" [{100 * low:.1f}, {100 * high:.1f}]"


def _flat(values: Any, prefix: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(values, Mapping):
        for key, value in values.items():
            yield from _flat(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(values, tuple):
        yield from _flat(dict(zip(("low", "high"), values, strict=True)), prefix)
    else:
        yield prefix, values
