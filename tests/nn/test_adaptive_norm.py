"""The layer: kernels against references, derivatives, and torch's own layers at the gate's ends."""

import copy
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from anrl import ops
from anrl.nn import GATES, AdaptiveNorm, AdaptiveNorm1d, AdaptiveNorm2d, AdaptiveNorm3d, gate_statistics
from anrl.nn import functional as F
from support.close import assert_close

shapes = st.tuples(
    st.integers(1, 4), st.integers(1, 5), st.integers(1, 9), st.integers(1, 40).map(lambda w: w * 7 % 41 or 1)
)


def randomized(channels, **options):
    layer = AdaptiveNorm2d(channels, **options).double()
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, 0.2, 0.8)
    return layer


@settings(deadline=None, max_examples=50)
@given(shapes, st.booleans(), st.sampled_from([torch.float32, torch.float64]), st.booleans())
def test_kernels_agree_with_their_references(shape, relu, dtype, channels_last):
    torch.manual_seed(0)
    x = torch.randn(shape, dtype=dtype) * 3 + 1
    if channels_last:
        x = x.to(memory_format=torch.channels_last)
    scale, shift = torch.randn(2, *shape[:2], dtype=dtype)
    dy, ddx = torch.randn(2, *shape, dtype=dtype)
    inputs = [t.requires_grad_() for t in (x, scale, shift)]

    def run():
        mean, variance = ops.instance_moments(inputs[0])
        y = ops.scale_shift(*inputs, relu=relu)
        first = torch.autograd.grad(
            (y * dy).sum() + (mean.sin() + variance.square()).sum(), inputs, create_graph=True
        )
        second = torch.autograd.grad(
            (first[0] * ddx).sum() + first[1].square().sum() + first[2].sum(),
            inputs,
            materialize_grads=True,
        )
        return [mean, variance, y, *first, *second]

    by_kernels = run()
    with ops.references_only():
        expected = run()
    tolerance = 2e-5 if dtype == torch.float32 else 1e-11
    for a, b in zip(by_kernels, expected, strict=True):
        assert_close(a, b.detach(), tolerance, absolute=tolerance)


def two_derivatives(layer, x):
    """Result, first and second derivatives, running statistics."""
    buffers = {k: v.clone() for k, v in layer.named_buffers()}
    inputs = [x.detach().requires_grad_(), *layer.parameters()]
    y = torch.func.functional_call(layer, buffers, inputs[0])
    first = torch.autograd.grad(y.sin().sum(), inputs, create_graph=True)
    value = sum((g.sin() * (1 + i)).sum() for i, g in enumerate(first))
    second = torch.autograd.grad(value, inputs)
    return [t.detach() for t in (y, *first, *second, *buffers.values())]


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("affine", [True, False])
def test_fused_layer_agrees_with_its_reference(gate, training, activation, channels_last, affine):
    torch.manual_seed(7)
    layer = randomized(7, gate=gate, activation=activation, affine=affine).train(training)
    x = torch.randn(3, 7, 5, 9, dtype=torch.double) * 3 + 2
    if channels_last:
        x = x.to(memory_format=torch.channels_last)
    by_kernels = two_derivatives(layer, x)
    with ops.references_only():
        expected = two_derivatives(layer, x)
    for a, b in zip(by_kernels, expected, strict=True):
        assert_close(a, b, 1e-10, absolute=1e-12)


@pytest.mark.parametrize("gate", GATES)
def test_fused_layer_of_many_channels_runs_on_threads(gate):
    torch.manual_seed(8)
    layer = randomized(130, gate=gate)
    x = torch.randn(17, 130, 12, 12, dtype=torch.double)
    assert x.numel() > 1 << 18 and 17 * 130 * 130 > 1 << 18
    by_kernels = two_derivatives(layer, x)
    with ops.references_only():
        for a, b in zip(by_kernels, two_derivatives(layer, x), strict=True):
            assert_close(a, b, 1e-9, absolute=1e-11)


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize(
    "layer_type, shape", [(AdaptiveNorm1d, (3, 4, 11)), (AdaptiveNorm3d, (2, 4, 3, 5, 2))]
)
def test_other_ranks_are_the_same_planes(layer_type, shape, gate):
    torch.manual_seed(9)
    layer = layer_type(4, gate=gate, activation="relu").double()
    flat = AdaptiveNorm2d(4, gate=gate, activation="relu").double()
    flat.load_state_dict(layer.state_dict())
    x = torch.randn(shape, dtype=torch.double)
    expected = two_derivatives(flat, x.reshape(*shape[:2], 1, -1))
    for a, b in zip(two_derivatives(layer, x), expected, strict=True):
        assert_close(a.flatten(), b.flatten(), 1e-12, absolute=1e-14)
    with pytest.raises(ValueError, match=f"expected {len(shape)}D input"):
        layer(torch.randn(2, 4, 4, 4))


@pytest.mark.parametrize("replace", [False, True])
def test_a_gate_of_ones_own(replace):
    torch.manual_seed(10)
    layer = randomized(4)
    gate = nn.Sequential(nn.Linear(4, 4), nn.Sigmoid()).double()
    own = copy.deepcopy(layer)
    if replace:
        own.gate = gate
    else:
        own = AdaptiveNorm2d(4, gate=gate, dtype=torch.double)
        own.load_state_dict(layer.state_dict(), strict=False)
    gate[0].load_state_dict(layer.gate.fc.state_dict())
    assert own.gate is gate and isinstance(own, AdaptiveNorm)
    x = torch.randn(3, 4, 5, 5, dtype=torch.double)
    for a, b in zip(two_derivatives(own, x), two_derivatives(layer, x), strict=True):
        assert_close(a, b, 1e-10)
    assert "gate=Sequential" in repr(own)


def test_a_gate_of_ones_own_is_moved_with_the_layer():
    layer = AdaptiveNorm2d(4, gate=nn.Linear(4, 4), dtype=torch.float64)
    assert layer.gate.weight.dtype == torch.float64


@pytest.mark.parametrize("gate", GATES)
def test_gate_statistics_are_the_means_of_what_gates_chose(gate):
    torch.manual_seed(11)
    model = nn.Sequential(AdaptiveNorm2d(3, gate=gate), nn.Sequential(AdaptiveNorm2d(3, gate=gate)))
    batches = [torch.randn(n, 3, 6, 6) for n in (4, 1)]
    means = gate_statistics(model.train(), [(batch, "label") for batch in batches])
    assert list(means) == ["0", "1.0"] and model.training and model[0].last_gate is None
    x = torch.cat(batches)
    assert_close(means["0"], model[0].gate(x.mean((2, 3))).mean(0).detach(), 1e-5)
    assert_close(means["1.0"], model[1][0].gate(model.eval()[0](x).mean((2, 3))).mean(0).detach(), 1e-5)
    model[0].record_gate = True
    model(x)
    assert model[0].last_gate.shape == (5, 3)
    with pytest.raises(ValueError, match="no adaptive normalization"):
        gate_statistics(nn.Linear(2, 2), batches)
    with pytest.raises(ValueError, match="no batch"):
        gate_statistics(model, [])


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("activation", [None, "relu"])
def test_derivatives_of_every_order(gate, training, activation):
    torch.manual_seed(1)
    layer = randomized(3, gate=gate, activation=activation).train(training)
    parameters = dict(layer.named_parameters())
    x = torch.randn(2, 3, 3, 4, dtype=torch.double, requires_grad=True)

    def call(x, *values):
        buffers = {k: v.clone() for k, v in layer.named_buffers()}
        return torch.func.functional_call(layer, dict(zip(parameters, values, strict=True)) | buffers, (x,))

    inputs = (x, *parameters.values())
    assert torch.autograd.gradcheck(call, inputs)
    assert torch.autograd.gradgradcheck(call, inputs)


@pytest.mark.parametrize("activation", [None, "relu"])
def test_third_derivative_of_the_layer_is_exact(activation):
    torch.manual_seed(6)
    layer = randomized(3, activation=activation)
    x = torch.randn(2, 3, 4, 3, dtype=torch.double, requires_grad=True)
    inputs = [x, *layer.parameters()]

    def third():
        value = layer(x).pow(3).sum()
        for _ in range(3):
            gradients = torch.autograd.grad(value, inputs, create_graph=True, materialize_grads=True)
            value = sum(g.pow(2).sum() for g in gradients)
        return [g.detach() for g in gradients]

    by_kernels = third()
    with ops.references_only():
        for a, b in zip(by_kernels, third(), strict=True):
            assert_close(a, b, 1e-9)


def test_third_derivative_is_exact():
    torch.manual_seed(2)
    x = torch.randn(2, 2, 6, dtype=torch.double, requires_grad=True)
    scale, shift = torch.randn(2, 2, 2, dtype=torch.double)

    def third():
        value = ops.scale_shift(x, scale * x.mean(2), shift, relu=True).pow(3).sum()
        for _ in range(3):
            (gradient,) = torch.autograd.grad(value, x, create_graph=True)
            value = gradient.pow(2).sum()
        return gradient

    by_kernels = third()
    with ops.references_only():
        assert_close(by_kernels, third().detach(), 1e-10)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("momentum", [0.1, None])
def test_open_gate_is_batch_norm(training, momentum):
    torch.manual_seed(3)
    ours = AdaptiveNorm2d(5, gate="static", momentum=momentum).double()
    theirs = nn.BatchNorm2d(5, momentum=momentum).double()
    nn.init.normal_(theirs.weight)
    nn.init.normal_(theirs.bias)
    assert not ours.load_state_dict(theirs.state_dict(), strict=False).unexpected_keys
    nn.init.ones_(ours.gate.weight)
    for _ in range(3):
        x = torch.randn(4, 5, 6, 7, dtype=torch.double) * 2 + 100
        ours(x), theirs(x)
    ours.train(training), theirs.train(training)
    assert_close(ours(x), theirs(x).detach(), 1e-9)
    for name, value in theirs.named_buffers():
        assert_close(dict(ours.named_buffers())[name], value, 1e-9, name)


def test_closed_gate_is_instance_norm():
    torch.manual_seed(4)
    ours = AdaptiveNorm2d(5, gate="static", activation="relu").double()
    nn.init.zeros_(ours.gate.weight)
    theirs = nn.InstanceNorm2d(5, affine=True).double()
    nn.init.normal_(theirs.weight), nn.init.normal_(theirs.bias)
    ours.load_state_dict({"instance_" + k: v for k, v in theirs.state_dict().items()}, strict=False)
    x = torch.randn(4, 5, 6, 7, dtype=torch.double)
    assert_close(ours(x), torch.relu(theirs(x)).detach(), 1e-9)


def test_gate_chooses_between_the_branches():
    torch.manual_seed(5)
    x = torch.randn(3, 4, 5, 5, dtype=torch.double)
    branches = [F.adaptive_norm(x, torch.tensor(float(g)).double(), training=True) for g in (1, 0)]
    g = torch.rand(3, 4, dtype=torch.double)
    mixed = F.adaptive_norm(x, g, training=True)
    g = g[..., None, None]
    assert_close(mixed, g * branches[0] + (1 - g) * branches[1], 1e-9)


def test_only_the_input_and_small_arrays_are_saved():
    layer = AdaptiveNorm2d(16, activation="relu")
    x = torch.randn(4, 16, 32, 32, requires_grad=True)
    saved = {}
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: saved.update({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes()}) or t,
        lambda t: t,
    ):
        layer(x)
    assert sum(saved.values()) <= 1.2 * x.untyped_storage().nbytes()


def test_large_mean_keeps_precision():
    x = torch.randn(4, 3, 16, 16) + 1000
    out = F.adaptive_norm(x, torch.ones(()), training=True)
    expected = F.adaptive_norm(x.double(), torch.ones((), dtype=torch.double), training=True)
    assert_close(out.double(), expected, 1e-3)


def test_layer_can_be_copied_and_pickled():
    layer = randomized(3, gate="dual", momentum=None)
    layer(torch.randn(2, 3, 4, 4, dtype=torch.double))
    x = torch.randn(2, 3, 4, 4, dtype=torch.double)
    expected = layer.eval()(x).detach()
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert_close(other(x), expected, 0.0)
    assert "gate='dual'" in repr(layer)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="gate must be one of"):
        AdaptiveNorm2d(3, gate="3layer")
    with pytest.raises(ValueError, match="activation"):
        AdaptiveNorm2d(3, activation="gelu")
    layer = AdaptiveNorm2d(3)
    with pytest.raises(ValueError, match="4D"):
        layer(torch.randn(2, 3, 4))
    with pytest.raises(ValueError, match="3 channels"):
        layer(torch.randn(2, 4, 4, 4))
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        layer(torch.randn(1, 3, 1, 1))
    for eps, mode in ((0.0, True), (-1e-5, True), (-1e-5, False)):
        with pytest.raises(ValueError, match="eps must be"):
            AdaptiveNorm2d(3, eps=eps).train(mode)(torch.randn(2, 3, 4, 4))
    AdaptiveNorm2d(3, eps=0.0).eval()(torch.randn(2, 3, 4, 4))
    with pytest.raises(ValueError, match="given together"):
        F.adaptive_norm(torch.randn(2, 3, 4, 4), torch.ones(()), running_mean=torch.zeros(3))
    with pytest.raises(TypeError, match="floating-point"):
        layer(torch.zeros(2, 3, 4, 4, dtype=torch.int32))
    x = torch.randn(2, 3, 4, 4)
    with pytest.raises(ValueError, match="weight should contain 3 elements"):
        F.adaptive_norm(x, torch.ones(()), weight=torch.ones(4))
    with pytest.raises(ValueError, match="gate must be one of"):
        F.adaptive_norm(x, "3layer")
    with pytest.raises(ValueError, match="do not fit"):
        F.adaptive_norm(x, "1layer", gate_parameters=(torch.ones(3, 4), torch.ones(3)))
    with pytest.raises(RuntimeError, match="expand"):
        F.adaptive_norm(x, torch.ones(2, 4))


@pytest.mark.parametrize("shape", [(0, 3, 4, 4), (2, 3, 0, 4)])
def test_empty_input_gives_empty_output(shape):
    layer = AdaptiveNorm2d(3)
    assert layer(torch.zeros(shape)).shape == shape and (layer.running_mean == 0).all()


def test_running_statistics_may_not_change_before_the_backward_pass():
    layer = AdaptiveNorm2d(3).eval()
    out = layer(torch.randn(2, 3, 4, 4))
    layer.running_mean.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()


def test_nan_is_passed_on():
    x = torch.zeros(1, 2, 3, 3)
    x[0, 0, 1, 1] = float("nan")
    out = AdaptiveNorm2d(2, gate="static", activation="relu").eval()(x)
    assert out[0, 0].isnan().all() and not out[0, 1].isnan().any()
