"""Formulas of the gates in plain torch: from the spatial mean of x to the weight of the batch branch."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class GateFormula(NamedTuple):
    """A gate that the kernels compute, and the same in plain torch."""

    name: str
    """Name in the kernels, in a configuration, and in ``anrl.nn.GATES``."""
    function: Callable[..., Tensor]
    """Function of the mean z, (N, C), and the gate's parameters, in the order of the equation."""
    equation: str
    citation: str


def one_layer(mean: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(N, C), (C, C), (C,) → (N, C)."""
    return torch.sigmoid(F.linear(mean, weight, bias))


def two_layer(mean: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    """(N, C), (H, C), (H,), (C, H), (C,) → (N, C)."""
    return torch.sigmoid(F.linear(torch.relu(F.linear(mean, weight1, bias1)), weight2, bias2))


def static(mean: Tensor, weight: Tensor) -> Tensor:
    """(N, C), (C,) → (N, C)."""
    return weight.clamp(0, 1).expand_as(mean)


def dual(mean: Tensor, weight: Tensor, weight_batch: Tensor, weight_instance: Tensor) -> Tensor:
    """(N, C), (H, C), (C, H), (C, H) → (N, C)."""
    hidden = torch.relu(F.linear(mean, weight))
    batch, instance = (torch.sigmoid(F.linear(hidden, w)) for w in (weight_batch, weight_instance))
    return batch / (batch + instance)


def given(mean: Tensor, gate: Tensor) -> Tensor:
    """(N, C), (N, C) → (N, C)."""
    return gate


_PAPER = "Liu et al.: Adaptive normalized representation learning, ACM MM 2021"
_BIN = "Nam, Kim: Batch-instance normalization, NeurIPS 2018"

ONE_LAYER = GateFormula("1layer", one_layer, "sigmoid(W z + b)", f"{_PAPER}, official code, its default")
TWO_LAYER = GateFormula("2layer", two_layer, "sigmoid(W2 relu(W1 z + b1) + b2)", f"{_PAPER}, official code")
STATIC = GateFormula("static", static, "clamp(w, 0, 1)", f"after {_BIN}")
DUAL = GateFormula(
    "dual",
    dual,
    "B / (B + I), B = sigmoid(W_B Z), I = sigmoid(W_I Z), Z = relu(W z)",
    f"{_PAPER}, section 3.2",
)
GIVEN = GateFormula("given", given, "g", "")
"""A gate that is computed elsewhere."""
