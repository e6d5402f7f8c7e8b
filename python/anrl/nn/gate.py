"""Gates of adaptive normalization: from the spatial mean of x, (N, C), to the weight of the batch branch."""

import torch
from torch import Tensor, nn


class OneLayerGate(nn.Module):
    """``sigmoid(W z + b)``: the form of the official code's default."""

    def __init__(self, num_features: int) -> None:
        """Takes the number of channels C."""
        super().__init__()
        self.fc = nn.Linear(num_features, num_features)

    def forward(self, mean: Tensor) -> Tensor:
        """(N, C) → (N, C)."""
        return torch.sigmoid(self.fc(mean))


class TwoLayerGate(nn.Module):
    """``sigmoid(W2 relu(W1 z + b1) + b2)`` with C // 16 + 1 hidden units."""

    def __init__(self, num_features: int) -> None:
        """Takes the number of channels C."""
        super().__init__()
        hidden = num_features // 16 + 1
        self.fc1 = nn.Linear(num_features, hidden)
        self.fc2 = nn.Linear(hidden, num_features)

    def forward(self, mean: Tensor) -> Tensor:
        """(N, C) → (N, C)."""
        return torch.sigmoid(self.fc2(torch.relu(self.fc1(mean))))


class StaticGate(nn.Module):
    """One weight per channel, clamped to [0, 1], the same for every sample."""

    def __init__(self, num_features: int) -> None:
        """Takes the number of channels C."""
        super().__init__()
        self.weight = nn.Parameter(torch.full((num_features,), 0.5))

    def forward(self, mean: Tensor) -> Tensor:
        """(N, C) → (N, C)."""
        return self.weight.clamp(0, 1).expand_as(mean)


class DualGate(nn.Module):
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

    def forward(self, mean: Tensor) -> Tensor:
        """(N, C) → (N, C)."""
        z = torch.relu(self.fc(mean))
        batch, instance = torch.sigmoid(self.batch(z)), torch.sigmoid(self.instance(z))
        return batch / (batch + instance)


GATES: dict[str, type[nn.Module]] = {
    "1layer": OneLayerGate,
    "2layer": TwoLayerGate,
    "static": StaticGate,
    "dual": DualGate,
}


def make_gate(gate: str, num_features: int) -> nn.Module:
    """Builds the gate of that name for C channels.

    Raises:
        ValueError: there is no gate of that name.
    """
    if gate not in GATES:
        raise ValueError(f"gate must be one of {', '.join(map(repr, GATES))}, not {gate!r}")
    return GATES[gate](num_features)
