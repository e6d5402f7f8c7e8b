"""ROC and DET curves, score histograms, training curves."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from anrl.metrics import Scores, auc, eer

_CURVES_INSIDE = 4
_COLORS = matplotlib.color_sequences["tab10"]
_PROBITS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)


def plot_roc(curves: Mapping[str, Scores], title: str) -> Figure:
    """Draw ROC curves as the ANRL paper does: false negative over false positive rate.

    Both are errors, so a good curve is near the lower left corner. Positive means bona fide: a false
    positive is an accepted attack, a false negative a rejected bona fide sample.

    Args:
        curves: Scores of each method or domain, by its name.
        title: Title of the figure.
    """
    figure, axes = _square(len(curves))
    for name, scores in curves.items():
        _, accepted, rejected = scores.curves
        axes.plot(accepted, rejected, label=f"{name} (AUC {auc(scores):.3f})", drawstyle="steps-post")
    axes.plot([0, 1], [1, 0], color="0.7", linestyle=":", label="chance")
    axes.set(
        title=title,
        xlabel="attacks accepted (FPR: 1 - detected, all species)",
        ylabel="bona fide rejected (FNR: BPCER)",
        xlim=(-0.01, 1.01),
        ylim=(-0.01, 1.01),
        aspect="equal",
    )
    _legend(axes, len(curves))
    return figure


def plot_det(curves: Mapping[str, Scores], title: str) -> Figure:
    """Draw detection error trade-off (DET) curves: both errors on axes of normal deviates.

    Scores with normal distributions give straight lines. Rates of 0 lie at infinity and are left out.

    Args:
        curves: Scores of each method or domain, by its name.
        title: Title of the figure.
    """
    from scipy.stats import norm  # takes a second to import

    figure, axes = _square(len(curves))
    for name, scores in curves.items():
        _, accepted, rejected = scores.curves
        inside = (accepted > 0) & (rejected > 0) & (accepted < 1) & (rejected < 1)
        label = f"{name} (EER {100 * eer(scores)[0]:.1f} %)"
        marker = "." if inside.sum() < 2 else None
        axes.plot(norm.ppf(accepted[inside]), norm.ppf(rejected[inside]), label=label, marker=marker)
    ends = norm.ppf(_PROBITS[0]), norm.ppf(_PROBITS[-1])
    axes.plot(ends, ends, color="0.7", linestyle=":")
    texts = [f"{100 * p:g}" for p in _PROBITS]
    axes.set(
        title=title,
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


def plot_scores(scores: Scores, title: str, thresholds: Mapping[str, float] | None = None) -> Figure:
    """Draw histograms of the scores of bona fide samples and of each attack species.

    Args:
        scores: The scores.
        title: Title of the figure.
        thresholds: Vertical lines to draw, by their names.
    """
    figure = Figure(figsize=(5.5, 3.2), layout="constrained")
    axes = figure.subplots()
    scores = scores.responses
    kinds = np.where(scores.label == 0, "bona fide", [f"attack {name}".strip() for name in scores.attack])
    edges = np.histogram_bin_edges(scores.score, 30).tolist()
    for name in sorted(set(kinds.tolist()), key=lambda n: (n != "bona fide", n)):
        axes.hist(scores.score[kinds == name], edges, alpha=0.5, label=name)
    for k, (name, value) in enumerate((thresholds or {}).items()):
        axes.axvline(value, color="black", linestyle=("-", "--", ":")[k % 3], label=f"{name}: {value:.3f}")
    axes.set(title=title, xlabel="score (higher: more like an attack)", ylabel="samples")
    axes.legend(fontsize="small")
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
    for name in ("loss", "classification", "depth"):
        _smooth(losses, [s["step"] for s in steps], [s[name] for s in steps], name)
    losses.set(title="losses", xlabel="step", yscale="log")
    for name in steps[0]["accuracy_by_domain"] if steps else ():
        values = [s["accuracy_by_domain"][name] for s in steps]
        _smooth(accuracy, [s["step"] for s in steps], values, name)
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


def _square(curves: int) -> tuple[Figure, Axes]:
    """Square axes whose lines differ in color, and from the eleventh on in dashes."""
    figure = Figure(figsize=(4.5 if curves <= _CURVES_INSIDE else 8.2, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.set_prop_cycle(cycler(linestyle=["-", "--", ":"]) * cycler(color=_COLORS))
    return figure, axes


def _legend(axes: Axes, curves: int) -> None:
    """Place the legend in the corner that good curves leave free, or beside the axes for many curves."""
    if curves <= _CURVES_INSIDE:
        axes.legend(loc="upper right", fontsize="small")
    else:
        axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize="small")


def _smooth(axes: Axes, x: Sequence[float], y: Sequence[float], label: str) -> None:
    """Draw a moving average over a fiftieth of the values, in front of the pale values."""
    width = max(1, len(y) // 50)
    counts = np.convolve(np.ones(len(y)), np.ones(width), "same")
    (line,) = axes.plot(x, np.convolve(y, np.ones(width), "same") / counts, label=label)
    if width > 1:
        axes.plot(x, y, color=line.get_color(), alpha=0.2, linewidth=0.6)
