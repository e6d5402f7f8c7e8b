"""Tables of a protocol's cells: mean and standard deviation over seeds, and paired tests."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from anrl.experiments.leave_one_out import Cell, titles
from anrl.metrics import Evaluation

Results = Mapping[Cell, Evaluation]

MEASURES: dict[str, Callable[[Evaluation], float]] = {
    "hter": lambda evaluation: evaluation.hter,
    "auc": lambda evaluation: evaluation.auc,
    "hter_at_target_eer": lambda evaluation: evaluation.at_own_eer.hter,
    "apcer": lambda evaluation: evaluation.apcer,
    "bpcer": lambda evaluation: evaluation.bpcer,
}
"""Values of a cell, by the names of their columns in ``results.csv``."""

MEASURE_TITLES = {
    "hter": "HTER at the threshold from validation subjects of the sources",
    "auc": "AUC",
    "hter_at_target_eer": "HTER at the unseen domain's own equal-error threshold (optimistic)",
}
"""Measures with a table of their own."""


@dataclass(frozen=True)
class Comparison:
    """Comparison of a method's cells with a reference's cells of the same unseen domain and seed."""

    method: str
    measure: str
    pairs: int
    difference: float
    """Mean of the method's value minus the reference's."""
    higher: int
    """Pairs in which the method's value is higher."""
    lower: int
    p_value: float
    """Two-sided Wilcoxon signed-rank test; it takes pairs for independent, which seeds of one domain are not
    quite. Not a number if all pairs are equal."""


def compare(results: Results, reference: str, method: str, measure: str) -> Comparison | None:
    """Compare two methods on the cells that both have; None if there are none."""
    from scipy.stats import wilcoxon  # takes a second to import

    pairs = [
        (MEASURES[measure](result), MEASURES[measure](results[other]))
        for cell, result in results.items()
        if cell.method == method and (other := Cell(cell.unseen, reference, cell.seed)) in results
    ]
    if not pairs:
        return None
    differences = np.subtract(*np.array(pairs).T)
    changed = differences[np.abs(differences) > 1e-12]
    p_value = float(wilcoxon(changed).pvalue) if len(changed) else float("nan")
    return Comparison(
        method,
        measure,
        len(pairs),
        float(differences.mean()),
        int((differences > 1e-12).sum()),
        int((differences < -1e-12).sum()),
        p_value,
    )


def rows(results: Results, measure: str, methods: Sequence[str], unseen: Sequence[str]) -> list[list[str]]:
    """Table rows of a measure, one for every method: its title, then "mean ± sd" for each unseen domain.

    The last column is the mean over domains of each seed, then mean and standard deviation over seeds.
    Missing cells are dashes; a mean over fewer seeds than the others has their number.
    """
    seeds = sorted({cell.seed for cell in results})
    table = []
    for method in methods:
        values = np.full((len(seeds), len(unseen)), np.nan)
        for cell, result in results.items():
            if cell.method == method and cell.unseen in unseen:
                values[seeds.index(cell.seed), unseen.index(cell.unseen)] = MEASURES[measure](result)
        means = values[~np.isnan(values).any(1)].mean(1)
        entries = [_entry(column[~np.isnan(column)], len(seeds)) for column in values.T]
        table.append([titles()[method], *entries, _entry(means, len(seeds))])
    return table


def table_markdown(
    results: Results, methods: Sequence[str], unseen: Sequence[str], reference: str = "anrl"
) -> str:
    """Format all tables as Markdown: each measure, then the paired tests against the reference."""
    text = [f"Video level, per cent, {over_seeds(len({cell.seed for cell in results}))}.", ""]
    for measure, title in MEASURE_TITLES.items():
        table = [["", *unseen, "mean"], *rows(results, measure, methods, unseen)]
        text += [f"**{title}**", "", *_lines(table), ""]
    paired = paired_rows(results, methods, reference)
    text += ["**Paired by unseen domain and seed** (Wilcoxon signed-rank, two-sided)", "", *_lines(paired)]
    return "\n".join(text) + "\n"


def paired_rows(results: Results, methods: Sequence[str], reference: str) -> list[list[str]]:
    """Table of the paired tests against the reference: a row of column names, then one for each method."""
    title = titles()[reference]
    table = [[f"against {title}", "pairs", "HTER", "worse : better", "p", "AUC", "better : worse", "p"]]
    for method in methods:
        by_hter, by_auc = (compare(results, reference, method, measure) for measure in ("hter", "auc"))
        if method == reference or by_hter is None or by_auc is None:
            continue
        entries = [titles()[method], str(by_hter.pairs)]
        for test in (by_hter, by_auc):
            counts = f"{test.higher} : {test.lower}"
            p_value = "< 0.001" if test.p_value < 0.001 else f"{test.p_value:.3f}"
            entries += [f"{100 * test.difference:+.1f}", counts, p_value]
        table.append(entries)
    return table


def over_seeds(count: int) -> str:
    """Describe the entries of a table over that many seeds."""
    return "one seed" if count == 1 else f"mean ± standard deviation over {count} seeds"


def results_csv(results: Results) -> str:
    """Format all measures as CSV: a line for every cell."""
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(["unseen", "method", "seed", *MEASURES])
    for cell, result in results.items():
        writer.writerow(
            [cell.unseen, cell.method, cell.seed, *(value(result) for value in MEASURES.values())]
        )
    return stream.getvalue()


def _entry(values: np.ndarray, seeds: int) -> str:
    if not len(values):
        return "-"
    text = f"{100 * values.mean():.1f}"
    if len(values) > 1:
        text += f" ± {100 * values.std(ddof=1):.1f}"
    return text if len(values) == seeds else f"{text} ({len(values)} of {seeds})"


def _lines(table: Sequence[Sequence[str]]) -> list[str]:
    """Format a table as lines of Markdown; its first row has the names of the columns."""
    head, *body = ["| " + " | ".join(cells) + " |" for cells in table]
    return [head, "| --- |" + " ---: |" * (len(table[0]) - 1), *body]
