"""Gates of adaptive normalization: from the spatial mean of x, (N, C), to the weight of the batch branch."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Gate(nn.Module):
    """A gate: a function of the mean and of parameters, kept apart so that it can be differentiated twice."""

    compute: Callable[..., Tensor]
    """(mean, *arguments) → weight of the batch branch in [0, 1]: (N, C), (N, C)."""

    arguments: Callable[[], tuple[Tensor, ...]]
    """() → the parameters, in the order of ``compute``."""

    def forward(self, mean: Tensor) -> Tensor:
        """(N, C) → (N, C)."""
        return self.compute(mean, *self.arguments())


class OneLayerGate(Gate):
    """``sigmoid(W z + b)``: the form of the official code's default."""

    def __init__(self, num_features: int) -> None:
        """Takes the number of channels C."""
        super().__init__()
        self.fc = nn.Linear(num_features, num_features)

    def arguments(self) -> tuple[Tensor, ...]:
        """W and b."""
        return self.fc.weight, self.fc.bias

    @staticmethod
    def compute(mean: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """(N, C), (C, C), (C,) → (N, C)."""
        return torch.sigmoid(F.linear(mean, weight, bias))


class TwoLayerGate(Gate):
    """``sigmoid(W2 relu(W1 z + b1) + b2)`` with C // 16 + 1 hidden units."""

    def __init__(self, num_features: int) -> None:
        """Takes the number of channels C."""
        super().__init__()
        hidden = num_features // 16 + 1
        self.fc1 = nn.Linear(num_features, hidden)
        self.fc2 = nn.Linear(hidden, num_features)

    def arguments(self) -> tuple[Tensor, ...]:
        """W1, b1, W2, b2."""
        return self.fc1.weight, self.fc1.bias, self.fc2.weight, self.fc2.bias

    @staticmethod
    def compute(mean: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
        """(N, C), (H, C), (H,), (C, H), (C,) → (N, C)."""
        return torch.sigmoid(F.linear(torch.relu(F.linear(mean, weight1, bias1)), weight2, bias2))


class StaticGate(Gate):
    """One weight per channel, clamped to [0, 1], the same for every sample."""

    def __init__(self, num_features: int) -> None:
        """Takes the number of channels C."""
        super().__init__()
        self.weight = nn.Parameter(torch.full((num_features,), 0.5))

    def arguments(self) -> tuple[Tensor, ...]:
        """The weight."""
        return (self.weight,)

    @staticmethod
    def compute(mean: Tensor, weight: Tensor) -> Tensor:
        """(N, C), (C,) → (N, C)."""
        return weight.clamp(0, 1).expand_as(mean)


class DualGate(Gate):
    """The paper's own form: ``B / (B + I)``.

    ``B = sigmoid(W_B Z)`` and ``I = sigmoid(W_I Z)`` with ``Z = relu(W z)`` of C // 16 + 1 units.
    """

    def __init__(self, num_features: int) -> None:
        """Takes the number of channels C."""
        super().__init__()
        hidden = num_features // 16 + 1
        self.fc = nn.Linear(num_features, hidden, bias=False)
        self.batch = nn.Linear(hidden, num_features, bias=False)
        self.instance = nn.Linear(hidden, num_features, bias=False)

    def arguments(self) -> tuple[Tensor, ...]:
        """W, W_B, W_I."""
        return self.fc.weight, self.batch.weight, self.instance.weight

    @staticmethod
    def compute(mean: Tensor, weight: Tensor, weight_batch: Tensor, weight_instance: Tensor) -> Tensor:
        """(N, C), (H, C), (C, H), (C, H) → (N, C)."""
        z = torch.relu(F.linear(mean, weight))
        batch, instance = (torch.sigmoid(F.linear(z, w)) for w in (weight_batch, weight_instance))
        return batch / (batch + instance)


GATES: dict[str, type[Gate]] = {
    "1layer": OneLayerGate,
    "2layer": TwoLayerGate,
    "static": StaticGate,
    "dual": DualGate,
}


def make_gate(gate: str, num_features: int) -> Gate:
    """Builds the gate of that name for C channels.

    Raises:
        ValueError: there is no gate of that name.
    """
    if gate not in GATES:
        raise ValueError(f"gate must be one of {', '.join(map(repr, GATES))}, not {gate!r}")
    return GATES[gate](num_features)
