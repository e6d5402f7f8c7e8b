"""Scores, features and gates of a network on a domain."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from anrl.data import Domain, Transform, evaluation_batches
from anrl.distributed import Ranks
from anrl.metrics import Scores
from anrl.metrics.scores import group_videos
from anrl.nn import evaluation_mode, gate_statistics
from anrl.progress import Progress

_BATCH = 32
_ALONE = Ranks()


def score_domain(
    model: nn.Module,
    domain: Domain,
    transform: Transform,
    device: torch.device,
    progress: Progress | None = None,
    ranks: Ranks = _ALONE,
) -> tuple[Scores, NDArray[np.float32]]:
    """Score every frame of a domain.

    Args:
        model: The network.
        domain: The domain to score.
        transform: The preprocessing of a sample; its augmentations are left out.
        device: Device of the network.
        progress: Told the number of frames done by this process, of its part of the domain.
        ranks: The processes that share the work; each must call this, and gets all results.

    Returns:
        The frames' probabilities of attack, and their features averaged over pixels: (N, D).

    Raises:
        FloatingPointError: a score is not finite.
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
                progress(done, len(own), f"scoring {domain.name}")
        gathered = [ranks.gather_rows(torch.cat(parts), len(domain)) for parts in (scores, features)]
    score, feature = (tensor.cpu().numpy() for tensor in gathered)
    # A score that is no number would count as a failure to acquire, not as one of the network.
    if wrong := int((~np.isfinite(score)).sum()):
        raise FloatingPointError(
            f"{wrong} of the {len(score)} scores on {domain.name} are not finite: the network's weights have "
            "diverged; take an earlier checkpoint, or train with a lower learning rate"
        )
    return scores_of(domain, score), feature


def scores_of(domain: Domain, score: NDArray[np.float64]) -> Scores:
    """Combine scores (N,) of a domain's samples with their labels, videos, attack species and subjects."""
    records = domain.records
    texts = zip(*((r.video, r.attack, r.subject, r.path) for r in records), strict=True)
    return Scores(score, domain.labels, *texts)


def video_features(
    model: nn.Module, domain: Domain, transform: Transform, device: torch.device
) -> NDArray[np.float32]:
    """Compute the features of a domain's videos, averaged over pixels and frames.

    Returns:
        (videos, D), in the order of their first frames.
    """
    _, by_frame = score_domain(model, domain, transform, device)
    group = _videos(domain)
    sums = np.zeros((int(group.max()) + 1, by_frame.shape[1]))
    np.add.at(sums, group, by_frame)
    return (sums / np.bincount(group)[:, None]).astype(np.float32)


def video_labels(domain: Domain) -> NDArray[np.int64]:
    """List the labels of a domain's videos, (videos,), in the order of their first frames."""
    return domain.labels[np.unique(_videos(domain), return_index=True)[1]]


def _videos(domain: Domain) -> NDArray[np.int64]:
    """Number of each frame's video: (N,)."""
    records = domain.records
    return group_videos((r.subject for r in records), (r.video for r in records))


def domain_gates(
    model: nn.Module, domain: Domain, transform: Transform, samples: int = 64
) -> dict[str, Tensor]:
    """Average the gates of a network on evenly spaced samples; see :func:`anrl.nn.gate_statistics`."""
    parameter = next(model.parameters())
    return gate_statistics(
        model, _inputs(domain.evenly_spaced(samples), transform, parameter.device, parameter.dtype)
    )


def _inputs(
    domain: Domain, transform: Transform, device: torch.device, dtype: torch.dtype
) -> Iterator[Tensor]:
    """Yield every sample of a domain once, in normalized batches (B, C, S, S)."""
    for batch in evaluation_batches(domain, _BATCH, transform):
        yield transform.normalize(batch.image.to(device)).to(dtype)
