"""The table of gates: formulas, names, sources."""

import numpy as np
import pytest
import torch

from anrl import backend_info
from anrl.nn import GATES, AdaptiveNorm2d, make_gate


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def relu(x):
    return np.maximum(x, 0)


NAIVE = {
    "1layer": lambda z, w, b: sigmoid(w @ z + b),
    "2layer": lambda z, w1, b1, w2, b2: sigmoid(w2 @ relu(w1 @ z + b1) + b2),
    "static": lambda z, w: np.clip(w, 0, 1),
    "dual": lambda z, w, wb, wi: (
        sigmoid(wb @ relu(w @ z)) / (sigmoid(wb @ relu(w @ z)) + sigmoid(wi @ relu(w @ z)))
    ),
}


@pytest.mark.parametrize("name", GATES)
def test_gates_follow_their_equations(name):
    torch.manual_seed(0)
    gate = make_gate(name, 20).double()
    for parameter in gate.parameters():
        torch.nn.init.normal_(parameter)
    mean = torch.randn(3, 20, dtype=torch.double)
    arguments = [parameter.detach().numpy() for parameter in gate.arguments()]
    expected = np.stack([NAIVE[name](z, *arguments) for z in mean.numpy()])
    np.testing.assert_allclose(gate(mean).detach(), expected, rtol=1e-12)
    assert {id(p) for p in gate.arguments()} == {id(p) for p in gate.parameters()}


def test_every_gate_has_its_source_and_is_known_everywhere():
    assert NAIVE.keys() == GATES.keys()
    for name, gate in GATES.items():
        assert gate.formula.name == name and gate.formula.citation
        assert gate.formula.equation in repr(AdaptiveNorm2d(3, gate=name))
        assert any(name in case for case in backend_info().paths)


def test_unknown_gates_are_named_with_those_there_are():
    with pytest.raises(ValueError, match="one of '1layer', '2layer', 'static', 'dual', or a module, not 'x'"):
        make_gate("x", 3)
