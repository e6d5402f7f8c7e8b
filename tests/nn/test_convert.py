"""Adaptive normalization put into models that were written without it."""

import copy

import pytest
import torch
from torch import nn

from anrl.nn import (
    AdaptiveNorm,
    AdaptiveNorm2d,
    AdaptiveNorm3d,
    convert_adaptive_norm,
    convert_sync_adaptive_norm,
)
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


def test_shifts_that_are_left_out_stay_out():
    new = convert_adaptive_norm(nn.BatchNorm2d(3, bias=False))
    assert new.bias is None and new.instance_bias is None and new.instance_weight is not None


def test_converting_twice_changes_nothing():
    once = convert_adaptive_norm(nn.Sequential(nn.BatchNorm2d(3)))
    layer = once[0]
    assert convert_adaptive_norm(once)[0] is layer and convert_adaptive_norm(layer) is layer


def test_layers_can_be_left_out_by_name():
    parts = [nn.BatchNorm2d(3), nn.Sequential(nn.BatchNorm2d(3), nn.BatchNorm2d(3)), nn.BatchNorm2d(3)]
    converted = convert_adaptive_norm(nn.Sequential(*parts), skip=["1", "2"])
    kinds = [type(m) for m in converted.modules() if not isinstance(m, nn.Sequential)]
    assert kinds.count(AdaptiveNorm2d) == 1 and converted[1][1] is parts[1][1] and converted[2] is parts[2]
    before = nn.Sequential(nn.BatchNorm2d(3))
    with pytest.raises(ValueError, match="skip names 0.norm, but the model has no such module"):
        convert_adaptive_norm(before, skip=["0", "0.norm"])
    assert type(before[0]) is nn.BatchNorm2d


def head_over_single_pixels():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Sequential(nn.BatchNorm2d(4))
    )


@pytest.mark.parametrize("example", [torch.zeros(1, 3, 8, 8), (torch.zeros(1, 3, 8, 8),)])
def test_layers_over_planes_of_one_pixel_keep_their_norm_and_are_named(example):
    model = head_over_single_pixels()
    state = copy.deepcopy(model.state_dict())
    with pytest.warns(UserWarning, match=r"keep their batch normalization.*: 3\.0$"):
        convert_adaptive_norm(model, example_input=example)
    assert type(model[1]) is AdaptiveNorm2d and type(model[3][0]) is nn.BatchNorm2d
    assert all(torch.equal(model.state_dict()[name], value) for name, value in state.items())
    assert model.training and not any(m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("gate", ["1layer", "2layer", "static", "dual"])
def test_over_planes_of_one_pixel_a_converted_layer_is_batch_norm(gate, training):
    torch.manual_seed(0)
    before = nn.BatchNorm2d(4)
    for parameter in before.parameters():
        nn.init.uniform_(parameter, 0.2, 0.8)
    before(torch.randn(8, 4, 1, 1))
    after = convert_adaptive_norm(copy.deepcopy(before), gate)
    after.record_gate = True
    x = torch.randn(8, 4, 1, 1)
    ours, theirs = after.train(training)(x), before.train(training)(x)
    assert_close(ours, theirs.detach(), 1e-5)
    assert torch.equal(after.last_gate, torch.ones(8, 4))
    gradients = torch.autograd.grad(ours.square().sum(), list(after.gate.parameters()))
    assert all(torch.equal(g, torch.zeros_like(g)) for g in gradients)
    for name, value in before.named_buffers():
        assert_close(after.get_buffer(name).double(), value.double(), 1e-5, absolute=1e-6)


def test_every_batch_norm_is_synchronized_or_refused_by_name():
    parts = [nn.BatchNorm1d(4), nn.BatchNorm2d(4, affine=False), nn.BatchNorm3d(4, track_running_stats=False)]
    parts += [BatchNormAct2d(4, nn.SiLU()), AdaptiveNorm2d(4), nn.BatchNorm2d(4, bias=False)]
    model = convert_sync_adaptive_norm(nn.Sequential(*parts).eval())
    names = [type(m).__name__ for m in model]
    assert names[:4] == ["SyncBatchNorm1d", "SyncBatchNorm2d", "SyncBatchNorm3d", "SyncBatchNormAct2d"]
    assert model[4].synchronized and names[5] == "SyncBatchNorm2d" and model[5].bias is None
    assert isinstance(model[3].act, nn.SiLU) and not model[0].training
    assert convert_sync_adaptive_norm(model)[0].weight is parts[0].weight
    adaptive = convert_adaptive_norm(convert_sync_adaptive_norm(nn.BatchNorm2d(4)))
    assert isinstance(adaptive, AdaptiveNorm) and adaptive.synchronized

    class Special(nn.BatchNorm2d):
        pass

    for special in (Special(4), nn.LazyBatchNorm2d()):
        layer = AdaptiveNorm2d(4)
        with pytest.raises(TypeError, match=r"1\.0 is a .*BatchNorm2d|1\.0 is a .*Special"):
            convert_sync_adaptive_norm(nn.Sequential(layer, nn.Sequential(special)))
        assert not layer.synchronized
