"""Figures. Each function returns a matplotlib figure; ``figure.savefig("roc.png", dpi=150)`` stores it."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from anrl import _anrl
from anrl.data import Domain
from anrl.metrics import Scores, auc


def plot_roc(curves: Mapping[str, Scores], title: str) -> Figure:
    """Draws ROC curves: detected attacks over rejected bona fide samples.

    Args:
        curves: Scores of each method or domain, under its name.
        title: What the scores are of.
    """
    from sklearn.metrics import roc_curve  # takes a second to import

    figure = Figure(figsize=(4.5, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, scores in curves.items():
        false_alarms, detected, _ = roc_curve(scores.label, scores.score, drop_intermediate=False)
        axes.plot(false_alarms, detected, label=f"{name} (AUC {auc(scores):.3f})")
    axes.plot([0, 1], [0, 1], color="0.7", linestyle=":", label="chance")
    axes.set(
        title=title,
        xlabel="bona fide rejected (BPCER)",
        ylabel="attacks detected (1 - APCER, all attacks)",
        xlim=(-0.01, 1.01),
        ylim=(-0.01, 1.01),
        aspect="equal",
    )
    axes.legend(loc="lower right", fontsize="small")
    return figure


def plot_tsne(
    features: Mapping[str, Sequence[NDArray[np.float32]]],
    labels: Sequence[NDArray[np.int64]],
    domains: Sequence[str],
    unseen: str,
    seed: int = 0,
) -> Figure:
    """Draws t-SNE maps of features, a panel for each method.

    Args:
        features: For each method the features of every domain, (N, D).
        labels: Labels of every domain, (N,).
        domains: Names of the domains.
        unseen: The domain that was not trained on.
        seed: Of t-SNE.
    """
    from sklearn.manifold import TSNE  # takes a second to import

    figure = Figure(figsize=(5 * len(features) + 2, 5), layout="constrained")
    panels = figure.subplots(1, len(features), squeeze=False)
    for axes, (method, by_domain) in zip(panels[0], features.items(), strict=True):
        joined = np.concatenate(list(by_domain))
        perplexity = min(30.0, (len(joined) - 1) / 3)
        places = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(joined)
        starts = np.cumsum([0, *(len(f) for f in by_domain)])
        for k, (name, label) in enumerate(zip(domains, labels, strict=True)):
            own = places[starts[k] : starts[k + 1]]
            for value, kind, marker in ((0, "bona fide", "o"), (1, "attack", "x")):
                axes.scatter(
                    *own[label == value].T,
                    s=22 if name == unseen else 10,
                    marker=marker,
                    color="black" if name == unseen else f"C{k}",
                    alpha=0.8,
                    linewidths=0.8,
                    label=f"{name}{' (unseen)' if name == unseen else ''}, {kind}",
                )
        axes.set(title=method, xticks=[], yticks=[])
    panels[0][-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small")
    return figure


def plot_samples(domain: Domain, count: int = 8) -> Figure:
    """Shows samples of a domain: a row for bona fide ones and for each attack species.

    Args:
        domain: The samples.
        count: How many of each kind at most, evenly spread over the domain.

    Raises:
        DataError: an image cannot be read.
    """
    kinds: dict[str, list[str]] = {}
    for record in domain.records:
        kind = f"attack\n{record.attack}".strip() if record.label else "bona fide"
        kinds.setdefault(kind, []).append(record.path)
    store = _anrl.Pack(str(domain.path))
    figure = Figure(figsize=(1.2 * count + 1, 1.3 * len(kinds) + 0.4), layout="constrained")
    figure.suptitle(domain.name)
    rows = figure.subplots(len(kinds), count, squeeze=False)
    for axes, (kind, keys) in zip(rows, sorted(kinds.items()), strict=True):
        shown = [keys[i] for i in np.unique(np.linspace(0, len(keys) - 1, count).round().astype(int))]
        for place in axes:
            place.set(xticks=[], yticks=[])
            place.set_frame_on(False)
        for place, key in zip(axes, shown, strict=False):
            place.imshow(_anrl.decode(store.get(key) or b""))
        axes[0].set_ylabel(kind, fontsize="small")
    return figure
