"""What several processes share: statistics of a batch, gradients."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd import Function

from anrl.ops import BatchMoments, adaptive_norm


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


def average_tensors(tensors: Sequence[Tensor], group: dist.ProcessGroup | None = None) -> list[Tensor]:
    """The means of tensors over all processes, by one all-reduce; alone, the tensors themselves.

    Differentiable to any order: the gradient is that of the sum of all processes' losses. Every process must
    give tensors of the same sizes and one type.
    """
    if not dist.is_available() or not dist.is_initialized() or dist.get_world_size(group) == 1 or not tensors:
        return list(tensors)
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    mean = _AllReduce.apply(group, flat) / dist.get_world_size(group)  # type: ignore[no-untyped-call]  # torch's is untyped
    parts = mean.split([tensor.numel() for tensor in tensors])
    return [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]


class SyncBatchNorm2d(nn.BatchNorm2d):
    """Batch normalization by the samples of all processes, on every backend, differentiable to any order.

    (torch's ``SyncBatchNorm`` has neither a CPU form nor a second derivative.)
    """

    process_group: dist.ProcessGroup | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, H, W)."""
        shared = shared_moments(self.process_group)
        if not self.training or shared is None or self.weight is None or self.running_mean is None:
            return super().forward(x)
        one, zero = torch.ones_like(self.weight), torch.zeros_like(self.bias)
        # The weight of the batch branch is one everywhere.
        gate = one.expand(x.shape[:2])
        y, mean, variance = adaptive_norm(
            x, (self.weight, self.bias, one, zero), (), "given", (gate,), self.eps, moments=shared
        )
        with torch.no_grad():
            assert self.num_batches_tracked is not None and self.running_var is not None
            self.num_batches_tracked.add_(1)
            momentum = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
            self.running_var.lerp_(variance.to(self.running_var.dtype), momentum)
        return y


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
