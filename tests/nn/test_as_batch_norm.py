"""Tools made for batch normalization: the layer does as batch normalization does, or refuses in words."""

import copy
import warnings

import pytest
import timm
import torch
from timm.utils import freeze, reparameterize_model
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.optim.swa_utils import AveragedModel, update_bn

from anrl.nn import GATES, AdaptiveNorm2d, convert_adaptive_norm
from support.close import assert_close

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def same_statistics(ours, theirs):
    for name in STATISTICS:
        assert_close(getattr(ours, name).double(), getattr(theirs, name).double(), 1e-5, name, absolute=1e-6)


def pair(**options):
    torch.manual_seed(0)
    return AdaptiveNorm2d(4, **options), nn.BatchNorm2d(4, **options)


def test_statistics_of_an_averaged_model_are_found_anew():
    batches = [torch.randn(8, 4, 5, 5) + 5 for _ in range(4)]
    models = [AveragedModel(nn.Sequential(layer)) for layer in pair()]
    for model in models:
        update_bn(batches, model)
    ours, theirs = (model.module[0] for model in models)
    assert ours.num_batches_tracked == 4 and ours.momentum == 0.1 and (ours.running_mean - 5).abs().max() < 1
    same_statistics(ours, theirs)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("momentum", [0.1, None])
def test_statistics_can_be_left_alone_for_a_pass(training, momentum):
    layers = pair(momentum=momentum)
    batches = torch.randn(3, 6, 4, 5, 5) + 3
    for layer in layers:
        layer(batches[0])
        before = copy.deepcopy(layer)
        layer.train(training).track_running_stats = False
        y = layer(batches[1])
        same_statistics(layer, before)
        layer.track_running_stats = True
        if not training:
            assert torch.equal(layer(batches[1]), y)
        layer.train()(batches[2])
    same_statistics(*layers)


@pytest.mark.parametrize("gate", GATES)
def test_parameters_and_statistics_are_reset(gate):
    torch.manual_seed(1)
    layer = AdaptiveNorm2d(4, gate=gate)
    start = copy.deepcopy(layer.state_dict())
    layer(torch.randn(4, 4, 5, 5) + 1)
    layer.reset_running_stats()
    assert all(torch.equal(value, start[name]) for name, value in layer.state_dict().items())
    for parameter in layer.parameters():
        nn.init.constant_(parameter, 7.0)
    layer(torch.randn(4, 4, 5, 5) + 1)
    layer.reset_parameters()
    for name, value in layer.state_dict().items():
        if name.startswith("gate"):
            assert not (value == 7).any()
        else:
            assert torch.equal(value, start[name]), name


def test_shifts_can_be_left_out():
    layer = AdaptiveNorm2d(4, bias=False)
    assert set(dict(layer.named_parameters())) == {
        "weight", "instance_weight", "gate.fc.weight", "gate.fc.bias"
    }  # fmt: skip
    assert "bias=False" in repr(layer) and AdaptiveNorm2d(4, affine=False).weight is None
    x = torch.randn(3, 4, 5, 5)
    other = AdaptiveNorm2d(4)
    other.gate = layer.gate
    assert torch.equal(layer(x), other(x))


def test_folding_into_a_convolution_is_refused():
    conv, norm = nn.Conv2d(3, 4, 3), AdaptiveNorm2d(4, eps=1e-3)
    with pytest.raises(RuntimeError, match="can't be folded into a convolution"):
        fuse_conv_bn_eval(conv.eval(), norm.eval())
    norm.eps = 0.01
    with pytest.raises(RuntimeError, match="can't be folded into a convolution"):
        norm.weight / torch.sqrt(norm.running_var + norm.eps)
    assert norm.eps == 0.01 and float(norm.eps) + torch.ones(1) == 1.01 and "eps=0.01" in repr(norm)
    model = convert_adaptive_norm(timm.create_model("repvgg_a0", num_classes=2)).eval()
    with pytest.raises(RuntimeError, match="can't be folded into a convolution"):
        reparameterize_model(model)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")  # torch's own doing
def test_fusing_a_graph_leaves_the_layer_as_it_is():
    from torch.fx.experimental import optimization

    model = nn.Sequential(nn.Conv2d(3, 4, 3), AdaptiveNorm2d(4), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)).eval()
    x = torch.randn(2, 3, 9, 9)
    fused = optimization.fuse(copy.deepcopy(model))
    kinds = [type(module) for module in fused.modules()]
    assert AdaptiveNorm2d in kinds and nn.BatchNorm2d not in kinds
    assert_close(fused(x), model(x), 1e-5)


@pytest.mark.parametrize("gate", [*GATES, nn.Sequential(nn.Linear(4, 4), nn.Sigmoid())])
def test_torch_may_not_make_a_batch_norm_of_it(gate):
    for layer in (AdaptiveNorm2d(4, gate=gate), nn.Sequential(AdaptiveNorm2d(4, gate=gate))):
        with pytest.raises(TypeError, match="convert_sync_adaptive_norm"):
            nn.SyncBatchNorm.convert_sync_batchnorm(layer)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
def test_scripting_is_refused():
    with pytest.raises(RuntimeError, match="does not support AdaptiveNorm2d; use torch.jit.trace"):
        torch.jit.script(nn.Sequential(AdaptiveNorm2d(4)))


def test_torch_fx_takes_it_as_one_node():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), AdaptiveNorm2d(4, activation="relu"))
    graph = fx.symbolic_trace(model)
    assert [node.op for node in graph.graph.nodes] == ["placeholder", "call_module", "call_module", "output"]
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(graph(x), model(x))
    with pytest.raises(RuntimeError, match="trace a model that contains the layer"):
        fx.symbolic_trace(model[1])


def test_frozen_parameters_in_training_warn_that_statistics_move():
    model = convert_adaptive_norm(timm.create_model("resnet10t", num_classes=2))
    x = torch.randn(2, 3, 32, 32)
    freeze(model, ["layer1"])
    with pytest.warns(UserWarning, match="its running statistics still move"):
        model(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with torch.no_grad():
            model(x)
        model.layer1.eval()
        before = copy.deepcopy(model.layer1.state_dict())
        model(x)
        assert all(torch.equal(value, before[name]) for name, value in model.layer1.state_dict().items())
