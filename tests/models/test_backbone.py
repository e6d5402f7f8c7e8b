"""Models of timm and torchvision as backbones."""

import builtins
import sys
import types

import pytest
import safetensors.torch
import timm
import torch
from torch import nn

from anrl.errors import ConfigError, DataError
from anrl.models import Backbone, BackboneOptions, build_model
from anrl.models.backbone import Hardsigmoid
from anrl.nn import AdaptiveNorm2d, gate_parameters
from support.step import backward, meta_backward

WITH_BATCH_NORM = [
    "timm/resnet18",
    "timm/mobilenetv3_small_100",
    "timm/efficientnet_b0",
    "timm/fastvit_t8",
    "torchvision.models.resnet18",
]
pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")


def build(name, channels=3, **options):
    torch.manual_seed(0)
    return build_model(BackboneOptions(name, **options), channels)


class Fork(nn.Module):
    """Two convolutions side by side, which cannot be called one after the other."""

    channels = 3

    def __init__(self):
        super().__init__()
        self.one, self.two = (nn.Conv2d(3, self.channels, 3) for _ in range(2))

    def forward(self, x):
        return self.one(x) + self.two(x)


class WideFork(Fork):
    """The same, whose second convolution does not even fit behind the first."""

    channels = 4


@pytest.mark.parametrize("channels", [3, 6])
@pytest.mark.parametrize("name", WITH_BATCH_NORM)
def test_step_and_meta_step(name, channels):
    model = build(name, channels)
    image = torch.randn(4, channels, 64, 64)
    backward(model, image)
    model.zero_grad()
    gradients = meta_backward(model, image)
    assert gradients and all(g is not None and g.isfinite().all() for g in gradients.values())
    assert any(g.any() for g in gradients.values())
    batch_norms = [m for m in model.trunk.modules() if isinstance(m, nn.BatchNorm2d)]
    assert not batch_norms


@pytest.mark.parametrize("channels", [3, 6])
def test_a_model_without_batch_norm_needs_keep(channels):
    for norm in ("adaptive", "batch", "instance"):
        with pytest.raises(ConfigError, match="no batch normalization.*keep") as error:
            build("timm/convnext_atto", channels, norm=norm)
        assert error.value.key == "model.norm"
    model = build("timm/convnext_atto", channels, norm="keep")
    assert not gate_parameters(model)
    backward(model, torch.randn(4, channels, 64, 64))


@pytest.mark.parametrize("name", ["timm/resnet18", "timm/efficientnet_b0", "torchvision.models.resnet18"])
def test_norms(name):
    image = torch.randn(4, 3, 64, 64)
    kept, batch, instance = (build(name, norm=norm) for norm in ("keep", "batch", "instance"))
    assert kept.state_dict().keys() == batch.state_dict().keys()
    assert any(isinstance(m, nn.BatchNorm2d) for m in batch.trunk.modules())
    assert not any(isinstance(m, (nn.BatchNorm2d, AdaptiveNorm2d)) for m in instance.trunk.modules())
    assert any(isinstance(m, nn.InstanceNorm2d) for m in instance.trunk.modules())
    backward(instance, image)
    # Instance normalization of a batch is that of each image alone.
    instance.eval().double()
    image = image.double()
    torch.testing.assert_close(instance.extract(image)[:1], instance.extract(image[:1]))
    with pytest.raises(ValueError, match="norm must be"):
        build(name, norm="group")


@pytest.mark.parametrize("name", ["timm/resnet18", "timm/fastvit_t8", "torchvision.models.resnet18"])
def test_six_channels_from_three(name):
    """An image whose halves are equal gives the features of the one half."""
    three, six = build(name).eval(), build(name, 6).eval()
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected, features = three.extract(image), six.extract(image.repeat(1, 2, 1, 1))
    torch.testing.assert_close(features, expected, rtol=1e-3, atol=1e-4)


def test_channels_of_options_and_data_agree():
    with pytest.raises(ConfigError, match="3 channels, and the data has 6") as error:
        build("timm/resnet18", 6, in_channels=3)
    assert error.value.key == "model.in_channels"
    assert build("timm/resnet18", 6, in_channels=6).num_features == 512


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("name", ["timm/resnet18", "timm/fastvit_t8", "torchvision.models.resnet18"])
def test_weights_of_a_whole_model(name, suffix, tmp_path):
    torch.manual_seed(1)
    whole = timm.create_model(name.removeprefix("timm/"), features_only=False) if "/" in name else None
    if whole is None:
        import torchvision

        whole = torchvision.models.resnet18()
    path = tmp_path / f"weights.{suffix}"
    if suffix == "pth":
        torch.save({"state_dict": {f"module.{k}": v for k, v in whole.state_dict().items()}}, path)
    else:
        safetensors.torch.save_file(whole.state_dict(), path)
    model = build(name, weights=str(path), norm="keep")
    by_name = {key.replace(".", "_"): tensor for key, tensor in whole.state_dict().items()}
    loaded = model.trunk.state_dict()
    assert len(loaded) > 100
    for key, tensor in loaded.items():
        assert torch.equal(tensor, by_name[key.replace(".", "_")]), key
    # The first convolutions are adapted after weights are loaded.
    wide = build(name, 6, weights=str(path), norm="keep").trunk.state_dict()
    halved = [key for key, tensor in wide.items() if tensor.shape != loaded[key].shape]
    assert halved
    for key in halved:
        assert torch.equal(wide[key], torch.cat([loaded[key], loaded[key]], 1) / 2)


def test_weights_of_another_model(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(timm.create_model("resnet34").state_dict(), path)
    with pytest.raises(DataError, match=r"another architecture: unknown layer1\.2\.conv1\.weight") as error:
        build("timm/resnet18", weights=str(path))
    assert error.value.path == str(path)
    torch.save(timm.create_model("mobilenetv3_small_100").state_dict(), path)
    with pytest.raises(DataError, match=r"missing conv1\.weight, .* and \d+ more; another shape of"):
        build("timm/resnet18", weights=str(path))


def test_out_index():
    for name in ("timm/resnet18", "torchvision.models.resnet18"):
        model = build(name, out_index=-2)
        assert model.num_features == 256
        backward(model, torch.randn(4, 3, 64, 64))
        with pytest.raises(ConfigError) as error:
            build(name, out_index=40)
        assert error.value.key == "model.out_index"


def test_nothing_is_downloaded_unless_asked(monkeypatch):
    asked = []
    monkeypatch.setattr(timm, "create_model", lambda *_, pretrained, **__: asked.append(pretrained))
    for weights in (None, "pretrained"):
        with pytest.raises(Exception, match="'NoneType' object"):
            build("timm/resnet18", weights=weights)
    assert asked == [False, True]


def test_without_timm(monkeypatch):
    real = builtins.__import__

    def refuse(name, *arguments, **named):
        if name == "timm":
            raise ImportError(name)
        return real(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ConfigError, match="pip install timm") as error:
        build("timm/resnet18")
    assert error.value.key == "model.name"


@pytest.mark.parametrize("kind", ["Fork", "WideFork"])
def test_a_model_that_is_no_chain(kind, monkeypatch):
    monkeypatch.setitem(sys.modules, "forks", types.SimpleNamespace(Fork=Fork, WideFork=WideFork))
    with pytest.raises(ConfigError, match="one after the other"):
        Backbone(BackboneOptions(f"forks.{kind}", norm="keep"))


def test_hardsigmoid_has_a_second_derivative():
    x = torch.linspace(-5, 5, 37, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(Hardsigmoid()(x), nn.Hardsigmoid()(x))
    (first,) = torch.autograd.grad(Hardsigmoid()(x).pow(2).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    torch.testing.assert_close(second, torch.where(x.abs() < 3, 1 / 18, 0.0).double())
    assert not any(isinstance(m, nn.Hardsigmoid) for m in build("timm/mobilenetv3_small_100").modules())
