"""Batch statistics shared between processes, and batch normalization by them."""

from collections.abc import Callable
from functools import partial

import torch
import torch.distributed as dist
from torch import Tensor, nn

from anrl.distributed import all_reduce, is_alone
from anrl.ops import BatchMoments, adaptive_norm
from anrl.ops.gates import GIVEN


def shared_moments(
    group: dist.ProcessGroup | None,
) -> Callable[[Tensor, Tensor, int], BatchMoments] | None:
    """Function that joins the moments of planes to those of the batch of all processes; None if alone.

    Processes may have different numbers of samples, none included. Differentiable to any order: the gradient
    is that of the sum of all processes' losses.
    """
    if is_alone(group):
        return None
    return partial(_shared_moments, group=group)


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
            x, (self.weight, self.bias, one, zero), (), GIVEN, (gate,), self.eps, moments=shared
        )
        with torch.no_grad():
            assert self.num_batches_tracked is not None and self.running_var is not None
            self.num_batches_tracked.add_(1)
            momentum = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
            self.running_var.lerp_(variance.to(self.running_var.dtype), momentum)
        return y


def _shared_moments(
    mean: Tensor, variance: Tensor, size: int, group: dist.ProcessGroup | None
) -> BatchMoments:
    """Gather the moments of every process by one all-reduce and join them by the law of total variance."""
    samples = max(len(mean), 1)
    own_mean = mean.sum(0) / samples
    own_variance = (variance + (mean - own_mean).square()).sum(0) / samples
    own_count = mean.new_full((1,), len(mean) * size)
    rank, world = dist.get_rank(group), dist.get_world_size(group)
    own = torch.cat([own_mean, own_variance, own_count])
    place = torch.arange(world, device=own.device) == rank
    rows = all_reduce(place[:, None] * own, group)
    channels = mean.shape[1]
    means, variances, counts = rows[:, :channels], rows[:, channels:-1], rows[:, -1:]
    count = counts.sum()
    weight = counts / count
    total_mean = (weight * means).sum(0)
    total = (weight * (variances + (means - total_mean).square())).sum(0)
    return BatchMoments(total_mean, total, total * count / (count - 1).clamp(min=1))
