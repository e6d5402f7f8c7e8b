"""Adaptive normalization as one operation: two passes over memory forward, two backward, two backward again.

On the CPU one Rust kernel does each of them whole. Anything that the kernels do not serve (other devices and
types, custom gates, statistics from several processes, graphs that are compiled, exported or transformed by
``torch.func``, batched gradients, forward-mode derivatives) is composed of :mod:`anrl.ops.scale_shift` and
arithmetic in plain torch, by the same algebra.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function, forward_ad

from anrl import _anrl
from anrl.ops.gates import GateFormula
from anrl.ops.operators import dense, is_channels_last, kernels_serve, references_only, without_autocast
from anrl.ops.recompute import remember
from anrl.ops.scale_shift import instance_moments, scale_shift

Gate = GateFormula | Callable[..., Tensor]
"""A formula that the kernels know, or any function of the mean (N, C) and the gate's parameters."""


class BatchMoments(NamedTuple):
    """Statistics over samples and pixels, each (C,)."""

    mean: Tensor
    variance: Tensor
    """Biased."""
    unbiased: Tensor
    """The unbiased variance."""


class Settings(NamedTuple):
    """Options of a call; the key of the kernel's cache."""

    gate: Gate
    running: bool
    eps: float
    relu: bool


def batch_moments(mean: Tensor, variance: Tensor, size: int) -> BatchMoments:
    """Join the moments of planes of ``size`` pixels, each (N, C), by the law of total variance.

    Unlike E[x²] - E[x]² it does not cancel at large means.
    """
    between, total_mean = torch.var_mean(mean, 0, correction=0)
    total = variance.mean(0) + between
    count = mean.shape[0] * size
    return BatchMoments(total_mean, total, total * (count / max(count - 1, 1)))


def adaptive_norm(
    x: Tensor,
    affine: Sequence[Tensor],
    running: Sequence[Tensor],
    gate: Gate,
    gate_parameters: Sequence[Tensor],
    eps: float,
    relu: bool = False,
    moments: Callable[[Tensor, Tensor, int], BatchMoments] | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute ``g * BN(x) + (1 - g) * IN(x)``, then ReLU if asked, exact to any order of differentiation.

    Args:
        x: (N, C, ...), not empty.
        affine: Weight and bias of the batch branch, then of the instance branch; each (C,).
        running: Mean and variance of the batch branch, each (C,); empty to use those of the batch.
        gate: Formula of g from the spatial mean of x.
        gate_parameters: The gate's parameters, in the order of its formula.
        eps: Added to variances.
        relu: Whether to clamp below at zero.
        moments: Function that joins the moments of planes to those of the batch; :func:`batch_moments` by
            default.

    Returns:
        y, of x's shape, type and memory format; mean and unbiased variance of the batch, (C,), without graph.
    """
    settings = Settings(gate, bool(running), eps, relu)
    tensors = (*affine, *running, *gate_parameters)
    known = isinstance(gate, GateFormula) and moments is None
    if not known or not kernels_serve(x, *tensors):
        return _composed(x, settings, tensors, moments or batch_moments)
    x = dense(x, is_channels_last(x))
    if torch.is_grad_enabled() and any(t.requires_grad for t in (x, *tensors)):
        y, mean, variance = _AdaptiveNorm.apply(settings, x, *tensors)  # type: ignore[no-untyped-call]
        remember(y, lambda inputs: _kernel(settings).forward(inputs[0], inputs[1:])[0], (x, *tensors))
        return y, mean, variance
    y, _, _, mean, variance = _kernel(settings).forward(x, tensors)
    return y, mean, variance


@lru_cache
def _kernel(settings: Settings) -> _anrl.AdaptiveNorm:
    assert isinstance(settings.gate, GateFormula)
    return _anrl.AdaptiveNorm(settings.gate.name, settings.running, settings.eps, settings.relu)


def _composed(
    x: Tensor,
    settings: Settings,
    tensors: Sequence[Tensor],
    moments: Callable[[Tensor, Tensor, int], BatchMoments],
) -> tuple[Tensor, Tensor, Tensor]:
    mean, variance = instance_moments(x)
    weight, bias, instance_weight, instance_bias, *rest = (t.to(mean.dtype) for t in tensors)
    if settings.running:
        batch_mean, batch_variance, *rest = rest
        unbiased = batch_variance
    else:
        batch_mean, batch_variance, unbiased = moments(mean, variance, x.shape[2:].numel())
    gate = settings.gate.function if isinstance(settings.gate, GateFormula) else settings.gate
    # (N, C) arithmetic is too little and too delicate for a reduced type.
    with without_autocast(mean.device):
        g = gate(mean, *rest)
    batch_scale = weight * (batch_variance + settings.eps).rsqrt()
    instance_scale = instance_weight * (variance + settings.eps).rsqrt()
    scale = torch.lerp(instance_scale, batch_scale, g)
    shift = torch.lerp(instance_bias - instance_scale * mean, bias - batch_scale * batch_mean, g)
    batch_mean, unbiased = batch_mean.detach(), unbiased.detach()
    if forward_ad._current_level >= 0:
        unpack = forward_ad.unpack_dual
        batch_mean, unbiased = (unpack(t).primal for t in (batch_mean, unbiased))  # type: ignore[no-untyped-call]
    return scale_shift(x, scale, shift, settings.relu), batch_mean, unbiased


class _AdaptiveNorm(Function):
    @staticmethod
    def forward(ctx: Any, settings: Settings, x: Tensor, *tensors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y, mean, variance, batch_mean, batch_variance = _kernel(settings).forward(x, tensors)
        ctx.settings = settings
        ctx.save_for_backward(x, mean, variance, *tensors)
        ctx.mark_non_differentiable(batch_mean, batch_variance)
        ctx.set_materialize_grads(False)
        return y, batch_mean, batch_variance

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None, *_: None) -> tuple[Tensor | None, ...]:
        x, mean, variance, *tensors = ctx.saved_tensors
        if dy is None:
            return (None,) * (2 + len(tensors))
        if not kernels_serve(dy, x):
            return None, *_gradients(ctx.settings, dy, x, *tensors)
        dy = dense(dy, is_channels_last(x))
        if torch.is_grad_enabled():
            apply = _AdaptiveNormBackward.apply
            return None, *apply(ctx.settings, dy, x, mean, variance, *tensors)  # type: ignore[no-untyped-call]
        dx, _dscale, _dshift, gradients = _kernel(ctx.settings).backward(dy, x, mean, variance, tensors)
        return None, dx, *gradients


class _AdaptiveNormBackward(Function):
    """(dy, x, mean, variance, *tensors) → gradients with respect to x and the tensors.

    ``mean`` and ``variance`` save a pass; their own dependence on x is differentiated here.
    """

    @staticmethod
    def forward(
        ctx: Any, settings: Settings, dy: Tensor, x: Tensor, mean: Tensor, variance: Tensor, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        dx, dscale, dshift, gradients = _kernel(settings).backward(dy, x, mean, variance, tensors)
        ctx.settings = settings
        ctx.save_for_backward(dy, x, mean, variance, dscale, dshift, *tensors)
        return dx, *gradients

    @staticmethod
    def backward(ctx: Any, ddx: Tensor, *ddtensors: Tensor) -> tuple[Tensor | None, ...]:
        dy, x, mean, variance, dscale, dshift, *tensors = ctx.saved_tensors
        if torch.is_grad_enabled() or not kernels_serve(ddx, *ddtensors, dy, x):
            # With a graph the result may be differentiated a third time.
            cotangents = (ddx, *ddtensors)
            to_dy, to_x, *to_tensors = _second_derivative(ctx.settings, dy, x, tensors, cotangents)
        else:
            to_dy, to_x, to_tensors = _kernel(ctx.settings).double_backward(
                dense(ddx, is_channels_last(x)), ddtensors, dy, x, [mean, variance, dscale, dshift], tensors
            )
        return None, to_dy, to_x, None, None, *to_tensors


def _gradients(settings: Settings, dy: Tensor, x: Tensor, *tensors: Tensor) -> Sequence[Tensor]:
    """Gradients with respect to x and the tensors in plain torch, for what the kernels do not serve."""
    has_graph = torch.is_grad_enabled()
    with references_only(), torch.enable_grad():
        inputs = _inner_nodes(x, *tensors)
        y, _, _ = _composed(inputs[0], settings, inputs[1:], batch_moments)
        return torch.autograd.grad(y, inputs, dy, create_graph=has_graph, materialize_grads=True)


def _second_derivative(
    settings: Settings, dy: Tensor, x: Tensor, tensors: Sequence[Tensor], cotangents: Sequence[Tensor]
) -> Sequence[Tensor]:
    """Differentiate ``_AdaptiveNormBackward`` in plain torch."""
    has_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        inputs = _inner_nodes(dy, x, *tensors)
        first = _gradients(settings, *inputs)
        # A gradient that does not depend on x (because of running statistics, say) counts as zero.
        used = [(f, c) for f, c in zip(first, cotangents, strict=True) if f.requires_grad]
        outputs, given = zip(*used, strict=True)
        return torch.autograd.grad(outputs, inputs, given, create_graph=has_graph, materialize_grads=True)


def _inner_nodes(*tensors: Tensor) -> list[Tensor]:
    """The tensors as nodes of a graph that begins here.

    dy, say, may itself depend on x, and autograd differentiates that dependence elsewhere.
    """
    # `requires_grad_()` is not allowed within `vmap`.
    zero = torch.zeros((), device=tensors[0].device, requires_grad=True)
    return [t.view_as(t) if t.requires_grad else t + zero for t in tensors]
