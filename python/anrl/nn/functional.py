"""Adaptive normalization as a function."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from anrl.ops import normalize


def adaptive_norm(
    x: Tensor,
    gate: Tensor | Callable[..., Tensor],
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
) -> Tensor:
    """Mixes batch and instance normalization: ``g * BN(x) + (1 - g) * IN(x)`` (ANRL, section 3.2).

    Both branches are affine in x, so one pass over x takes the statistics and one writes the result.

    Args:
        x: (N, C, ...) with at least one spatial dimension.
        gate: Weight g of the batch branch in [0, 1], broadcastable to (N, C); or a function that computes
            it from the spatial mean of x, (N, C), and ``gate_parameters``.
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
        gate_parameters: Tensors that the function ``gate`` depends on.

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

    if x.numel() == 0:
        return x.clone()

    given = {
        "weight": weight,
        "bias": bias,
        "instance_weight": instance_weight,
        "instance_bias": instance_bias,
    }
    if not training and running_mean is not None and running_var is not None:
        # Among the tensors that are saved: autograd then notices if they change before the backward pass.
        given |= {"running_mean": running_mean, "running_var": running_var}
    parameters = {name: tensor for name, tensor in given.items() if tensor is not None}
    names = list(parameters)

    def coefficients(mean: Tensor, variance: Tensor, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        own = dict(zip(names, (t.to(mean.dtype) for t in tensors), strict=False))
        gate_tensors = [t.to(mean.dtype) for t in tensors[len(names) :]]
        # (N, C) arithmetic is too little and too delicate for a reduced type.
        with torch.autocast(mean.device.type, enabled=False):
            g = gate(mean, *gate_tensors) if callable(gate) else gate_tensors[0]
        if "running_mean" in own:
            batch_mean, batch_var = own["running_mean"], own["running_var"]
        else:
            batch_mean, batch_var = _batch_moments(mean, variance)
        batch_scale, instance_scale = (batch_var + eps).rsqrt(), (variance + eps).rsqrt()
        if "weight" in own:
            batch_scale = batch_scale * own["weight"]
        if "instance_weight" in own:
            instance_scale = instance_scale * own["instance_weight"]
        zero = mean.new_zeros(())
        batch_shift = torch.addcmul(own.get("bias", zero), batch_scale, batch_mean, value=-1)
        instance_shift = torch.addcmul(own.get("instance_bias", zero), instance_scale, mean, value=-1)
        g = g.expand_as(mean)
        return torch.lerp(instance_scale, batch_scale, g), torch.lerp(instance_shift, batch_shift, g)

    tensors = [*parameters.values(), *(gate_parameters if callable(gate) else (gate,))]
    y, mean, variance = normalize(x, coefficients, tensors, relu=activation == "relu")
    if training and running_mean is not None and running_var is not None:
        with torch.no_grad():
            batch_mean, batch_var = _batch_moments(mean, variance)
            count = x.shape[0] * size
            running_mean.lerp_(batch_mean.to(running_mean.dtype), momentum)
            unbiased = batch_var * (count / max(count - 1, 1))
            running_var.lerp_(unbiased.to(running_var.dtype), momentum)
    return y


def _batch_moments(mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance over samples and pixels: (N, C), (N, C) → (C,), (C,).

    By the law of total variance, which does not cancel at large means.
    """
    between, batch_mean = torch.var_mean(mean, 0, correction=0)
    return batch_mean, variance.mean(0) + between
