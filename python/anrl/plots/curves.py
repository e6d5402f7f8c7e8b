"""ROC, DET and expected performance curves, score histograms, training curves."""

import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from anrl.metrics import Scores, auc, eer, expected_performance, roc_band

_CURVES_INSIDE = 4
_LINE = 32
"""Characters of a line in a legend."""
_MARKED = 30
"""Curves of so many points or fewer show them."""
_COLORS = matplotlib.color_sequences["tab10"]
_PROBITS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)


def plot_roc(curves: Mapping[str, Scores], title: str, *, bands: bool = False) -> Figure:
    """Draw ROC curves as the ANRL paper does: false negative over false positive rate.

    Both are errors, so a good curve is near the lower left corner. Positive means bona fide: a false
    positive is an accepted attack, a false negative a rejected bona fide sample. Where scores are tied the
    curve is a step, as no threshold lies between them.

    Args:
        curves: Scores of each method or domain, by its name.
        title: Title of the figure.
        bands: Whether to add 95 % bands; see :func:`anrl.metrics.roc_band`.
    """
    figure, axes = _square()
    for name, scores in curves.items():
        if scores.missing_class is not None:
            _leave_out(axes, name, f"no {scores.missing_class} samples")
            continue
        _, accepted, rejected = scores.curves
        line = _steps(axes, accepted, rejected, f"{name} (AUC {auc(scores):.3f})")
        if bands:
            _band(axes, *roc_band(scores), line)
    axes.plot([0, 1], [1, 0], color="0.7", linestyle=":", label="chance")
    axes.set(
        title=_literal(title),
        xlabel="attacks accepted (FPR: 1 - detected, all species)",
        ylabel="bona fide rejected (FNR: BPCER)",
        xlim=(-0.01, 1.01),
        ylim=(-0.01, 1.01),
        aspect="equal",
    )
    _legend(axes, len(curves))
    return figure


def plot_det(curves: Mapping[str, Scores], title: str, *, bands: bool = False) -> Figure:
    """Draw detection error trade-off (DET) curves: both errors on axes of normal deviates.

    Scores with normal distributions give straight lines, of steps. Rates of 0 lie at infinity: a curve
    without errors of one kind leaves the axes there, and one that never enters them is named in the legend.

    Args:
        curves: Scores of each method or domain, by its name.
        title: Title of the figure.
        bands: Whether to add 95 % bands; see :func:`anrl.metrics.roc_band`.
    """
    from scipy.stats import norm  # takes a second to import

    def deviates(rates: NDArray[np.float64]) -> NDArray[np.float64]:
        # Far outside the axes, but finite: the step to a rate of 0 is drawn to the edge.
        deviates: NDArray[np.float64] = norm.ppf(np.clip(rates, 1e-9, 1 - 1e-9))
        return deviates

    figure, axes = _square()
    low, high = _PROBITS[0], _PROBITS[-1]
    for name, scores in curves.items():
        if scores.missing_class is not None:
            _leave_out(axes, name, f"no {scores.missing_class} samples")
            continue
        _, accepted, rejected = scores.curves
        label = f"{name} (EER {100 * eer(scores)[0]:.1f} %)"
        both = np.stack([accepted, rejected])
        if not ((both >= low) & (both <= high)).all(0).any():
            _leave_out(axes, label, "no point within the axes")
            continue
        line = _steps(axes, deviates(accepted), deviates(rejected), label)
        if bands:
            limits, lowest, highest = map(deviates, roc_band(scores))
            _band(axes, limits, lowest, highest, line)
    ends = norm.ppf(low), norm.ppf(high)
    axes.plot(ends, ends, color="0.7", linestyle=":")
    texts = [f"{100 * p:g}" for p in _PROBITS]
    axes.set(
        title=_literal(title),
        xlabel="attacks accepted (%, all species)",
        ylabel="bona fide rejected (BPCER, %)",
        xlim=ends,
        ylim=ends,
        aspect="equal",
    )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(norm.ppf(_PROBITS), texts)
    axes.grid(alpha=0.3)
    _legend(axes, len(curves))
    return figure


def plot_epc(curves: Mapping[str, tuple[Scores, Scores]], title: str) -> Figure:
    """Draw expected performance curves (EPC); see :func:`anrl.metrics.expected_performance`.

    Args:
        curves: Scores of validation and of evaluation data of each method or domain, by its name.
        title: Title of the figure.
    """
    figure, axes = _square()
    for name, (validation, evaluation) in curves.items():
        if missing := validation.missing_class or evaluation.missing_class:
            _leave_out(axes, name, f"no {missing} samples")
            continue
        axes.plot(*expected_performance(validation, evaluation), label=_visible(name), marker=".")
    axes.set(
        title=_literal(title),
        xlabel="weight of attacks accepted in the threshold's criterion",
        ylabel="HTER on the evaluated data",
        xlim=(0, 1),
        ylim=(0, None),
    )
    _legend(axes, len(curves))
    return figure


def plot_scores(scores: Scores, title: str, thresholds: Mapping[str, float] | None = None) -> Figure:
    """Draw histograms of the scores of bona fide samples and of each attack species.

    Args:
        scores: The scores.
        title: Title of the figure.
        thresholds: Vertical lines to draw, by their names.
    """
    scores = scores.responses
    figure = Figure(figsize=(5.5, 3.2), layout="constrained")
    axes = figure.subplots()
    kinds = np.where(scores.label == 0, "bona fide", [f"attack {name}".strip() for name in scores.attack])
    middle, span = scores.score.mean(), np.ptp(scores.score)
    # Scores that differ by rounding only have no room for thirty bins.
    is_constant = span <= 1e-9 * abs(middle)
    edges = [middle - 0.5, middle + 0.5] if is_constant else np.histogram_bin_edges(scores.score, 30).tolist()
    for name in sorted(set(kinds.tolist()), key=lambda n: (n != "bona fide", n)):
        axes.hist(scores.score[kinds == name], edges, alpha=0.5, label=name)
    for k, (name, value) in enumerate((thresholds or {}).items()):
        if np.isnan(value):
            continue
        axes.axvline(value, color="black", linestyle=("-", "--", ":")[k % 3], label=f"{name}: {value:.3f}")
    axes.set(title=_literal(title), xlabel="score (higher: more like an attack)", ylabel="samples")
    _legend(axes, len(axes.get_legend_handles_labels()[1]))
    return figure


def plot_training(log: str | Path) -> Figure:
    """Draw the training curves of a run: losses and accuracy of every step, validation AUC of every epoch.

    Args:
        log: Log of the run; see :attr:`anrl.evaluation.RunFolder.log`.
    """
    entries = [json.loads(line) for line in Path(log).read_text().splitlines()]
    steps = [entry for entry in entries if "step" in entry]
    epochs = [entry for entry in entries if "step" not in entry]
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    losses, accuracy, validation = figure.subplots(1, 3)
    for name in ("loss", "classification", "depth") if steps else ():
        _smooth(losses, [s["step"] for s in steps], [s[name] for s in steps], name)
    has_positive = any(s[name] > 0 for s in steps for name in ("loss", "classification", "depth"))
    losses.set(title="losses", xlabel="step", yscale="log" if has_positive else "linear")
    for name in steps[0]["accuracy_by_domain"] if steps else ():
        values = [s["accuracy_by_domain"][name] for s in steps]
        _smooth(accuracy, [s["step"] for s in steps], values, _visible(_literal(name)))
    accuracy.set(title="accuracy of training batches", xlabel="step", ylim=(0, 1.02))
    numbers = [e["epoch"] + 1 for e in epochs]
    validation.plot(numbers, [e["validation_auc"] for e in epochs], marker="o", label="validation videos")
    if epochs and "target_auc" in epochs[0]:
        validation.plot(numbers, [e["target_auc"] for e in epochs], marker="x", label="targets (dishonest)")
    validation.set(title="AUC", xlabel="epoch")
    for axes in (losses, accuracy, validation):
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize="small")
    return figure


def _square() -> tuple[Figure, Axes]:
    """Axes whose lines differ in color, and from the eleventh on in dashes."""
    figure = Figure(figsize=(4.5, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.set_prop_cycle(cycler(linestyle=["-", "--", ":"]) * cycler(color=_COLORS))
    return figure, axes


def _steps(axes: Axes, accepted: NDArray[np.float64], rejected: NDArray[np.float64], label: str) -> Line2D:
    """Draw the operating points that there are, joined by steps; few of them are marked."""
    marker = "." if len(accepted) <= _MARKED else None
    (line,) = axes.plot(accepted, rejected, label=_visible(label), drawstyle="steps-post", marker=marker)
    return line


def _band(
    axes: Axes,
    accepted: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    line: Line2D,
) -> None:
    axes.fill_between(accepted, low, high, step="post", color=line.get_color(), alpha=0.15, linewidth=0)


def _leave_out(axes: Axes, name: str, reason: str) -> None:
    """Name a curve that cannot be drawn, and why, in the legend."""
    axes.plot([], [], label=_visible(f"{name}: {reason}"))


def _legend(axes: Axes, curves: int) -> None:
    """Place the legend in the corner that good curves leave free, or beside the axes if it is large."""
    handles, labels = axes.get_legend_handles_labels()
    texts = ["\n".join(textwrap.wrap(label, _LINE)) or " " for label in labels]
    lines = sum(text.count("\n") + 1 for text in texts)
    texts = [_literal(text) for text in texts]
    if curves <= _CURVES_INSIDE and lines == len(texts):
        axes.legend(handles, texts, loc="upper right", fontsize="small")
        return
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    width, height = figure.get_size_inches()
    longest = max(len(line) for text in texts for line in text.split("\n"))
    figure.set_size_inches(width + 0.7 + 0.08 * longest, max(height, 0.4 + 0.18 * lines))
    axes.legend(handles, texts, loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize="small")


def _visible(label: str) -> str:
    """A label that legends show: they leave out those that begin with an underline."""
    return f" {label}" if label.startswith("_") else label


def _literal(text: str) -> str:
    """A name as it is: dollars begin no formula."""
    return text.replace("$", r"\$")


def _smooth(axes: Axes, x: Sequence[float], y: Sequence[float], label: str) -> None:
    """Draw a moving average over a fiftieth of the values, in front of the pale values."""
    width = max(1, len(y) // 50)
    counts = np.convolve(np.ones(len(y)), np.ones(width), "same")
    (line,) = axes.plot(x, np.convolve(y, np.ones(width), "same") / counts, label=label)
    if width > 1:
        axes.plot(x, y, color=line.get_color(), alpha=0.2, linewidth=0.6)
