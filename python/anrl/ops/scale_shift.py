"""The two passes over memory of adaptive normalization, differentiable to any order.

Everything between them is arithmetic on (N, C) arrays. Only x and such arrays are saved.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from anrl.ops import operators


def instance_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the mean and biased variance of every instance and channel.

    Args:
        x: (N, C, ...) with at least one spatial dimension.

    Returns:
        Mean and variance, each (N, C); float32 for the half types.
    """
    if operators.references_wanted():
        return instance_moments_reference(x)
    mean, variance = _InstanceMoments.apply(x)  # type: ignore[no-untyped-call]  # torch's Function is untyped
    return mean, variance


def instance_moments_reference(x: Tensor) -> tuple[Tensor, Tensor]:
    """Reference of :func:`instance_moments` in plain torch."""
    return operators.instance_moments(x)


def scale_shift(x: Tensor, scale: Tensor, shift: Tensor, relu: bool = False) -> Tensor:
    """Compute ``scale * x + shift`` per instance and channel, then ReLU if asked.

    Args:
        x: (N, C, ...).
        scale: (N, C); float32 for the half types.
        shift: Like ``scale``.
        relu: Whether to clamp below at zero.

    Returns:
        y, of x's shape, type and memory format.
    """
    if operators.references_wanted():
        return scale_shift_reference(x, scale, shift, relu)
    y: Tensor = _ScaleShift.apply(x, scale, shift, relu)  # type: ignore[no-untyped-call]  # as above
    return y


def scale_shift_reference(x: Tensor, scale: Tensor, shift: Tensor, relu: bool = False) -> Tensor:
    """Reference of :func:`scale_shift` in plain torch."""
    return operators.scale_shift(x, scale, shift, relu)


def _moments_gradient(dmean: Tensor, dvariance: Tensor, mean: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Slope and offset such that the gradient of the moments with respect to x is ``slope * x + offset``."""
    slope = dvariance * (2.0 / size)
    return slope, dmean / size - slope * mean


class _InstanceMoments(Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> tuple[Tensor, Tensor]:
        return torch.ops.anrl.instance_moments(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(*inputs, output[0])

    @staticmethod
    def backward(ctx: Any, dmean: Tensor, dvariance: Tensor) -> Tensor:
        # `mean` is an output: its own dependence on x is part of the graph, so higher orders are exact.
        x, mean = ctx.saved_tensors
        return scale_shift(x, *_moments_gradient(dmean, dvariance, mean, x.shape[2:].numel()))


class _ScaleShift(Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, scale: Tensor, shift: Tensor, relu: bool) -> Tensor:
        return torch.ops.anrl.scale_shift(x, scale, shift, relu)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        *tensors, ctx.relu = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        dx, dscale, dshift = _ScaleShiftBackward.apply(  # type: ignore[no-untyped-call]  # as above
            dy, *ctx.saved_tensors, ctx.relu
        )
        return dx, dscale, dshift, None


class _ScaleShiftBackward(Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(
        dy: Tensor, x: Tensor, scale: Tensor, shift: Tensor, relu: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        dshift, dscale = torch.ops.anrl.scale_shift_sums(dy, x, scale, shift, relu)
        none = torch.zeros_like(scale)
        return torch.ops.anrl.scale_shift_gradient(dy, x, scale, shift, none, none, relu), dscale, dshift

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
        *tensors, ctx.relu = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(
        ctx: Any, ddx: Tensor, ddscale: Tensor, ddshift: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, None, None]:
        dy, x, scale, shift = ctx.saved_tensors
        none = torch.zeros_like(scale)
        if torch.is_grad_enabled():
            # The result may be differentiated a third time.
            dscale = operators.scale_shift_double_sums(ddx, dy, x, scale, shift, ctx.relu)[0]
            double_gradient = operators.scale_shift_double_gradient
        else:
            dscale = torch.ops.anrl.scale_shift_double_sums(ddx, dy, x, scale, shift, ctx.relu)[0]
            double_gradient = torch.ops.anrl.scale_shift_double_gradient
        to_dy, to_x = double_gradient(ddx, dy, x, scale, shift, none, ddscale, ddshift, none, none, ctx.relu)
        return to_dy, to_x, dscale, None, None
