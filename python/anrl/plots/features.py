"""t-SNE maps of features, and gates of adaptive normalization."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

_FEWEST = 3


def plot_tsne(
    features: Mapping[str, Sequence[NDArray[np.float32]]],
    labels: Sequence[NDArray[np.int64]],
    domains: Sequence[str],
    unseen: str,
    seed: int = 0,
) -> Figure:
    """Draw t-SNE maps of features, a panel for each method.

    Features that have no map, because there are too few different ones, get a panel that says so.

    Args:
        features: Features of every domain, (N, D), by method.
        labels: Labels of every domain, (N,).
        domains: Names of the domains.
        unseen: The domain that was not trained on.
        seed: Seed of t-SNE.
    """
    figure = Figure(figsize=(5 * len(features) + 2, 5), layout="constrained")
    panels = figure.subplots(1, len(features), squeeze=False)
    for axes, (method, by_domain) in zip(panels[0], features.items(), strict=True):
        axes.set(title=method, xticks=[], yticks=[])
        try:
            places = _map(np.concatenate(list(by_domain)), seed)
        except ValueError as error:
            axes.text(0.5, 0.5, f"no map: {error}", ha="center", va="center", wrap=True)
            continue
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
    for axes in panels[0]:
        if axes.get_legend_handles_labels()[0]:
            figure.legend(*axes.get_legend_handles_labels(), loc="outside right center", fontsize="small")
            break
    return figure


def _map(features: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Places (N, 2) of features (N, D) by t-SNE.

    Raises:
        ValueError: t-SNE cannot place them; with equal ones scikit-learn ends the process.
    """
    from sklearn.manifold import TSNE  # takes a second to import

    if not np.isfinite(features).all():
        raise ValueError("the features are not finite numbers")
    # The map does not depend on place and scale; squares of very large or small features would.
    features = features.astype(np.float64) - features.mean(0, dtype=np.float64)
    features /= np.abs(features).max() or 1.0
    different = len(np.unique(features.round(6), axis=0))
    if different < _FEWEST:
        raise ValueError(f"only {different} different features among those of {len(features)} samples")
    if features.shape[1] < 2:
        features = np.pad(features, ((0, 0), (0, 1)))
    perplexity = min(30.0, (len(features) - 1) / 3)
    places: NDArray[np.float32] = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(
        features.astype(np.float32)
    )
    return places


def plot_gates(gates: Mapping[str, Mapping[str, Tensor]]) -> Figure:
    """Draw the gates of adaptive normalization: 1 is batch normalization, 0 instance normalization.

    A line for each domain: the mean over channels of every layer's gate, from input to output, in a band from
    the 10th to the 90th percentile of the channels.

    Args:
        gates: Result of :func:`anrl.nn.gate_statistics` by domain.
    """
    layers = list(next(iter(gates.values())))
    if not layers:
        raise ValueError("the network has no gates")
    figure = Figure(figsize=(0.45 * len(layers) + 2.5, 3.8), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(layers))
    for k, (domain, by_layer) in enumerate(gates.items()):
        channels = [by_layer[layer].double().numpy() for layer in layers]
        axes.plot(places, [c.mean() for c in channels], marker="o", markersize=3, color=f"C{k}", label=domain)
        low, high = ([np.quantile(c, q) for c in channels] for q in (0.1, 0.9))
        axes.fill_between(places, low, high, color=f"C{k}", alpha=0.12, linewidth=0)
    axes.axhline(0.5, color="0.7", linestyle=":")
    axes.set(ylim=(0, 1), ylabel="instance <- gate -> batch", title="Gates")
    short = [layer.removesuffix(".norm").replace("extractor.", "").replace("stages.", "") for layer in layers]
    axes.set_xticks(places, short, rotation=60, ha="right", fontsize="small")
    axes.legend(fontsize="small", ncols=2)
    return figure
