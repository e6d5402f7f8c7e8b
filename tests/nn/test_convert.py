"""Adaptive normalization put into models that were written without it."""

import copy

import pytest
import torch
from torch import nn

from anrl.nn import AdaptiveNorm2d, AdaptiveNorm3d, convert_adaptive_norm
from support.close import assert_close


class BatchNormAct2d(nn.BatchNorm2d):
    """As timm has it: dropout and an activation after batch normalization."""

    def __init__(self, num_features, act):
        super().__init__(num_features)
        self.drop, self.act = nn.Identity(), act

    def forward(self, x):
        return self.act(self.drop(super().forward(x)))


def model():
    shared = nn.BatchNorm2d(4)
    parts = [nn.Conv2d(3, 4, 3), shared, nn.ReLU(), shared, BatchNormAct2d(4, nn.ReLU())]
    parts += [nn.Conv2d(4, 4, 1), BatchNormAct2d(4, nn.SiLU()), nn.BatchNorm2d(4, affine=False)]
    made = nn.Sequential(*parts, nn.Sequential(nn.BatchNorm2d(4, track_running_stats=False)))
    for parameter in made.parameters():
        nn.init.uniform_(parameter, 0.2, 0.8)
    for _ in range(3):
        made(torch.randn(4, 3, 8, 8))
    return made


@pytest.mark.parametrize("gate", ["1layer", "static"])
def test_a_converted_model_keeps_what_it_has_learnt(gate):
    torch.manual_seed(0)
    before = model().eval()
    after = convert_adaptive_norm(copy.deepcopy(before), gate)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in after.modules()) and not after[1].training
    assert after[1] is after[3]
    state = after.state_dict()
    assert all(torch.equal(state[name], value) for name, value in before.state_dict().items())
    for layer in after.modules():
        if isinstance(layer, AdaptiveNorm2d):
            # With all gates at one it must be the same function.
            layer.gate = nn.Module()
            layer.gate.forward = torch.ones_like
    x = torch.randn(2, 3, 8, 8)
    assert_close(after(x), before(x).detach(), 1e-5)


def test_parameters_stay_the_same_objects():
    old = nn.BatchNorm2d(3, eps=1e-3, momentum=None, dtype=torch.float64)
    old.weight.requires_grad_(False)
    new = convert_adaptive_norm(old)
    assert type(new) is AdaptiveNorm2d and new.weight is old.weight and new.running_var is old.running_var
    assert new.eps == 1e-3 and new.momentum is None and new.gate.fc.weight.dtype == torch.float64
    assert not new.instance_weight.requires_grad and new.instance_bias.requires_grad
    assert isinstance(convert_adaptive_norm(nn.BatchNorm3d(2)), AdaptiveNorm3d)
    shared = convert_adaptive_norm(nn.SyncBatchNorm(2))
    assert shared.synchronized and isinstance(convert_adaptive_norm(nn.BatchNorm1d(2)), nn.BatchNorm1d)


def test_unknown_layers_are_named_and_nothing_is_changed():
    class Special(nn.BatchNorm2d):
        pass

    for special in (Special(4), nn.LazyBatchNorm2d()):
        before = nn.Sequential(nn.BatchNorm2d(4), nn.Sequential(special))
        with pytest.raises(TypeError, match=r"1\.0 is a .*BatchNorm2d|1\.0 is a .*Special"):
            convert_adaptive_norm(before)
        assert type(before[0]) is nn.BatchNorm2d
    with pytest.raises(ValueError, match="gate must be one of"):
        convert_adaptive_norm(nn.BatchNorm2d(3), gate="none")
