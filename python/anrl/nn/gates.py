"""Gates of adaptive normalization: from the spatial mean of x, (N, C), to the weight of the batch branch."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from anrl.ops import GateFormula
from anrl.ops.gates import DUAL, ONE_LAYER, STATIC, TWO_LAYER

Device = torch.device | str | None


class Gate(nn.Module):
    """A gate that the kernels know: a formula and its parameters."""

    formula: ClassVar[GateFormula]

    arguments: Callable[[], tuple[Tensor, ...]]
    """() → the parameters, in the order of the formula."""

    def forward(self, mean: Tensor) -> Tensor:
        """(N, C) → (N, C)."""
        if not self.is_plain():
            return self._by_layers(mean)
        return self.formula.function(mean, *(t.to(mean.dtype) for t in self.arguments()))

    def is_plain(self) -> bool:
        """Whether the gate's linear layers are torch's own, so that the formula is all that they do.

        Quantization, adapters of low rank and parametrizations put others in their place.
        """
        for layer in self._modules.values():
            if type(layer) is not nn.Linear:
                return False
        return True

    def _by_layers(self, mean: Tensor) -> Tensor:
        """The formula by calls of the layers."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        """The equation, as torch's own layers print their arguments."""
        return self.formula.equation


class OneLayerGate(Gate):
    """One linear layer.

    Args:
        num_features: C, the number of channels.
        device: Where to put the parameters.
        dtype: Their type.
    """

    formula = ONE_LAYER

    def __init__(self, num_features: int, device: Device = None, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        self.fc = nn.Linear(num_features, num_features, device=device, dtype=dtype)

    def arguments(self) -> tuple[Tensor, ...]:
        """W and b."""
        return self.fc.weight, self.fc.bias

    def _by_layers(self, mean: Tensor) -> Tensor:
        return torch.sigmoid(self.fc(mean))


class TwoLayerGate(Gate):
    """Two linear layers with C // 16 + 1 hidden units.

    Args:
        num_features: C, the number of channels.
        device: Where to put the parameters.
        dtype: Their type.
    """

    formula = TWO_LAYER

    def __init__(self, num_features: int, device: Device = None, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        hidden = num_features // 16 + 1
        self.fc1 = nn.Linear(num_features, hidden, device=device, dtype=dtype)
        self.fc2 = nn.Linear(hidden, num_features, device=device, dtype=dtype)

    def arguments(self) -> tuple[Tensor, ...]:
        """W1, b1, W2, b2."""
        return self.fc1.weight, self.fc1.bias, self.fc2.weight, self.fc2.bias

    def _by_layers(self, mean: Tensor) -> Tensor:
        return torch.sigmoid(self.fc2(torch.relu(self.fc1(mean))))


class StaticGate(Gate):
    """One weight per channel, 0.5 at first, the same for every sample.

    Args:
        num_features: C, the number of channels.
        device: Where to put the parameters.
        dtype: Their type.
    """

    formula = STATIC

    def __init__(self, num_features: int, device: Device = None, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((num_features,), 0.5, device=device, dtype=dtype))

    def reset_parameters(self) -> None:
        """Set all weights to 0.5."""
        nn.init.constant_(self.weight, 0.5)

    def arguments(self) -> tuple[Tensor, ...]:
        """The weight."""
        return (self.weight,)


class DualGate(Gate):
    """The shares of two branches' weights, which have C // 16 + 1 hidden units in common.

    Args:
        num_features: C, the number of channels.
        device: Where to put the parameters.
        dtype: Their type.
    """

    formula = DUAL

    def __init__(self, num_features: int, device: Device = None, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        hidden = num_features // 16 + 1
        options: dict[str, Any] = {"bias": False, "device": device, "dtype": dtype}
        self.fc = nn.Linear(num_features, hidden, **options)
        self.batch = nn.Linear(hidden, num_features, **options)
        self.instance = nn.Linear(hidden, num_features, **options)

    def arguments(self) -> tuple[Tensor, ...]:
        """W, W_B, W_I."""
        return self.fc.weight, self.batch.weight, self.instance.weight

    def _by_layers(self, mean: Tensor) -> Tensor:
        hidden = torch.relu(self.fc(mean))
        batch, instance = (torch.sigmoid(layer(hidden)) for layer in (self.batch, self.instance))
        return batch / (batch + instance)


GATES: dict[str, type[Gate]] = {
    gate.formula.name: gate for gate in (OneLayerGate, TwoLayerGate, StaticGate, DualGate)
}
"""The gates by name. A gate's class has its name, equation and source in ``formula``."""


def gate_formula(gate: str) -> GateFormula:
    """Look up the formula of a gate.

    Raises:
        ValueError: ``gate`` is no key of ``GATES``.
    """
    if gate not in GATES:
        raise ValueError(f"gate must be one of {', '.join(map(repr, GATES))}, or a module, not {gate!r}")
    return GATES[gate].formula


def make_gate(gate: str, num_features: int, device: Device = None, dtype: torch.dtype | None = None) -> Gate:
    """Build a gate by its name.

    Args:
        gate: A key of ``GATES``.
        num_features: C, the number of channels.
        device: Where to put the parameters.
        dtype: Their type.

    Raises:
        ValueError: ``gate`` is no key of ``GATES``.
    """
    return GATES[gate_formula(gate).name](num_features, device, dtype)
