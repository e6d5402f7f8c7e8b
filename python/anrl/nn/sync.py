"""Statistics of a batch that several processes share."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd import Function

from anrl.ops import BatchMoments


def shared_moments(
    group: dist.ProcessGroup | None,
) -> Callable[[Tensor, Tensor, int], BatchMoments] | None:
    """How the moments of planes make those of the batch of all processes of a group; None if there is one.

    Processes may have different numbers of samples, none included. Differentiable to any order: the gradient
    is that of the sum of all processes' losses.
    """
    if not dist.is_available() or not dist.is_initialized() or dist.get_world_size(group) == 1:
        return None
    return partial(_shared_moments, group=group)


class _AllReduce(Function):
    """The sum over all processes; so is its gradient."""

    @staticmethod
    def forward(ctx: Any, group: dist.ProcessGroup | None, tensor: Tensor) -> Tensor:
        ctx.group = group
        tensor = tensor.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(tensor, group=group)
        return tensor

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:
        return None, _AllReduce.apply(ctx.group, gradient)  # type: ignore[no-untyped-call]  # torch's is untyped


def _shared_moments(
    mean: Tensor, variance: Tensor, size: int, group: dist.ProcessGroup | None
) -> BatchMoments:
    """Every process' own moments, gathered by one all-reduce and joined by the law of total variance."""
    samples = max(len(mean), 1)
    own_mean = mean.sum(0) / samples
    own_variance = (variance + (mean - own_mean).square()).sum(0) / samples
    own_count = mean.new_full((1,), len(mean) * size)
    rank, world = dist.get_rank(group), dist.get_world_size(group)
    own = torch.cat([own_mean, own_variance, own_count])
    place = torch.arange(world, device=own.device) == rank
    rows: Tensor = _AllReduce.apply(group, place[:, None] * own)  # type: ignore[no-untyped-call]  # as above
    channels = mean.shape[1]
    means, variances, counts = rows[:, :channels], rows[:, channels:-1], rows[:, -1:]
    count = counts.sum()
    share = counts / count
    total_mean = (share * means).sum(0)
    total = (share * (variances + (means - total_mean).square())).sum(0)
    return BatchMoments(total_mean, total, total * count / (count - 1).clamp(min=1))
