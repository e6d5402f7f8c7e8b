"""Figures of scores, training, features and samples; :func:`save_figure` stores one as PNG and PDF."""

from pathlib import Path

from matplotlib.figure import Figure

from anrl.plots.curves import plot_det, plot_epc, plot_roc, plot_scores, plot_training
from anrl.plots.features import plot_gates, plot_tsne
from anrl.plots.images import plot_attention, plot_depth, plot_samples


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure as ``path.png`` and ``path.pdf``."""
    for ending in ("png", "pdf"):
        figure.savefig(Path(f"{path}.{ending}"), dpi=150)


__all__ = [
    "plot_attention",
    "plot_depth",
    "plot_det",
    "plot_epc",
    "plot_gates",
    "plot_roc",
    "plot_samples",
    "plot_scores",
    "plot_training",
    "plot_tsne",
    "save_figure",
]
