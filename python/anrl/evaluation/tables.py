"""Evaluations as rows of tables: text for people, CSV for programs."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from anrl.metrics import Evaluation, Proportion, failures_included, non_response_rates
from anrl.metrics.intervals import Interval
from anrl.metrics.rates import percent

COLUMNS = ("validation", "evaluation")
_LARGE_BOUND = 0.1
_Entry = tuple[str, float, str]
"""Name of a row, the value of the metric, and its text."""


def levels(evaluation: Evaluation) -> dict[str, dict[str, Evaluation]]:
    """Video and frame level of an evaluation, each with its columns: validation, if any, and evaluation.

    Where no videos are known there is the frame level only.
    """
    by_level = {"video": evaluation if evaluation.scores.has_videos else None, "frame": evaluation.frames}
    if not evaluation.scores.has_videos:
        by_level["frame"] = evaluation
    return {
        level: ({"validation": one.validation} if one.validation is not None else {}) | {"evaluation": one}
        for level, one in by_level.items()
        if one is not None
    }


def text_rows(columns: Mapping[str, Evaluation]) -> list[list[str]]:
    """Tabulate evaluations side by side: a row of column names, then one for every metric, its name first."""
    texts = [metric_texts(evaluation) for evaluation in columns.values()]
    names = dict.fromkeys(name for column in texts for name in column)
    return [["", *columns], *([name, *(column.get(name, "") for column in texts)] for name in names)]


def csv_rows(summaries: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[list[object]]:
    """Tabulate summaries by level and column: a row of column names, then one for every level and metric.

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
    """All metrics of an evaluation as text with counts and 95 % intervals, by the names of their rows.

    Metrics that do not exist, as a class has no samples, are left out.
    """
    at, own = evaluation.at_threshold, evaluation.at_own_eer
    scores = evaluation.scores
    apnrr, bpnrr = non_response_rates(scores)
    bootstrapped = {name: _bounds(interval) for name, interval in evaluation.intervals.items()}
    # The exact interval is for independent samples, which the frames of a video are not.
    is_exact = len(set(scores.videos.tolist())) == len(scores)

    def bounds(metric: str) -> str:
        return bootstrapped.get(metric, "")

    def exact(proportion: Proportion) -> str:
        return _bounds(proportion.interval()) if is_exact and proportion.total else ""

    def limited(values: Mapping[float, float], name: str) -> list[_Entry]:
        return [(name.format(100 * limit), value, percent(value)) for limit, value in values.items()]

    entries: list[_Entry] = [
        ("AUC", evaluation.auc, f"{100 * evaluation.auc:.2f} %{bounds('auc')}"),
        ("EER", evaluation.eer, f"{percent(evaluation.eer)}{bounds('eer')}"),
        ("threshold", evaluation.threshold, f"{evaluation.threshold:.4f}"),
        ("HTER", at.hter, f"{percent(at.hter)}{bounds('hter')}"),
        ("APCER (worst)", at.apcer, f"{percent(at.apcer)}{bounds('apcer')} {species_text(at.worst_attack)}"),
        *(
            (f"APCER {species_text(name)}", part.rate, f"{part}{exact(part)}")
            for name, part in at.accepted_by_attack.items()
        ),
        ("BPCER", at.bpcer, f"{at.rejected_bona_fide}{exact(at.rejected_bona_fide) or bounds('bpcer')}"),
        ("ACER", at.acer, f"{percent(at.acer)}{bounds('acer')}"),
        ("accuracy", at.accuracy, percent(at.accuracy)),
        *(
            (f"{name} (positive: bona fide)", value if scores.missing_class is None else math.nan, text)
            for name, value, text in (
                ("precision", at.precision.rate, str(at.precision)),
                ("recall", at.recall.rate, str(at.recall)),
                ("F1", at.f1, percent(at.f1)),
            )
        ),
        *(
            (f"BPCER{n} (APCER {100 / n:g} %)", value, percent(value))
            for n, value in evaluation.bpcer_at_apcer.items()
        ),
        *limited(evaluation.tpr_at_fpr, "TPR at FPR {:g} % (positive: bona fide)"),
        *limited(evaluation.detected_at_bpcer, "attacks detected at BPCER {:g} %"),
    ]
    entries.append(("min Cllr (bits)", evaluation.min_cllr, f"{evaluation.min_cllr:.3f}"))
    if apnrr.count or bpnrr.count:
        accepted, rejected = failures_included(scores, evaluation.threshold)
        for name, part in (
            ("APNRR", apnrr),
            ("BPNRR", bpnrr),
            ("attacks accepted, of all", accepted),
            ("bona fide rejected or failed", rejected),
        ):
            entries.append((name, part.rate, str(part)))
    entries.append(
        ("HTER at own EER threshold (optimistic)", own.hter, f"{percent(own.hter)}, at {own.threshold:.4f}")
    )
    return {name: text for name, value, text in entries if not math.isnan(value)}


def fold_rows(folds: Sequence[Evaluation]) -> list[list[str]]:
    """Mean and standard deviation of the metrics of folds: a row of column names, then one for each metric.

    The standard deviation is that of a sample (n - 1); one fold has none.
    """
    columns = ["evaluation", *(["validation"] if all(fold.validation is not None for fold in folds) else [])]
    rows = []
    for name, value in _FOLD_METRICS.items():
        texts = []
        for column in columns:
            parts = folds if column == "evaluation" else [fold.validation for fold in folds]
            values = np.array([value(part) for part in parts if part is not None])
            spread = f"{100 * values.std(ddof=1):.1f}" if len(values) > 1 else "-"
            texts.append("" if np.isnan(values).any() else f"{100 * values.mean():.1f} ± {spread} %")
        if any(texts):
            rows.append([name, *texts])
    return [["", *columns], *rows]


_FOLD_METRICS: dict[str, Callable[[Evaluation], float]] = {
    "AUC": lambda fold: fold.auc,
    "EER": lambda fold: fold.eer,
    "HTER": lambda fold: fold.hter,
    "APCER (worst)": lambda fold: fold.apcer,
    "BPCER": lambda fold: fold.bpcer,
    "ACER": lambda fold: fold.acer,
    "accuracy": lambda fold: fold.accuracy,
    "BPCER10 (APCER 10 %)": lambda fold: fold.bpcer_at_apcer[10],
    "BPCER20 (APCER 5 %)": lambda fold: fold.bpcer_at_apcer[20],
    "BPCER100 (APCER 1 %)": lambda fold: fold.bpcer_at_apcer[100],
    "TPR at FPR 1 % (positive: bona fide)": lambda fold: fold.tpr_at_fpr[0.01],
}


def species_text(name: str) -> str:
    """Name of an attack species for people; "(unknown species)" for the empty name, like no other."""
    if not name:
        return "(unknown species)"
    return repr(name) if name[0] in "('\"" else name


def notes(evaluation: Evaluation) -> list[str]:
    """What a reader must know of an evaluation: missing classes, failures, species too few to judge."""
    scores, remarks = evaluation.scores, []
    if scores.missing_class is not None:
        remarks.append(
            f"There is no {scores.missing_class} sample with a score: rates that need one are left out."
        )
    if failed := int(np.isnan(scores.score).sum()):
        remarks.append(
            f"{failed} of {len(scores)} have no score: failures to acquire, counted in APNRR and BPNRR only."
        )
    if len(np.unique(scores.responses.score)) == 1 and len(scores.responses) > 1:
        remarks.append("All scores are equal: they separate nothing.")
    few = [
        f"{species_text(name)} ({part.total})"
        for name, part in evaluation.at_threshold.accepted_by_attack.items()
        if 3 / part.total > _LARGE_BOUND
    ]
    if few:
        remarks.append(
            f"Few attacks of {', '.join(few)}: with none of n accepted APCER may still be 3 / n, at 95 % "
            f"confidence: more than {100 * _LARGE_BOUND:g} %."
        )
    return remarks


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
        yield prefix, "" if values is None else values
