"""ANRL's network: its features, and torch's compiler, exporter, tracer and quantization."""

import copy
import io

import pytest
import torch
from torch import nn
from torch.nn import functional

from anrl.models import ANRLNet
from support.close import assert_close


def network(training=False, **options):
    torch.manual_seed(0)
    return ANRLNet(width=0.1, **options).train(training)


def images(count, height, width):
    return torch.randn(count, 6, height, width)


@pytest.mark.parametrize("size", [(32, 32), (40, 64), (8, 8)])
def test_stages_are_averaged_to_the_size_of_the_last(size):
    net, x = network(), images(2, *size)
    with torch.no_grad():
        features = net.extract(x)
        y, outputs = net.extractor.stem(x), []
        for stage in net.extractor.stages:
            y = functional.max_pool2d(stage(y), 2)
            outputs.append(functional.adaptive_avg_pool2d(y, (size[0] // 8, size[1] // 8)))
    assert_close(features, torch.cat(outputs, 1), 1e-6)


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's own doing
@pytest.mark.parametrize("dynamic", [None, True])
def test_a_compiled_network_takes_other_image_sizes(dynamic):
    net = network()
    torch._dynamo.reset()
    compiled = torch.compile(net, backend="aot_eager", dynamic=dynamic, fullgraph=True)
    with torch.no_grad():
        for size in ((64, 64), (96, 96), (32, 48)):
            x = images(2, *size)
            for a, b in zip(compiled(x), net(x), strict=True):
                assert_close(a, b, 1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_an_exported_network_takes_batches_of_any_number(training):
    net = network(training)
    shapes = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(copy.deepcopy(net), (images(4, 32, 32),), dynamic_shapes=shapes)
    x = images(7, 32, 32)
    module = program.module()
    for a, b in zip(module(x), net(x), strict=True):
        assert_close(a, b, 1e-5, absolute=1e-6)
    statistics = dict(module.named_buffers())
    for name, value in net.named_buffers():
        assert_close(statistics[name].double(), value.double(), 1e-5, name, absolute=1e-6)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_a_traced_network_can_be_saved_and_takes_batches_of_any_number():
    net, file = network(), io.BytesIO()
    torch.jit.save(torch.jit.trace(net, images(2, 32, 32)), file)
    file.seek(0)
    x = images(5, 32, 32)
    with torch.no_grad():
        for a, b in zip(torch.jit.load(file)(x), net(x), strict=True):
            assert_close(a, b, 1e-5)


@pytest.mark.filterwarnings("ignore:.*torch.ao.quantization.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*quantized tensor creation functions.*:UserWarning")
@pytest.mark.parametrize("gate", ["1layer", "2layer", "static", "dual"])
def test_linear_layers_of_a_network_can_be_quantized(gate):
    net, x = network(gate=gate), images(2, 32, 32)
    quantized = torch.ao.quantization.quantize_dynamic(net, {nn.Linear})
    assert not any(type(module) is nn.Linear for module in quantized.modules())
    assert_close(quantized(x).logits, net(x).logits, 0.05)
