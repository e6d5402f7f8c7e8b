"""Parameters of the gates of any model."""

import pytest
import torch
from torch import nn

from anrl.models import ANRLNet
from anrl.nn import GATES, AdaptiveNorm2d, AdaptiveNorm3d, gate_parameters


@pytest.mark.parametrize("gate", GATES)
def test_gates_are_collected_in_the_order_of_the_models_parameters(gate):
    model = nn.Sequential(
        AdaptiveNorm3d(4, gate=gate), nn.Linear(2, 2), nn.ModuleDict({"a": AdaptiveNorm2d(3, gate=gate)})
    )
    expected = [name for name, _ in model.named_parameters() if ".gate." in name]
    parameters = gate_parameters(model)
    assert list(parameters) == expected and {name.split(".gate.")[0] for name in expected} == {"0", "2.a"}
    assert all(parameter is model.get_parameter(name) for name, parameter in parameters.items())


def test_a_layer_alone_is_a_model():
    layer = AdaptiveNorm2d(3)
    assert list(gate_parameters(layer)) == ["gate.fc.weight", "gate.fc.bias"]
    torch.func.functional_call(layer, gate_parameters(layer), (torch.randn(2, 3, 4, 4),))


def test_a_shared_gate_appears_once_and_a_module_outside_of_a_layer_not_at_all():
    gate = nn.Sequential(nn.Linear(3, 3), nn.Sigmoid())
    model = nn.Module()
    model.gate = nn.Linear(2, 2)
    model.norms = nn.ModuleList(AdaptiveNorm2d(3, gate=gate) for _ in range(2))
    assert list(gate_parameters(model)) == ["norms.0.gate.0.weight", "norms.0.gate.0.bias"]


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_models_without_adaptive_normalization_have_none(norm):
    assert gate_parameters(ANRLNet(in_channels=3, width=0.05, norm=norm)) == {}
