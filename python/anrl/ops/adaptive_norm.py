"""The two operations over memory that adaptive normalization is made of.

``instance_moments`` reads x once, ``scale_shift`` reads it once more and writes y; everything between them
is arithmetic on (N, C) arrays, left to autograd. Both are differentiable twice through Rust kernels (CPU,
float32 and float64) and any number of times through their twins, which also serve every other device and
type. Only x and (N, C) arrays are saved for the backward pass.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import FunctionCtx

from anrl import _anrl

_twins_only = False


@contextmanager
def twins_only() -> Iterator[None]:
    """Runs the pure-torch twins instead of the Rust kernels within the block."""
    global _twins_only
    before, _twins_only = _twins_only, True
    try:
        yield
    finally:
        _twins_only = before


def _has_kernel(x: Tensor) -> bool:
    return (
        not _twins_only
        and x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.float64)
        and x.numel() > 0
    )


def instance_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of every instance and channel.

    Args:
        x: (N, C, ...) with at least one spatial dimension.

    Returns:
        Mean and variance, each (N, C).
    """
    if not _has_kernel(x):
        return instance_moments_twin(x)
    mean, variance = _InstanceMoments.apply(x)  # type: ignore[no-untyped-call]  # torch's Function is untyped
    return mean, variance


def instance_moments_twin(x: Tensor) -> tuple[Tensor, Tensor]:
    """The same as :func:`instance_moments` in plain torch."""
    variance, mean = torch.var_mean(x.flatten(2), dim=2, correction=0)
    return mean, variance


def scale_shift(x: Tensor, scale: Tensor, shift: Tensor, relu: bool = False) -> Tensor:
    """``scale * x + shift`` per instance and channel, then ReLU if asked.

    Args:
        x: (N, C, ...).
        scale: (N, C).
        shift: (N, C).
        relu: Whether to clamp below at zero.

    Returns:
        y, of x's shape.
    """
    if not _has_kernel(x):
        return scale_shift_twin(x, scale, shift, relu)
    y: Tensor = _ScaleShift.apply(x, scale, shift, relu)  # type: ignore[no-untyped-call]  # as above
    return y


def scale_shift_twin(x: Tensor, scale: Tensor, shift: Tensor, relu: bool = False) -> Tensor:
    """The same as :func:`scale_shift` in plain torch."""
    y = torch.addcmul(_spread(shift, x), _spread(scale, x), x)
    return torch.relu(y) if relu else y


def _spread(per_plane: Tensor, x: Tensor) -> Tensor:
    """(N, C) → (N, C, 1, ...), to broadcast against x."""
    return per_plane.reshape(per_plane.shape + (1,) * (x.dim() - 2))


class _InstanceMoments(Function):
    @staticmethod
    def forward(x: Tensor) -> tuple[Tensor, Tensor]:
        return _anrl.instance_moments(x.contiguous())

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(*inputs, output[0])

    @staticmethod
    def backward(ctx: Any, dmean: Tensor, dvariance: Tensor) -> Tensor:
        # dx = dmean/M + 2 dvariance (x - mean)/M. `mean` is an output: its own dependence on x is part of
        # the graph, so the second derivative is exact.
        x, mean = ctx.saved_tensors
        size = x[0, 0].numel()
        slope = dvariance * (2.0 / size)
        return scale_shift(x, slope, dmean / size - slope * mean)


class _ScaleShift(Function):
    @staticmethod
    def forward(x: Tensor, scale: Tensor, shift: Tensor, relu: bool) -> Tensor:
        return _anrl.scale_shift(x.contiguous(), scale.contiguous(), shift.contiguous(), relu)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, bool], output: Tensor) -> None:
        *tensors, ctx.relu = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        dx, dscale, dshift = _ScaleShiftBackward.apply(  # type: ignore[no-untyped-call]  # as above
            dy, *ctx.saved_tensors, ctx.relu
        )
        return dx, dscale, dshift, None


class _ScaleShiftBackward(Function):
    @staticmethod
    def forward(
        dy: Tensor, x: Tensor, scale: Tensor, shift: Tensor, relu: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        return _anrl.scale_shift_backward(
            dy.contiguous(), x.contiguous(), scale.contiguous(), shift.contiguous(), relu
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
        *tensors, ctx.relu = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(
        ctx: Any, ddx: Tensor, ddscale: Tensor, ddshift: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, None, None]:
        dy, x, scale, shift = ctx.saved_tensors
        if torch.is_grad_enabled():
            # Somebody differentiates a third time: plain torch, differentiable without end.
            if ctx.relu:
                passed = scale_shift_twin(x, scale, shift) > 0
                masked_dy, mask = dy * passed, passed
            else:
                masked_dy, mask = dy, torch.ones((), dtype=torch.bool)
            slope = _spread(scale, x) * ddx + _spread(ddscale, x) * x + _spread(ddshift, x)
            to_scale = (ddx * masked_dy).flatten(2).sum(2)
            return slope * mask, _spread(ddscale, x) * masked_dy, to_scale, None, None
        to_dy, to_x, to_scale = _anrl.scale_shift_double_backward(
            ddx.contiguous(),
            ddscale.contiguous(),
            ddshift.contiguous(),
            dy.contiguous(),
            x.contiguous(),
            scale.contiguous(),
            shift.contiguous(),
            ctx.relu,
        )
        return to_dy, to_x, to_scale, None, None
