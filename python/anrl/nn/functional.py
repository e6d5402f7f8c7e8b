"""Adaptive normalization as a function."""

from collections.abc import Callable, Sequence
from math import prod

import torch
from torch import Tensor

from anrl.nn.gates import gate_formula
from anrl.ops import BatchMoments, GateFormula
from anrl.ops import adaptive_norm as _adaptive_norm
from anrl.ops.gates import GIVEN
from anrl.ops.operators import is_traced, sizes


def adaptive_norm(
    x: Tensor,
    gate: Tensor | str | Callable[[Tensor], Tensor],
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    instance_weight: Tensor | None = None,
    instance_bias: Tensor | None = None,
    training: bool = False,
    momentum: float | Tensor = 0.1,
    eps: float = 1e-5,
    activation: str | None = None,
    gate_parameters: Sequence[Tensor] = (),
    moments: Callable[[Tensor, Tensor, int], BatchMoments] | None = None,
) -> Tensor:
    """Mix batch and instance normalization: ``g * BN(x) + (1 - g) * IN(x)`` (ANRL, section 3.2).

    Both branches are affine in x, so one pass over x takes the statistics and one writes the result. Over
    planes of one pixel, which instance normalization would erase, g is one.

    Args:
        x: (N, C, ...) with at least one spatial dimension.
        gate: Weight g of the batch branch in [0, 1], broadcastable to (N, C); or a key of ``anrl.nn.GATES``,
            with ``gate_parameters``; or a function of the spatial mean of x, (N, C).
        running_mean: (C,), updated in place if ``training``.
        running_var: (C,), updated in place with the unbiased estimate if ``training``.
        weight: Scale of the batch branch, (C,).
        bias: Shift of the batch branch, (C,).
        instance_weight: Scale of the instance branch, (C,).
        instance_bias: Shift of the instance branch, (C,).
        training: Whether the batch branch uses the statistics of x. Without running statistics it always
            does.
        momentum: Weight of the new statistics in the running ones.
        eps: Added to variances.
        activation: None or "relu".
        gate_parameters: The tensors of a named gate, in the order of its equation.
        moments: Function that joins the moments of planes to those of the batch; by default
            :func:`anrl.ops.batch_moments`.

    Returns:
        A tensor of x's shape.

    Raises:
        ValueError: x has fewer than three dimensions, or one value per channel in training; a tensor does not
            fit x's channels; ``eps`` is negative, or zero where the batch's variance is used; or
            ``activation`` is unknown.
        TypeError: x is not of a floating-point type, or not dense.
    """
    if x.dim() < 3:
        raise ValueError(f"expected (N, C, ...) with at least 3 dimensions, got {tuple(x.shape)}")
    if not x.is_floating_point():
        raise TypeError(f"expected a floating-point input, got {x.dtype}")
    if x.layout != torch.strided:
        raise TypeError(f"expected a dense input, got one of layout {x.layout}; call to_dense() on it first")
    if activation not in (None, "relu"):
        raise ValueError(f"activation must be None or 'relu', not {activation!r}")
    shape = sizes(x)
    batch, channels = shape[:2]
    size = prod(shape[2:])
    if (running_mean is None) != (running_var is None):
        raise ValueError("running_mean and running_var must be given together")
    uses_batch = training or running_mean is None
    if eps < 0 or (eps == 0 and uses_batch):
        needed = "positive" if uses_batch else "non-negative"
        raise ValueError(f"eps must be {needed}, not {eps}")
    if uses_batch and size == 1 and batch == 1 and moments is None:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {shape}")
    formula: GateFormula | Callable[..., Tensor]
    if isinstance(gate, Tensor):
        formula, gate_parameters = GIVEN, (gate.expand(x.shape[:2]),)
    else:
        formula = gate_formula(gate) if isinstance(gate, str) else gate
    named = {"weight": weight, "bias": bias, "instance_weight": instance_weight}
    named |= {"instance_bias": instance_bias, "running_mean": running_mean, "running_var": running_var}
    traced = is_traced()
    for name, tensor in named.items():
        if tensor is not None and not traced and tensor.shape != (channels,):
            raise ValueError(f"{name} should contain {channels} elements, not {tuple(tensor.shape)}")
    if batch * channels * size == 0 and moments is None:
        return x.clone()
    if size == 1:
        formula, gate_parameters = GIVEN, (_open_gate(x, formula, gate_parameters),)

    affine: list[Tensor] = []
    for tensor, constant in ((weight, 1.0), (bias, 0.0), (instance_weight, 1.0), (instance_bias, 0.0)):
        affine.append(x.new_full((channels,), constant) if tensor is None else tensor)
    running: tuple[Tensor, ...] = ()
    if running_mean is not None and running_var is not None:
        running = (running_mean, running_var)
    y, *statistics = _adaptive_norm(
        x,
        affine,
        () if training else running,
        formula,
        gate_parameters,
        eps,
        activation == "relu",
        moments,
    )
    if training:
        with torch.no_grad():
            for average, value in zip(running, statistics, strict=False):
                average.lerp_(value.to(average.dtype), momentum)
    return y


def _open_gate(
    x: Tensor, formula: GateFormula | Callable[..., Tensor], gate_parameters: Sequence[Tensor]
) -> Tensor:
    """Weights of one for the batch branch, (N, C), with a gradient of zero to the gate's parameters."""
    mean = x.flatten(1).to(torch.promote_types(x.dtype, torch.float32))
    function = formula.function if isinstance(formula, GateFormula) else formula
    gate = function(mean, *(t.to(mean.dtype) for t in gate_parameters))
    return gate.masked_fill(torch.ones_like(gate, dtype=torch.bool), 1)
