"""What kernels do not serve never reaches them: odd tensors, batched and forward-mode derivatives, traces."""

import copy
import io

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad
from torch.autograd.functional import hessian, jacobian, jvp

from anrl.nn import GATES, AdaptiveNorm2d
from anrl.ops import center_distances, instance_moments, scale_shift
from support.close import assert_close

SHAPE = (2, 4, 3, 3)


def layer_and_input(training=False, gate="1layer"):
    torch.manual_seed(0)
    layer = AdaptiveNorm2d(4, gate=gate, dtype=torch.float64)
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, 0.2, 0.8)
    return layer.train(training), torch.randn(SHAPE, dtype=torch.float64)


def batch_of_gradients(y, x, cotangents, **options):
    rows = [torch.autograd.grad(y, x, c, retain_graph=True, **options)[0] for c in cotangents]
    return torch.stack(rows)


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("training", [True, False])
def test_batched_gradients_are_those_one_by_one(gate, training):
    layer, x = layer_and_input(training, gate)
    x.requires_grad_()
    y = layer(x)
    cotangents = torch.randn(5, *SHAPE, dtype=torch.float64)
    expected = batch_of_gradients(y, x, cotangents)
    options = {"retain_graph": True, "is_grads_batched": True}
    assert_close(torch.autograd.grad(y, x, cotangents, **options)[0], expected, 1e-10)
    by_vmap = torch.vmap(lambda c: torch.autograd.grad(y, x, c, retain_graph=True)[0])(cotangents)
    assert_close(by_vmap, expected, 1e-10)
    first = torch.autograd.grad(y, x, cotangents, **options, create_graph=True)[0]
    found = torch.autograd.grad(first.square().sum(), [x, layer.weight], retain_graph=True)
    rows = batch_of_gradients(y, x, cotangents, create_graph=True)
    for a, b in zip(found, torch.autograd.grad(rows.square().sum(), [x, layer.weight]), strict=True):
        assert_close(a, b, 1e-10)


@pytest.mark.parametrize("training", [True, False])
def test_batched_second_derivatives_are_those_one_by_one(training):
    layer, x = layer_and_input(training)
    x.requires_grad_()
    (first,) = torch.autograd.grad(layer(x).pow(3).sum(), x, create_graph=True)
    cotangents = torch.randn(5, *SHAPE, dtype=torch.float64)
    expected = batch_of_gradients(first, x, cotangents)
    (found,) = torch.autograd.grad(first, x, cotangents, is_grads_batched=True)
    assert_close(found, expected, 1e-10)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")  # torch's own doing
def test_vectorized_jacobians_and_hessians_are_right():
    layer, x = layer_and_input()
    for derive, function in (
        (jacobian, lambda z: layer(z).sum((2, 3))),
        (hessian, lambda z: layer(z).pow(3).sum()),
    ):
        expected = derive(function, x)
        for options in ({}, {"strategy": "forward-mode"}) if derive is jacobian else ({},):
            assert_close(derive(function, x, vectorize=True, **options), expected, 1e-10)
    assert_close(torch.func.hessian(lambda z: layer(z).pow(3).sum())(x), expected, 1e-10)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")  # torch's own doing
@pytest.mark.parametrize("gate", [*GATES, nn.Sequential(nn.Linear(4, 4), nn.Sigmoid())])
@pytest.mark.parametrize("training", [True, False])
def test_forward_mode_tangents_are_right(gate, training):
    layer, x = layer_and_input(training, gate)
    tangent = torch.randn_like(x)
    expected = jvp(copy.deepcopy(layer), x, tangent)
    with forward_ad.dual_level():
        y = layer(forward_ad.make_dual(x, tangent))
        found = forward_ad.unpack_dual(y)
        assert forward_ad.unpack_dual(layer.running_mean).tangent is None
    for a, b in zip(found, expected, strict=True):
        assert_close(a, b.detach(), 1e-10)
    if not training:
        assert_close(torch.func.jvp(layer, (x,), (tangent,))[1], expected[1], 1e-10)


def test_a_gradient_without_values_is_zero():
    layer, x = layer_and_input()
    x.requires_grad_()
    (dx,) = torch.autograd.grad(layer(x), x, torch._efficientzerotensor(SHAPE, dtype=torch.float64))
    assert torch.equal(dx, torch.zeros(SHAPE, dtype=torch.float64))
    zero = torch._efficientzerotensor(SHAPE, dtype=torch.float64)
    assert_close(layer(zero), layer(torch.zeros(SHAPE, dtype=torch.float64)), 1e-12)


def test_negated_views_are_read_right():
    layer, x = layer_and_input()
    assert_close(layer(torch._neg_view(x)), layer(-x), 1e-12)
    x.requires_grad_()
    y, dy = layer(x), torch.randn(SHAPE, dtype=torch.float64)
    (found,) = torch.autograd.grad(y, x, torch._neg_view(dy), retain_graph=True)
    assert_close(found, torch.autograd.grad(y, x, -dy)[0], 1e-12)
    coefficients = torch.randn(2, 2, 4, dtype=torch.float64)
    negated = [torch._neg_view(t) for t in (x.detach(), *coefficients)]
    assert_close(scale_shift(*negated), scale_shift(*(-t for t in (x.detach(), *coefficients))), 1e-12)


@pytest.mark.parametrize("convert", [torch.Tensor.to_mkldnn, torch.Tensor.to_sparse])
def test_other_layouts_are_refused_in_words(convert):
    with pytest.raises(TypeError, match="expected a dense input, got one of layout"):
        AdaptiveNorm2d(4)(convert(torch.randn(SHAPE)))


@pytest.mark.parametrize("call", [lambda x: AdaptiveNorm2d(4)(x), instance_moments])
def test_memory_that_was_freed_is_not_read(call):
    x = torch.randn(SHAPE)
    x.untyped_storage().resize_(0)
    with pytest.raises(RuntimeError, match="has no memory"):
        call(x)


def test_types_without_a_kernel_do_not_panic():
    layer, x = layer_and_input()
    layer.running_mean.data = layer.running_mean.to(torch.float8_e4m3fn)
    assert layer(x).isfinite().all()
    with pytest.raises(TypeError, match="floating-point"):
        layer(x.to(torch.complex128))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("gate", GATES)
def test_tensors_without_values_have_shapes_and_derivatives(gate, training):
    layer = AdaptiveNorm2d(4, gate=gate, device="meta").train(training)
    x = torch.randn(SHAPE, device="meta", requires_grad=True)
    gradients = torch.autograd.grad(layer(x).sum(), [x, *layer.parameters()])
    assert [g.shape for g in gradients] == [t.shape for t in (x, *layer.parameters())]
    with FakeTensorMode():
        layer = AdaptiveNorm2d(4, gate=gate).train(training)
        x = torch.randn(SHAPE, requires_grad=True)
        gradients = torch.autograd.grad(layer(x).sum(), [x, *layer.parameters()])
        assert [g.shape for g in gradients] == [t.shape for t in (x, *layer.parameters())]


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.parametrize("gate", GATES)
def test_a_trace_can_be_saved_and_holds_no_operator_of_ours(gate):
    layer, x = layer_and_input(gate=gate)
    file = io.BytesIO()
    traced = torch.jit.trace(layer, x)
    assert "anrl::" not in str(traced.inlined_graph) and "PythonOp" not in str(traced.inlined_graph)
    torch.jit.save(traced, file)
    file.seek(0)
    loaded = torch.jit.load(file)
    for batch in (x, torch.randn(5, 4, 6, 7, dtype=torch.float64)):
        assert_close(loaded(batch), layer(batch).detach(), 1e-12)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")  # torch's own doing
def test_distances_to_centers_have_batched_and_forward_mode_derivatives():
    torch.manual_seed(0)
    features, centers = torch.randn(3, 5, dtype=torch.double), torch.randn(2, 5, dtype=torch.double)
    features.requires_grad_(), centers.requires_grad_()
    modes = {"check_batched_grad": True, "check_forward_ad": True}
    assert torch.autograd.gradcheck(center_distances, (features, centers), **modes)
    assert torch.autograd.gradgradcheck(
        center_distances, (features, centers), check_batched_grad=True, check_fwd_over_rev=True
    )
    x = torch._neg_view(features.detach())
    assert_close(center_distances(x, centers), center_distances(-features, centers).detach(), 1e-12)
    with pytest.raises(RuntimeError, match="has no memory"):
        freed = torch.randn(3, 5)
        freed.untyped_storage().resize_(0)
        center_distances(freed, torch.randn(2, 5))
