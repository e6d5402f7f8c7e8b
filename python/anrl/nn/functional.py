"""Adaptive normalization as a function."""

from collections.abc import Callable

import torch
from torch import Tensor

from anrl.ops import instance_moments, scale_shift


def adaptive_norm(
    x: Tensor,
    gate: Tensor | Callable[[Tensor], Tensor],
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    instance_weight: Tensor | None = None,
    instance_bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    activation: str | None = None,
) -> Tensor:
    """Mixes batch and instance normalization: ``g * BN(x) + (1 - g) * IN(x)`` (ANRL, section 3.2).

    Both branches are affine in x, so one pass over x takes the statistics and one writes the result.

    Args:
        x: (N, C, ...) with at least one spatial dimension.
        gate: Weight g of the batch branch in [0, 1], broadcastable to (N, C); or a function that computes
            it from the spatial mean of x, (N, C).
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

    Returns:
        A tensor of x's shape.

    Raises:
        ValueError: x has fewer than three dimensions, or one value per channel or per plane in training,
            or ``activation`` is unknown.
    """
    if x.dim() < 3:
        raise ValueError(f"expected (N, C, ...) with at least 3 dimensions, got {tuple(x.shape)}")
    if activation not in (None, "relu"):
        raise ValueError(f"activation must be None or 'relu', not {activation!r}")
    size = x.shape[2:].numel()
    if training and size <= 1:
        raise ValueError(f"Expected more than 1 spatial element when training, got input size {x.size()}")

    mean, variance = instance_moments(x)
    g = gate(mean) if callable(gate) else gate

    if training or running_mean is None or running_var is None:
        batch_mean = mean.mean(0)
        # Law of total variance: no cancellation at large means.
        batch_var = variance.mean(0) + (mean - batch_mean).square().mean(0)
        if running_mean is not None and running_var is not None:
            count = x.shape[0] * size
            with torch.no_grad():
                running_mean.lerp_(batch_mean.to(running_mean.dtype), momentum)
                unbiased = batch_var * (count / max(count - 1, 1))
                running_var.lerp_(unbiased.to(running_var.dtype), momentum)
    else:
        batch_mean, batch_var = running_mean, running_var

    batch_scale = (batch_var + eps).rsqrt()
    instance_scale = (variance + eps).rsqrt()
    if weight is not None:
        batch_scale = batch_scale * weight
    if instance_weight is not None:
        instance_scale = instance_scale * instance_weight
    batch_shift = -batch_scale * batch_mean
    instance_shift = -instance_scale * mean
    if bias is not None:
        batch_shift = batch_shift + bias
    if instance_bias is not None:
        instance_shift = instance_shift + instance_bias

    scale = g * batch_scale + (1 - g) * instance_scale
    shift = g * batch_shift + (1 - g) * instance_shift
    return scale_shift(x, scale, shift, relu=activation == "relu")
