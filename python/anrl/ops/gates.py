"""The gates' formulas in plain torch: from the spatial mean of x, (N, C), to the batch branch's weight."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F


def one_layer(mean: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``sigmoid(W z + b)``: (N, C), (C, C), (C,) → (N, C)."""
    return torch.sigmoid(F.linear(mean, weight, bias))


def two_layer(mean: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    """``sigmoid(W2 relu(W1 z + b1) + b2)``: (N, C), (H, C), (H,), (C, H), (C,) → (N, C)."""
    return torch.sigmoid(F.linear(torch.relu(F.linear(mean, weight1, bias1)), weight2, bias2))


def static(mean: Tensor, weight: Tensor) -> Tensor:
    """``clamp(w, 0, 1)``: (N, C), (C,) → (N, C)."""
    return weight.clamp(0, 1).expand_as(mean)


def dual(mean: Tensor, weight: Tensor, weight_batch: Tensor, weight_instance: Tensor) -> Tensor:
    """``B / (B + I)``: (N, C), (H, C), (C, H), (C, H) → (N, C).

    ``B = sigmoid(W_B Z)`` and ``I = sigmoid(W_I Z)`` with ``Z = relu(W z)``.
    """
    z = torch.relu(F.linear(mean, weight))
    batch, instance = (torch.sigmoid(F.linear(z, w)) for w in (weight_batch, weight_instance))
    return batch / (batch + instance)


def given(mean: Tensor, gate: Tensor) -> Tensor:
    """The gate itself, (N, C)."""
    return gate


GATE_FORMULAS: dict[str, Callable[..., Tensor]] = {
    "1layer": one_layer,
    "2layer": two_layer,
    "static": static,
    "dual": dual,
    "given": given,
}
