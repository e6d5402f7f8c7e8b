"""Scoring a domain with a trained network."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from anrl.data import Domain, Transform, evaluation_batches
from anrl.distributed import Ranks
from anrl.metrics import Scores
from anrl.metrics.scores import codes
from anrl.nn import evaluation_mode, gate_statistics

_BATCH = 32
_ALONE = Ranks()


def score_domain(
    model: nn.Module,
    domain: Domain,
    transform: Transform,
    device: torch.device,
    progress: Callable[[int, int], None] | None = None,
    ranks: Ranks = _ALONE,
) -> tuple[Scores, NDArray[np.float32]]:
    """Scores every frame of a domain.

    Args:
        model: The network.
        domain: What to score.
        transform: How to read a sample; without its augmentations.
        device: Where the network is.
        progress: Told how many frames are done, of how many.
        ranks: The processes that share the work; each must call this, and gets all results.

    Returns:
        The frames' scores, and the features averaged over their pixels: (N, D).
    """
    own = domain.shard(ranks.rank, ranks.world_size)
    scores, features, done = [], [], 0
    with evaluation_mode(model), torch.inference_mode():
        for image in _inputs(own, transform, device, next(model.parameters()).dtype):
            output = model(image)
            scores.append(output.logits.double().softmax(1)[:, 1])
            features.append(output.features.mean((2, 3)).float())
            done += len(scores[-1])
            if progress is not None:
                progress(done, len(own))
        found = [ranks.gather_rows(torch.cat(parts), len(domain)) for parts in (scores, features)]
    score, feature = (tensor.cpu().numpy() for tensor in found)
    return scores_of(domain, score), feature


def scores_of(domain: Domain, score: NDArray[np.float64]) -> Scores:
    """Scores (N,) of a domain's samples, with what is known of the samples."""
    records = domain.records
    return Scores(score, domain.labels, *zip(*((r.video, r.attack, r.subject) for r in records), strict=True))


def video_means(domain: Domain, by_frame: NDArray[np.float32]) -> NDArray[np.float32]:
    """(frames, D) → (videos, D), videos in the order of their first frames."""
    names, group = codes([r.video for r in domain.records])
    sums = np.zeros((len(names), by_frame.shape[1]))
    np.add.at(sums, group, by_frame)
    return (sums / np.bincount(group)[:, None]).astype(np.float32)


def video_labels(domain: Domain) -> NDArray[np.int64]:
    """(videos,): labels, in the same order."""
    _, group = codes([r.video for r in domain.records])
    return domain.labels[np.unique(group, return_index=True)[1]]


def domain_gates(
    model: nn.Module, domain: Domain, transform: Transform, samples: int = 64
) -> dict[str, Tensor]:
    """What the gates choose on some samples of a domain; see :func:`anrl.nn.gate_statistics`."""
    parameter = next(model.parameters())
    return gate_statistics(
        model, _inputs(domain.evenly_spaced(samples), transform, parameter.device, parameter.dtype)
    )


def _inputs(
    domain: Domain, transform: Transform, device: torch.device, dtype: torch.dtype
) -> Iterator[Tensor]:
    """Every sample of a domain once, in batches, as a network takes them."""
    for batch in evaluation_batches(domain, _BATCH, transform):
        yield transform.normalize(batch.image[:, 0].to(device)).to(dtype)
