"""Gates of adaptive normalization: from the spatial mean of x, (N, C), to the weight of the batch branch."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from anrl.ops import GATE_FORMULAS


class Gate(nn.Module):
    """A gate: a formula known by name, and its parameters."""

    form: str
    """Its name in ``GATES``."""

    arguments: Callable[[], tuple[Tensor, ...]]
    """() → the parameters, in the order of the formula in ``anrl.ops.GATE_FORMULAS``."""

    def forward(self, mean: Tensor) -> Tensor:
        """(N, C) → (N, C)."""
        return GATE_FORMULAS[self.form](mean, *self.arguments())


class OneLayerGate(Gate):
    """``sigmoid(W z + b)``: the form of the official code's default."""

    form = "1layer"

    def __init__(self, num_features: int) -> None:
        """Takes the number of channels C."""
        super().__init__()
        self.fc = nn.Linear(num_features, num_features)

    def arguments(self) -> tuple[Tensor, ...]:
        """W and b."""
        return self.fc.weight, self.fc.bias


class TwoLayerGate(Gate):
    """``sigmoid(W2 relu(W1 z + b1) + b2)`` with C // 16 + 1 hidden units."""

    form = "2layer"

    def __init__(self, num_features: int) -> None:
        """Takes the number of channels C."""
        super().__init__()
        hidden = num_features // 16 + 1
        self.fc1 = nn.Linear(num_features, hidden)
        self.fc2 = nn.Linear(hidden, num_features)

    def arguments(self) -> tuple[Tensor, ...]:
        """W1, b1, W2, b2."""
        return self.fc1.weight, self.fc1.bias, self.fc2.weight, self.fc2.bias


class StaticGate(Gate):
    """One weight per channel, clamped to [0, 1], the same for every sample."""

    form = "static"

    def __init__(self, num_features: int) -> None:
        """Takes the number of channels C."""
        super().__init__()
        self.weight = nn.Parameter(torch.full((num_features,), 0.5))

    def arguments(self) -> tuple[Tensor, ...]:
        """The weight."""
        return (self.weight,)


class DualGate(Gate):
    """The paper's own form: ``B / (B + I)``.

    ``B = sigmoid(W_B Z)`` and ``I = sigmoid(W_I Z)`` with ``Z = relu(W z)`` of C // 16 + 1 units.
    """

    form = "dual"

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


GATES: dict[str, type[Gate]] = {
    gate.form: gate for gate in (OneLayerGate, TwoLayerGate, StaticGate, DualGate)
}


def make_gate(gate: str, num_features: int) -> Gate:
    """Builds the gate of that name for C channels.

    Raises:
        ValueError: there is no gate of that name.
    """
    if gate not in GATES:
        raise ValueError(f"gate must be one of {', '.join(map(repr, GATES))}, not {gate!r}")
    return GATES[gate](num_features)
