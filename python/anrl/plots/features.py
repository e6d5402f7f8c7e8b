"""t-SNE maps of features, and gates of adaptive normalization."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor


def plot_tsne(
    features: Mapping[str, Sequence[NDArray[np.float32]]],
    labels: Sequence[NDArray[np.int64]],
    domains: Sequence[str],
    unseen: str,
    seed: int = 0,
) -> Figure:
    """Draw t-SNE maps of features, a panel for each method.

    Args:
        features: Features of every domain, (N, D), by method.
        labels: Labels of every domain, (N,).
        domains: Names of the domains.
        unseen: The domain that was not trained on.
        seed: Seed of t-SNE.
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


def plot_gates(gates: Mapping[str, Mapping[str, Tensor]]) -> Figure:
    """Draw the gates of adaptive normalization: 1 is batch normalization, 0 instance normalization.

    A line for each domain: the mean over channels of every layer's gate, from input to output, in a band from
    the 10th to the 90th percentile of the channels.

    Args:
        gates: Result of :func:`anrl.nn.gate_statistics` by domain.
    """
    layers = list(next(iter(gates.values())))
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
