"""Names and options of networks."""

import subprocess
import sys
from typing import get_args, get_type_hints

import pytest
import torch
from torch import nn

from anrl.errors import ConfigError
from anrl.models import (
    ANRLNet,
    ANRLNetOptions,
    BackboneOptions,
    ConvBlock,
    MiniFASNet,
    MiniFASNetOptions,
    build_model,
    model_options,
)
from anrl.models.options import Gate
from anrl.models.registry import MODELS
from anrl.nn import GATES, AdaptiveNorm2d


def test_names():
    assert model_options("anrl") is ANRLNetOptions
    assert model_options("minifasnet_v2") is model_options("minifasnet_v1se") is MiniFASNetOptions
    assert model_options("timm/resnet18") is model_options("torchvision.models.resnet18") is BackboneOptions


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("anlr", "anrl"),
        ("minifasnet_v3", "minifasnet_v2"),
        ("resnet18", "timm/resnet18"),
        ("timm/resnet81", "timm/resnet18"),
        ("torchvision.models.resnet81", "torchvision.models.resnet18"),
    ],
)
def test_unknown_names_get_the_nearest(name, nearest):
    with pytest.raises(ConfigError, match=rf"did you mean {nearest}\?") as error:
        model_options(name)
    assert error.value.key == "model.name"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no_such_library.Net", "cannot import 'no_such_library'"),
        (".Net", "cannot import ''"),
        ("os.getpid", "no class derived from torch.nn.Module"),
        ("torch.Tensor", "no class derived from torch.nn.Module"),
    ],
)
def test_import_paths_of_models_only(name, reason):
    with pytest.raises(ConfigError, match=reason) as error:
        model_options(name)
    assert error.value.key == "model.name"


def test_options_need_no_torch():
    code = (
        "import sys; from anrl.models import model_options; model_options('minifasnet_v2'); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_choices_are_those_of_the_layers():
    assert set(get_args(Gate)) == set(GATES)
    norms = {options: set(get_args(get_type_hints(options)["norm"])) for options in MODELS.values()}
    assert norms[ANRLNetOptions] == {"adaptive", "batch", "instance"}
    for norm in norms[ANRLNetOptions]:
        ConvBlock(3, 4, norm)
    for norm in norms[MiniFASNetOptions]:
        MiniFASNet(MiniFASNetOptions("minifasnet_v2", norm=norm))


def test_build_anrl_net():
    torch.manual_seed(0)
    model = build_model(ANRLNetOptions(width=0.1, norm="adaptive", gate="dual"), 3)
    torch.manual_seed(0)
    same = ANRLNet(3, 0.1, "adaptive", "dual")
    image = torch.randn(2, 3, 16, 16)
    assert torch.equal(model(image).logits, same(image).logits)


def test_norm_as_a_class_or_a_partial():
    from functools import partial

    assert isinstance(ConvBlock(3, 4, nn.InstanceNorm2d).norm, nn.InstanceNorm2d)
    block = ConvBlock(3, 4, partial(AdaptiveNorm2d, gate="static", momentum=None))
    assert block.norm.momentum is None and block.norm.activation == "relu"
    image = torch.randn(2, 3, 8, 8)
    y = block(image)
    assert (y >= 0).all() and (y == 0).any()
    net = ANRLNet(3, 0.1, partial(nn.GroupNorm, 1))
    assert net(image).logits.shape == (2, 2)
    assert sum(isinstance(m, nn.GroupNorm) for m in net.modules()) == 10
    with pytest.raises(ValueError, match="norm must be"):
        ConvBlock(3, 4, "group")
