"""The layer inside torch's machinery: opcheck, torch.compile, export, torch.func, autocast."""

import os
import subprocess
import sys

import pytest
import torch

import anrl.ops  # registers the operators
from anrl.nn import GATES, AdaptiveNorm2d
from support.close import assert_close


def layer_and_input(
    gate="1layer", training=True, affine=True, channels_last=False, dtype=torch.float32, activation="relu"
):
    torch.manual_seed(0)
    layer = AdaptiveNorm2d(6, gate=gate, affine=affine, activation=activation).to(dtype)
    for parameter in layer.parameters():
        torch.nn.init.uniform_(parameter, 0.2, 0.8)
    x = torch.randn(3, 6, 5, 7, dtype=dtype)
    if channels_last:
        x = x.to(memory_format=torch.channels_last)
    return layer.train(training), x.requires_grad_()


def eager(layer, x):
    buffers = {k: v.clone() for k, v in layer.named_buffers()}
    y = torch.func.functional_call(layer, buffers, (x,))
    gradients = torch.autograd.grad(y.sin().sum(), [x, *layer.parameters()])
    return [y.detach(), *gradients, buffers["running_mean"], buffers["running_var"]]


OPERATORS = {
    "instance_moments": (1, 0),
    "scale_shift": (1, 2),
    "scale_shift_sums": (2, 2),
    "scale_shift_gradient": (2, 4),
    "scale_shift_double_sums": (3, 2),
    "scale_shift_double_gradient": (3, 7),
}


def arguments(name, dtype=torch.float32, channels_last=False, shape=(2, 3, 5, 7)):
    large, small = OPERATORS[name]
    torch.manual_seed(1)
    tensors = [torch.randn(shape).to(dtype) for _ in range(large)]
    if channels_last:
        tensors = [t.to(memory_format=CHANNELS_LAST[len(shape)]) for t in tensors]
    coefficients = torch.float64 if dtype == torch.float64 else torch.float32
    tensors += [torch.randn(shape[:2], dtype=coefficients) for _ in range(small)]
    return (*tensors, True) if small else tuple(tensors)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("name", OPERATORS)
def test_opcheck(name, channels_last):
    operator = getattr(torch.ops.anrl, name).default
    torch.library.opcheck(operator, arguments(name, channels_last=channels_last))


SHAPES = [(1, 1, 1), (2, 3, 1, 1), (3, 5, 67), (2, 4, 3, 5, 7), (2, 130, 40, 33)]
CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}
LAYOUTS = [(shape, False) for shape in SHAPES]
LAYOUTS += [(shape, True) for shape in SHAPES if len(shape) in CHANNELS_LAST]


@pytest.mark.parametrize("shape, channels_last", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("name", OPERATORS)
def test_kernels_follow_their_references(name, dtype, shape, channels_last):
    given = arguments(name, dtype, channels_last, shape)
    results = [getattr(namespace, name)(*given) for namespace in (torch.ops.anrl, anrl.ops.operators)]
    by_kernel, expected = ((r,) if isinstance(r, torch.Tensor) else r for r in results)
    precision = {torch.float16: 2e-3, torch.bfloat16: 1e-2, torch.float32: 1e-5, torch.float64: 1e-12}[dtype]
    for a, b in zip(by_kernel, expected, strict=True):
        assert a.dtype == b.dtype
        # Statistics of the half types are float32, but torch's var_mean and our sums round differently.
        assert_close(a.double(), b.double(), precision if a.dtype == dtype else 1e-5, absolute=1e-6)
        if channels_last and a.shape == shape:
            assert a.is_contiguous(memory_format=CHANNELS_LAST[len(shape)])


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's own doing
@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("channels_last", [True, False])
def test_compile_in_one_graph(gate, training, affine, channels_last):
    layer, x = layer_and_input(gate, training, affine, channels_last)
    expected = eager(layer, x)
    torch._dynamo.reset()
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    y = compiled(x)
    gradients = torch.autograd.grad(y.sin().sum(), [x, *layer.parameters()])
    for a, b in zip([y, *gradients, layer.running_mean, layer.running_var], expected, strict=True):
        assert_close(a, b, 1e-5, absolute=1e-6)


@pytest.mark.parametrize("gate", GATES)
def test_export(gate):
    layer, x = layer_and_input(gate, training=False)
    program = torch.export.export(layer, (x.detach(),))
    assert_close(program.module()(x.detach()), layer(x).detach(), 1e-6)


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("affine", [True, False])
def test_torch_func(gate, affine):
    layer, x = layer_and_input(gate, training=False, affine=affine, dtype=torch.float64)
    x = x.detach()
    parameters = dict(layer.named_parameters())

    def loss(parameters, x):
        return torch.func.functional_call(layer, parameters, (x,)).sin().sum()

    to_parameters, to_x = torch.func.grad(loss, argnums=(0, 1))(parameters, x)
    expected = torch.autograd.grad(loss(parameters, x.requires_grad_()), [*parameters.values(), x])
    for a, b in zip([*to_parameters.values(), to_x], expected, strict=True):
        assert_close(a, b, 1e-9)

    x = x.detach()
    each = torch.func.vmap(torch.func.grad(loss, argnums=1), in_dims=(None, 0))(parameters, x[:, None])
    # In evaluation mode samples do not see each other.
    assert_close(each[:, 0], to_x, 1e-9)
    jacobian = torch.func.jacrev(lambda x: layer(x).flatten(1).sum(1))(x)
    assert_close(jacobian.sum(0), torch.func.grad(lambda x: layer(x).sum())(x), 1e-9)


def test_second_order_through_torch_func():
    layer, x = layer_and_input(dtype=torch.float64)
    x = x.detach()
    layer.track_running_stats, layer.running_mean, layer.running_var, layer.num_batches_tracked = (
        False,
        None,
        None,
        None,
    )

    def inner(x):
        return layer(x).pow(2).sin().sum()

    second = torch.func.grad(lambda x: torch.func.grad(inner)(x).square().sum())(x)
    x.requires_grad_()
    (first,) = torch.autograd.grad(inner(x), x, create_graph=True)
    (expected,) = torch.autograd.grad(first.square().sum(), x)
    assert_close(second, expected, 1e-9)


@pytest.mark.parametrize("channels_last", [False, True])
def test_autocast_and_reduced_types(channels_last):
    # Without ReLU: a value that rounds to the other side of zero would change its gradient by much.
    layer, x = layer_and_input(channels_last=channels_last, activation=None)
    expected = eager(layer, x)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x.bfloat16())
    assert y.dtype == torch.bfloat16
    if channels_last:
        assert y.is_contiguous(memory_format=torch.channels_last)
    gradients = torch.autograd.grad(y.float().sin().sum(), [x, *layer.parameters()])
    for a, b in zip([y.detach().float(), *gradients], expected, strict=False):
        assert_close(a, b, 3e-2)
    half = AdaptiveNorm2d(6).to(torch.float16)
    assert half(torch.randn(2, 6, 4, 4, dtype=torch.float16)).dtype == torch.float16


def test_non_dense_input():
    layer, _ = layer_and_input()
    x = torch.randn(3, 6, 7, 5).transpose(2, 3)
    assert_close(layer.eval()(x), layer(x.contiguous()).detach(), 1e-6)
    assert layer(torch.randn(0, 6, 4, 4)).shape == (0, 6, 4, 4)


VECTOR_UNITS = """
import hashlib, torch, anrl
torch.manual_seed(0)
x = torch.randn(3, 70, 21, 33)
x.requires_grad_()
digest = hashlib.sha256()
for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
    layer = anrl.nn.AdaptiveNorm2d(70, gate="static", activation="relu")
    inputs = [x.to(dtype).detach().requires_grad_(), *layer.parameters()]
    y = layer(inputs[0])
    first = torch.autograd.grad(y.square().sum(), inputs, create_graph=True)
    second = torch.autograd.grad(sum(g.float().square().sum() for g in first), inputs)
    for t in (y, *first, *second):
        digest.update(t.detach().contiguous().view(torch.uint8).numpy().tobytes())
print(anrl.backend_info().vector_unit, digest.hexdigest())
"""


def test_every_vector_unit_gives_the_same_bits():
    digests = {}
    for unit in ("portable", "avx2", "avx512"):
        environment = os.environ | {"ANRL_VECTOR_UNIT": unit}
        command = [sys.executable, "-c", VECTOR_UNITS]
        used, digest = subprocess.run(
            command, env=environment, check=True, capture_output=True, text=True
        ).stdout.split()
        digests[used] = digest
    assert "portable" in digests and len(set(digests.values())) == 1
