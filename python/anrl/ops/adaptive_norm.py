"""Adaptive normalization's operations, differentiable.

``instance_moments`` and ``scale_shift`` are the two passes over memory; everything between them is arithmetic
on (N, C) arrays. ``normalize`` does both at once: its backward pass needs two passes as well, and so does the
backward of the backward. In a graph that is compiled or transformed by ``torch.func`` it falls back on the
two operations. Only x and (N, C) arrays are saved. All are exact to any order.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from anrl.ops import kernels

_twins_only = False

Coefficients = Callable[..., tuple[Tensor, Tensor]]
"""(mean, variance, *parameters) → (scale, shift), all per plane: (N, C)."""


@contextmanager
def twins_only() -> Iterator[None]:
    """Runs the twins in plain torch instead of the operators within the block."""
    global _twins_only
    before, _twins_only = _twins_only, True
    try:
        yield
    finally:
        _twins_only = before


def instance_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of every instance and channel.

    Args:
        x: (N, C, ...) with at least one spatial dimension.

    Returns:
        Mean and variance, each (N, C); float32 for the half types.
    """
    if _twins_only:
        return instance_moments_twin(x)
    mean, variance = _InstanceMoments.apply(x)  # type: ignore[no-untyped-call]  # torch's Function is untyped
    return mean, variance


def instance_moments_twin(x: Tensor) -> tuple[Tensor, Tensor]:
    """The same as :func:`instance_moments` in plain torch."""
    return kernels.instance_moments(x)


def scale_shift(x: Tensor, scale: Tensor, shift: Tensor, relu: bool = False) -> Tensor:
    """``scale * x + shift`` per instance and channel, then ReLU if asked.

    Args:
        x: (N, C, ...).
        scale: (N, C); float32 for the half types.
        shift: Like ``scale``.
        relu: Whether to clamp below at zero.

    Returns:
        y, of x's shape, type and memory format.
    """
    if _twins_only:
        return scale_shift_twin(x, scale, shift, relu)
    y: Tensor = _ScaleShift.apply(x, scale, shift, relu)  # type: ignore[no-untyped-call]  # as above
    return y


def scale_shift_twin(x: Tensor, scale: Tensor, shift: Tensor, relu: bool = False) -> Tensor:
    """The same as :func:`scale_shift` in plain torch."""
    return kernels.scale_shift(x, scale, shift, relu)


def normalize(
    x: Tensor, coefficients: Coefficients, parameters: Sequence[Tensor], relu: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """``scale_shift(x, *coefficients(mean, variance, *parameters), relu)`` with the moments of x.

    Args:
        x: (N, C, ...).
        coefficients: A function of tensors without side effects; it is called again in the backward pass.
        parameters: All tensors but the moments that it depends on and that may need a gradient.
        relu: Whether to clamp below at zero.

    Returns:
        y, mean and variance; the last two without graph.
    """
    plain = _twins_only or torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()
    if not plain and torch.is_grad_enabled() and any(t.requires_grad for t in (x, *parameters)):
        y, mean, variance = _Normalize.apply(coefficients, relu, x, *parameters)  # type: ignore[no-untyped-call]
        return y, mean, variance
    mean, variance = instance_moments(x)
    y = scale_shift(x, *coefficients(mean, variance, *parameters), relu)
    return y, mean.detach(), variance.detach()


def _moments_gradient(dmean: Tensor, dvariance: Tensor, mean: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The gradient of the moments with respect to x is ``slope * x + offset``."""
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
            # Somebody may differentiate a third time.
            dscale = kernels.scale_shift_double_sums(ddx, dy, x, scale, shift, ctx.relu)[0]
            double_gradient = kernels.scale_shift_double_gradient
        else:
            dscale = torch.ops.anrl.scale_shift_double_sums(ddx, dy, x, scale, shift, ctx.relu)[0]
            double_gradient = torch.ops.anrl.scale_shift_double_gradient
        to_dy, to_x = double_gradient(ddx, dy, x, scale, shift, none, ddscale, ddshift, none, none, ctx.relu)
        return to_dy, to_x, dscale, None, None


class _Normalize(Function):
    @staticmethod
    def forward(
        ctx: Any, coefficients: Coefficients, relu: bool, x: Tensor, *parameters: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        mean, variance = torch.ops.anrl.instance_moments(x)
        scale, shift = coefficients(mean, variance, *parameters)
        y = torch.ops.anrl.scale_shift(x, scale, shift, relu)
        ctx.coefficients, ctx.relu = coefficients, relu
        ctx.save_for_backward(x, mean, variance, *parameters)
        ctx.mark_non_differentiable(mean, variance)
        return y, mean, variance

    @staticmethod
    def backward(ctx: Any, dy: Tensor, *_: Tensor) -> tuple[Any, ...]:
        gradients = _NormalizeBackward.apply(  # type: ignore[no-untyped-call]  # as above
            ctx.coefficients, ctx.relu, dy, *ctx.saved_tensors
        )
        return None, None, *gradients


class _NormalizeBackward(Function):
    """(dy, x, mean, variance, *parameters) → gradients with respect to x and the parameters.

    ``mean`` and ``variance`` are given to save a pass; as functions of x they are differentiated here.
    """

    @staticmethod
    def forward(
        ctx: Any,
        coefficients: Coefficients,
        relu: bool,
        dy: Tensor,
        x: Tensor,
        mean: Tensor,
        variance: Tensor,
        *parameters: Tensor,
    ) -> tuple[Tensor, ...]:
        leaves = [t.detach().requires_grad_() for t in (mean, variance, *parameters)]
        with torch.enable_grad():
            scale, shift = coefficients(*leaves)
        dshift, dscale = torch.ops.anrl.scale_shift_sums(dy, x, scale, shift, relu)
        dmean, dvariance, *gradients = _gradients((scale, shift), leaves, (dscale, dshift))
        slope, offset = _moments_gradient(dmean, dvariance, mean, x.shape[2:].numel())
        dx = torch.ops.anrl.scale_shift_gradient(dy, x, scale, shift, slope, offset, relu)
        ctx.coefficients, ctx.relu = coefficients, relu
        ctx.save_for_backward(dy, x, mean, variance, dscale, dshift, *parameters)
        return dx, *gradients

    @staticmethod
    def backward(ctx: Any, ddx: Tensor, *ddparameters: Tensor) -> tuple[Any, ...]:
        dy, x, mean, variance, dscale, dshift, *parameters = ctx.saved_tensors
        if torch.is_grad_enabled():
            # Somebody may differentiate a third time.
            gradients = _second_derivative(
                ctx.coefficients, ctx.relu, dy, x, parameters, (ddx, *ddparameters)
            )
            to_dy, to_x, *to_parameters = gradients
            return None, None, to_dy, to_x, None, None, *to_parameters
        size = x.shape[2:].numel()
        leaves = [t.detach().requires_grad_() for t in (mean, variance, *parameters)]
        sums = [t.detach().requires_grad_() for t in (dscale, dshift)]
        with torch.enable_grad():
            scale, shift = ctx.coefficients(*leaves)
            dmean, dvariance, *gradients = _gradients((scale, shift), leaves, sums, create_graph=True)
            slope, offset = _moments_gradient(dmean, dvariance, leaves[0], size)
        passed, with_x, plain = torch.ops.anrl.scale_shift_double_sums(ddx, dy, x, scale, shift, ctx.relu)
        dmean, dvariance, *rest = _gradients(
            (scale, slope, offset, *gradients), [*leaves, *sums], (passed, with_x, plain, *ddparameters)
        )
        *to_parameters, sum_x, sum_1 = rest
        curve, constant = _moments_gradient(dmean, dvariance, mean, size)
        to_dy, to_x = torch.ops.anrl.scale_shift_double_gradient(
            ddx, dy, x, scale, shift, slope, sum_x, sum_1, curve, constant, ctx.relu
        )
        return None, None, to_dy, to_x, None, None, *to_parameters


def _gradients(
    outputs: Sequence[Tensor],
    inputs: Sequence[Tensor],
    cotangents: Sequence[Tensor],
    create_graph: bool = False,
) -> list[Tensor]:
    """Gradients of some outputs; zero for inputs that they do not depend on."""
    used = [(o, c) for o, c in zip(outputs, cotangents, strict=True) if o.requires_grad]
    gradients = torch.autograd.grad(
        [o for o, _ in used],
        inputs,
        [c for _, c in used],
        create_graph=create_graph,
        allow_unused=True,
        materialize_grads=True,
    )
    return list(gradients)


def _second_derivative(
    coefficients: Coefficients,
    relu: bool,
    dy: Tensor,
    x: Tensor,
    parameters: Sequence[Tensor],
    cotangents: Sequence[Tensor],
) -> list[Tensor]:
    """The derivative of ``_NormalizeBackward`` through the two operations, with its graph."""
    # Views: dy may itself depend on x, and that dependence is not ours to differentiate.
    dy, x, *parameters = (
        t.view_as(t) if t.requires_grad else t.detach().requires_grad_() for t in (dy, x, *parameters)
    )
    with torch.enable_grad():
        y = scale_shift(x, *coefficients(*instance_moments(x), *parameters), relu)
        first = _gradients([y], [x, *parameters], [dy], create_graph=True)
        return _gradients(first, [dy, x, *parameters], cotangents, create_graph=True)
