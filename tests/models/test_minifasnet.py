"""Silent-Face's networks."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from anrl.errors import ConfigError, DataError
from anrl.models import MiniFASNet, MiniFASNetOptions, build_model
from anrl.nn import AdaptiveNorm2d, gate_parameters
from support.step import backward, meta_backward

SHAPES = json.loads(Path(__file__).with_name("minifasnet_shapes.json").read_text())
PARAMETERS = {"minifasnet_v2": 434_560, "minifasnet_v1se": 433_586}
pytestmark = pytest.mark.parametrize("name", PARAMETERS)


def build(name, in_channels=3, **options):
    torch.manual_seed(0)
    return build_model(MiniFASNetOptions(name, **options), in_channels)


def own(tensors):
    """Without the depth estimator, which the published networks lack."""
    return {key: tensor for key, tensor in tensors.items() if not key.startswith("depth_estimator.")}


def published(name):
    """Random weights under the published names and shapes."""
    generator = torch.Generator().manual_seed(1)
    tensors = {}
    for key, shape in SHAPES[name].items():
        tensor = torch.randn(shape, generator=generator) * (0.1 if len(shape) > 1 else 0.3)
        if key.endswith(("running_var", "bn.weight")):
            tensor = tensor.abs() + 0.5
        tensors[key] = torch.tensor(7) if key.endswith("num_batches_tracked") else tensor
    return tensors


def test_names_shapes_and_parameter_count(name):
    model = MiniFASNet(MiniFASNetOptions(name))
    assert {key: list(tensor.shape) for key, tensor in own(model.state_dict()).items()} == SHAPES[name]
    assert sum(p.numel() for p in own(dict(model.named_parameters())).values()) == PARAMETERS[name]


@pytest.mark.parametrize("channels", [3, 6])
def test_step_and_meta_step(name, channels):
    image = torch.rand(4, channels, 80, 80) * 2 - 1
    for norm in ("keep", "instance"):
        backward(build(name, channels, norm=norm), image)
    model = build(name, channels, norm="adaptive")
    backward(model, image)
    assert model(image).features.shape == (4, 128, 5, 5)
    model.zero_grad()
    gradients = meta_backward(model, image, 1e-3)
    assert all(g is not None and g.isfinite().all() for g in gradients.values())
    assert any(g.any() for g in gradients.values())


def test_adaptive_norm_replaces_the_maps_of_more_than_one_pixel(name):
    model = build(name, norm="adaptive")
    left = {key for key, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)}
    left = {key for key in left if not key.startswith("depth_estimator.")}
    assert all(key.startswith("conv_6_") or ".se_module." in key for key in left)
    count = sum(isinstance(module, AdaptiveNorm2d) for module in model.modules())
    assert count == 2 + 3 * (3 + 12)
    assert len(gate_parameters(model)) == 2 * count


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("norm", ["keep", "adaptive"])
def test_weights_load_by_name(name, prefix, norm, tmp_path):
    path, tensors = tmp_path / "published.pth", published(name)
    torch.save({prefix + key: tensor for key, tensor in tensors.items()}, path)
    loaded = build(name, weights=str(path), norm=norm).state_dict()
    for key, tensor in tensors.items():
        assert torch.equal(loaded[key], tensor), key
    del tensors["prob.weight"]
    tensors["conv1.extra"] = torch.zeros(1)
    torch.save(tensors, path)
    with pytest.raises(DataError, match=r"missing prob\.weight; unknown conv1\.extra"):
        build(name, weights=str(path))


def test_output_is_that_of_the_published_network(name, tmp_path):
    """Recompute the forward pass from the weights alone: BGR in [0, 255], softmax over three classes."""
    path, tensors = tmp_path / "published.pth", published(name)
    torch.save(tensors, path)
    model = build(name, weights=str(path)).eval()
    pixels = torch.randint(0, 256, (2, 3, 80, 80)).float()
    with torch.no_grad():
        output = model((pixels / 255 - 0.5) / 0.5)
        z = reference(tensors, pixels[:, [2, 1, 0]])
    torch.testing.assert_close(output.logits.softmax(1)[:, 0], z.softmax(1)[:, 1], rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(output.logits[:, 0], z[:, 1], rtol=1e-3, atol=1e-2)


def reference(weights, x):
    """The three logits, with torch's functions only."""
    functional = torch.nn.functional

    def norm(prefix, y):
        mean, var, scale, shift = (
            weights[f"{prefix}.{key}"] for key in ("running_mean", "running_var", "weight", "bias")
        )
        return functional.batch_norm(y, mean, var, scale, shift)

    def unit(prefix, y, stride=1):
        kernel = weights[f"{prefix}.conv.weight"]
        depthwise = kernel.shape[1] == 1 and y.shape[1] > 1
        padding = 1 if kernel.shape[2] == 3 else 0
        groups = y.shape[1] if depthwise else 1
        y = norm(f"{prefix}.bn", functional.conv2d(y, kernel, None, stride, padding, 1, groups))
        slope = weights.get(f"{prefix}.prelu.weight")
        return y if slope is None else functional.prelu(y, slope)

    def bottleneck(prefix, y, stride=1):
        y = unit(f"{prefix}.conv_dw", unit(f"{prefix}.conv", y), stride)
        y = unit(f"{prefix}.project", y)
        if f"{prefix}.se_module.fc1.weight" in weights:
            s = functional.adaptive_avg_pool2d(y, 1)
            s = norm(
                f"{prefix}.se_module.bn1", functional.conv2d(s, weights[f"{prefix}.se_module.fc1.weight"])
            )
            s = functional.conv2d(s.clamp_min(0), weights[f"{prefix}.se_module.fc2.weight"])
            y = y * norm(f"{prefix}.se_module.bn2", s).sigmoid()
        return y

    x = unit("conv2_dw", unit("conv1", x, 2))
    for down, stage, blocks in (("conv_23", "conv_3", 4), ("conv_34", "conv_4", 6), ("conv_45", "conv_5", 2)):
        x = bottleneck(down, x, 2)
        for i in range(blocks):
            x = x + bottleneck(f"{stage}.model.{i}", x)
    x = unit("conv_6_dw", unit("conv_6_sep", x)).flatten(1)
    return norm("bn", x @ weights["linear.weight"].T) @ weights["prob.weight"].T


def test_six_channels_from_three(name):
    three, six = build(name).eval(), build(name, 6).eval()
    first = three.conv1.conv.weight
    assert torch.equal(six.conv1.conv.weight, torch.cat([first, first], 1) / 2)
    assert six(torch.zeros(2, 6, 80, 80)).logits.shape == (2, 2)


def test_what_it_refuses(name):
    with pytest.raises(ValueError, match="image_size=80"):
        build(name)(torch.zeros(2, 3, 64, 64))
    with pytest.raises(ConfigError) as error:
        build(name, weights="pretrained")
    assert error.value.key == "model.weights"
    with pytest.raises(ConfigError) as error:
        MiniFASNet(MiniFASNetOptions(name + "x"))
    assert error.value.key == "model.name"
