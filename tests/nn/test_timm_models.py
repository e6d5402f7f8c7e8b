"""Models of timm with their batch normalization converted: forward, backward, ``torch.fx``."""

import copy

import pytest
import timm
import torch
from timm.utils import reparameterize_model
from torch import nn
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

from anrl.nn import AdaptiveNorm, convert_adaptive_norm
from support.close import assert_close

MODELS = [
    "resnet10t",
    "resnet18",
    "resnet18d",
    "resnetblur18",
    "seresnet18",
    "skresnet18",
    "mobilenetv2_050",
    "mobilenetv3_small_050",
    "mobilenetv3_rw",
    "mobilenetv4_conv_small_050",
    "mobileone_s0",
    "tinynet_e",
    "lcnet_035",
    "lcnet_050",
    "efficientnet_lite0",
    "efficientnet_b0",
    "mnasnet_small",
    "spnasnet_100",
    "fbnetc_100",
    "fbnetv3_b",
    "ghostnet_050",
    "hardcorenas_a",
    "rexnet_100",
    "regnetx_002",
    "regnety_002",
    "repghostnet_050",
    "repvgg_a0",
    "repvit_m0_9",
    "densenet121",
    "dla34",
    "vovnet39a",
    "ese_vovnet19b_slim_dw",
    "cspdarknet53",
    "hrnet_w18_small",
    "levit_conv_128s",
    "fastvit_t8",
    "starnet_s1",
    "efficientvit_b0",
    "mixnet_s",
    "shvit_s1",
    "test_resnet",
    "test_efficientnet",
    "test_byobnet",
]

# Its attention chooses between two formulas by the input's size, which no symbolic trace can follow.
UNTRACEABLE = {"efficientvit_b0"}
# Its folding asserts that what is no nn.BatchNorm2d is an nn.Identity.
ASKS_FOR_THE_CLASS = {"repghostnet_050"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning"),
]


class Ones(nn.Module):
    def forward(self, mean):
        return torch.ones_like(mean)


def build(name):
    torch.manual_seed(0)
    before = timm.create_model(name, num_classes=5)
    size = before.pretrained_cfg["input_size"][-1] if before.pretrained_cfg.get("fixed_input_size") else 64
    after = convert_adaptive_norm(copy.deepcopy(before))
    return before, after, torch.randn(2, 3, size, size)


def layers(model):
    return [module for module in model.modules() if isinstance(module, AdaptiveNorm)]


@pytest.mark.parametrize("name", MODELS)
def test_with_open_gates_a_converted_model_is_the_same_function(name):
    before, after, x = build(name)
    assert layers(after)
    for layer in layers(after):
        layer.gate = Ones()
    with torch.no_grad():
        assert_close(after.eval().double()(x.double()), before.eval().double()(x.double()), 1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_gets_a_gradient(name):
    _, after, x = build(name)
    parameters = list(after.train().parameters())
    gradients = torch.autograd.grad(after(x).mean(), parameters)
    assert all(g.shape == p.shape and g.isfinite().all() for g, p in zip(gradients, parameters, strict=True))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            marks=[pytest.mark.xfail(raises=torch.fx.proxy.TraceError)] if name in UNTRACEABLE else [],
        )
        for name in MODELS
    ],
)
@pytest.mark.filterwarnings("ignore:NOTE. The nodes obtained by tracing the model in train mode")
def test_torch_fx_takes_the_layers_as_nodes(name):
    _, after, x = build(name)
    _, nodes = get_graph_node_names(after)
    graph = create_feature_extractor(after.eval(), nodes[-1:]).eval()
    assert layers(graph)
    with torch.no_grad():
        assert torch.equal(graph(x)[nodes[-1]], after(x))


@pytest.mark.parametrize("name", MODELS)
def test_scripting_and_folding_are_refused_or_change_nothing(name):
    _, after, x = build(name)
    after.eval()
    with pytest.raises(RuntimeError, match=r"torch\.jit\.script does not support AdaptiveNorm"):
        torch.jit.script(after)
    if name in ASKS_FOR_THE_CLASS:
        with pytest.raises(AssertionError):
            reparameterize_model(after)
        return
    try:
        folded = reparameterize_model(after)
    except RuntimeError as error:
        assert "can't be folded" in str(error)
    else:
        with torch.no_grad():
            assert_close(folded(x), after(x), 1e-5)


def test_a_head_over_planes_of_one_pixel_trains():
    torch.manual_seed(0)
    model = timm.create_model("mobilenetv4_conv_small_050", num_classes=5)
    convert_adaptive_norm(model)
    loss = model.train()(torch.randn(64, 3, 80, 80)).square().mean()
    loss.backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())
