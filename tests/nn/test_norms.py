"""Normalization layers by name, class or partial."""

from functools import partial

import pytest
import torch
from torch import nn

from anrl.nn import GATES, NORMS, AdaptiveNorm2d, AdaptiveNorm3d, make_norm


@pytest.mark.parametrize("norm", NORMS)
def test_names_make_layers_with_scale_and_shift(norm):
    layer = make_norm(norm, 5)
    assert layer.weight.shape == layer.bias.shape == (5,)
    assert layer(torch.randn(2, 5, 4, 4)).shape == (2, 5, 4, 4)
    expected = {"adaptive": AdaptiveNorm2d, "batch": nn.BatchNorm2d, "instance": nn.InstanceNorm2d}
    assert type(layer) is expected[norm]


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("norm", ["adaptive", AdaptiveNorm2d, AdaptiveNorm3d])
def test_the_gate_is_that_of_adaptive_layers(norm, gate):
    layer = make_norm(norm, 5, gate=gate)
    assert type(layer) is (AdaptiveNorm2d if norm == "adaptive" else norm)
    assert type(layer.gate) is GATES[gate]


def test_classes_and_partials_are_called_with_the_number_of_channels():
    assert make_norm(nn.BatchNorm2d, 6).num_features == 6
    assert make_norm(partial(nn.GroupNorm, 3), 6).num_groups == 3
    own = make_norm(partial(AdaptiveNorm2d, gate="static", momentum=None), 6, gate="dual")
    assert own.momentum is None and type(own.gate) is GATES["static"]
    gate = nn.Linear(6, 6)
    assert make_norm("adaptive", 6, gate=gate).gate is gate


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="norm must be one of 'adaptive', 'batch', 'instance'.*not 'layer'"):
        make_norm("layer", 3)
    with pytest.raises(ValueError, match="gate must be one of"):
        make_norm("adaptive", 3, gate="3layer")
    with pytest.raises(TypeError, match="a name, a class or a partial, not 3"):
        make_norm(3, 3)
