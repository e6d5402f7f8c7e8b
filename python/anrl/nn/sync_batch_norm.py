"""Batch statistics shared between processes, and batch normalization by them."""

from collections.abc import Callable
from functools import partial

import torch
import torch.distributed as dist
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from anrl.distributed import all_reduce, is_alone
from anrl.nn.refusals import leaf_of_graph
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


class _SyncBatchNorm(_BatchNorm):
    process_group: dist.ProcessGroup | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, ...) → (N, C, ...)."""
        if isinstance(x, fx.Proxy):
            return leaf_of_graph(self, x)
        return self._normalize(x)

    def _normalize(self, x: Tensor) -> Tensor:
        shared = shared_moments(self.process_group) if self.training else None
        if shared is None:
            return super().forward(x)
        self._check_input_dim(x)  # type: ignore[no-untyped-call]  # torch's is untyped
        one, zero = x.new_ones(x.shape[1]), x.new_zeros(x.shape[1])
        affine = (one if self.weight is None else self.weight, zero if self.bias is None else self.bias)
        # The weight of the batch branch is one everywhere.
        y, mean, variance = adaptive_norm(
            x if x.dim() > 2 else x[..., None],
            (*affine, one, zero),
            (),
            GIVEN,
            (one.expand(x.shape[:2]),),
            self.eps,
            moments=shared,
        )
        self._track(mean, variance)
        return y.view_as(x)

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor) -> None:
        if not self.track_running_stats or self.running_mean is None or self.running_var is None:
            return
        momentum = self.momentum or 0.0
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            momentum = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
        self.running_var.lerp_(variance.to(self.running_var.dtype), momentum)


class SyncBatchNorm1d(_SyncBatchNorm, nn.BatchNorm1d):
    """:class:`SyncBatchNorm2d` for inputs of size (N, C) or (N, C, L)."""


class SyncBatchNorm2d(_SyncBatchNorm, nn.BatchNorm2d):
    """Batch normalization by the samples of all processes, on every backend, differentiable to any order.

    (torch's ``SyncBatchNorm`` has neither a CPU form nor a second derivative.) In evaluation processes do not
    communicate.
    """


class SyncBatchNorm3d(_SyncBatchNorm, nn.BatchNorm3d):
    """:class:`SyncBatchNorm2d` for inputs of size (N, C, D, H, W)."""


class SyncBatchNormAct2d(SyncBatchNorm2d):
    """Batch normalization by the samples of all processes, dropout, activation: timm's ``BatchNormAct2d``."""

    drop: nn.Module
    act: nn.Module

    def _normalize(self, x: Tensor) -> Tensor:
        y: Tensor = self.act(self.drop(super()._normalize(x)))
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
