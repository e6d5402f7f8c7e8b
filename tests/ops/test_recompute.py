"""``recompute_norms``: the same gradients with less memory, whatever works in place."""

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional

from anrl.nn import AdaptiveNorm2d, convert_adaptive_norm, recompute_norms
from support.close import assert_close


def gradients(loss, tensors, recompute):
    if recompute:
        with recompute_norms():
            value = loss()
    else:
        value = loss()
    return torch.autograd.grad(value, tensors)


def test_operations_in_place_in_a_converted_resnet_leave_gradients_right():
    torch.manual_seed(0)
    model = convert_adaptive_norm(torchvision.models.resnet18(num_classes=5)).double()
    assert any(isinstance(m, nn.ReLU) and m.inplace for m in model.modules())
    x = torch.randn(2, 3, 64, 64, dtype=torch.double)
    parameters = list(model.parameters())
    expected = gradients(lambda: model(x).square().mean(), parameters, False)
    for a, b in zip(gradients(lambda: model(x).square().mean(), parameters, True), expected, strict=True):
        assert_close(a, b, 1e-12)


def add(y):
    y += 1
    return y


@pytest.mark.parametrize(
    "change",
    [
        functional.relu_,
        add,
        lambda y: y.view(-1).mul_(2).view_as(y),
        lambda y: y[:1].exp_() * y[1:],
        lambda y: (y.detach().mul_(2), y)[1],
        lambda y: (y * y, functional.silu(y, inplace=True))[1],
    ],
)
@pytest.mark.parametrize("norm_first", [True, False])
def test_any_change_in_place_is_seen(change, norm_first):
    torch.manual_seed(1)
    norm, after = AdaptiveNorm2d(3).double(), nn.Conv2d(3, 3, 3).double()
    x = torch.randn(2, 3, 6, 6, dtype=torch.double, requires_grad=True)

    def loss():
        y = norm(x)
        if not norm_first:
            y = norm(functional.conv2d(y, after.weight, padding=1))
        return after(change(y)).square().sum()

    inputs = [x, *norm.parameters(), *after.parameters()]
    for a, b in zip(gradients(loss, inputs, True), gradients(loss, inputs, False), strict=True):
        assert torch.equal(a, b)


def test_what_is_saved_before_a_change_in_place_has_its_gradient():
    norm = AdaptiveNorm2d(3).double()
    x = torch.randn(2, 3, 6, 6, dtype=torch.double, requires_grad=True)

    def loss(change):
        y = norm(x)
        return (y.square().sum(), change(y))[0]

    expected = gradients(lambda: loss(lambda y: None), [x], False)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        gradients(lambda: loss(lambda y: y.add_(1)), [x], False)
    (found,) = gradients(lambda: loss(lambda y: y.add_(1)), [x], True)
    assert torch.equal(found, expected[0])


@pytest.mark.parametrize("changed", ["input", "parameter", "other"])
def test_a_tensor_that_the_backward_pass_needs_may_not_change(changed):
    norm, after = AdaptiveNorm2d(3), nn.Conv2d(3, 3, 3)
    start = torch.randn(2, 3, 6, 6, requires_grad=True)
    with recompute_norms():
        x = start * 1
        other = after(norm(x)).sigmoid()
        loss = other.sum()
    with torch.no_grad():
        {"input": x, "parameter": norm.instance_weight, "other": other}[changed].add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_third_derivatives_and_batched_gradients_work_inside():
    torch.manual_seed(0)
    norm, after = AdaptiveNorm2d(3).double(), nn.Conv2d(3, 3, 3).double()
    x = torch.randn(2, 3, 5, 5, dtype=torch.double, requires_grad=True)

    def derive():
        y = after(norm(x))
        options = {"create_graph": True, "materialize_grads": True}
        batch = torch.randn(4, *y.shape, dtype=torch.double, generator=torch.Generator().manual_seed(0))
        (batched,) = torch.autograd.grad(y, x, batch, is_grads_batched=True, retain_graph=True)
        value = y.pow(3).sum()
        for _ in range(3):
            gradients = torch.autograd.grad(value, [x, *norm.parameters()], **options)
            value = sum(g.pow(2).sum() for g in gradients)
        return [batched, *(g.detach() for g in gradients)]

    with recompute_norms():
        found = derive()
    for a, b in zip(found, derive(), strict=True):
        assert_close(a, b, 1e-12)
