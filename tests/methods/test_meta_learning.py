"""The meta step against finite differences and a hand-written MAML."""

import copy
from contextlib import nullcontext

import pytest
import torch
from torch.func import functional_call
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn import functional as F

from anrl.losses import DualCalibration
from anrl.methods.meta_learning import LossWeights, joint_step, meta_step
from anrl.models import ANRLNet, ModelOutput
from anrl.nn import GATES, AdaptiveNorm2d, gate_parameters, recompute_norms
from support.networks import small

WEIGHTS = LossWeights(1, 0.1, 0.01, 0.01)


def total(model, batches, **options):
    # In evaluation mode: moving centers are constants to the gradient by definition, but not to differences.
    calibration = DualCalibration(len(batches), model.num_features, center_init="ones").double().eval()
    torch.manual_seed(1)
    torch.nn.init.normal_(calibration.bona_fide_centers)
    torch.nn.init.normal_(calibration.attack_centers)
    options = {"meta_train": [2, 0], "meta_test": [1], "inner_lr": 0.3, "weights": WEIGHTS} | options
    return meta_step(model, calibration, batches, **options)[0]


@pytest.mark.parametrize("gate", GATES)
def test_gradient_is_that_of_the_loss(gate):
    model, batches = small(gate)
    total(model, batches).backward()
    names = ["extractor.stem.conv.weight", "extractor.stages.1.0.norm.weight", "classifier.fc.weight"]
    names += [name for name in gate_parameters(model) if name.startswith("extractor.stages.0.1.")]
    for name in names:
        parameter = model.get_parameter(name)
        direction = torch.randn_like(parameter)
        exact = (parameter.grad * direction).sum()
        # The inner gradient jumps where a ReLU switches; a step small enough meets no such place.
        numeric = [difference(model, batches, parameter, direction, h) for h in (1e-7, 1e-8, 1e-9)]
        assert any(n == pytest.approx(exact.item(), rel=1e-4, abs=1e-6) for n in numeric), (
            name,
            exact,
            numeric,
        )


@torch.no_grad()
def difference(model, batches, parameter, direction, h):
    start, values = parameter.clone(), []
    for step in (h, -h):
        parameter.copy_(start + step * direction)
        with torch.enable_grad():
            values.append(total(model, batches).item())
    parameter.copy_(start)
    return (values[0] - values[1]) / (2 * h)


def loss_of(model, weights, batch):
    return loss_of_output(functional_call(model, weights, (batch.image,)), batch)


def loss_of_output(out, batch):
    depth = F.mse_loss(out.depth[:, 0], batch.depth)
    return WEIGHTS.classification * F.cross_entropy(out.logits, batch.label) + WEIGHTS.depth * depth


@pytest.mark.parametrize(("meta_train", "meta_test"), [([0, 1], [2]), ([1], [0, 2]), ([3, 1, 0], [2])])
def test_same_as_a_hand_written_maml(meta_train, meta_test):
    model, batches = small(domains=4)
    loss, _ = meta_step(
        model, None, batches, meta_train=meta_train, meta_test=meta_test, inner_lr=0.5, weights=WEIGHTS
    )
    found = torch.autograd.grad(loss, list(model.parameters()))

    inner = sum(loss_of(model, {}, batches[k]) for k in meta_train)
    gates = {n: p for n, p in model.named_parameters() if ".gate." in n}
    assert gates.keys() == gate_parameters(model).keys()
    gradients = torch.autograd.grad(inner, list(gates.values()), create_graph=True)
    fast = {n: p - 0.5 * g for (n, p), g in zip(gates.items(), gradients, strict=True)}
    expected_loss = inner + sum(loss_of(model, fast, batches[k]) for k in meta_test)
    expected = torch.autograd.grad(expected_loss, list(model.parameters()))
    torch.testing.assert_close(loss, expected_loss)
    torch.testing.assert_close(found, expected)


def test_detached_base_cuts_the_gates_off_the_test_loss():
    model, batches = small()
    gate = next(iter(gate_parameters(model).values()))
    tiny = {"inner_lr": 1e-8, "weights": LossWeights(1, 0, 0, 0)}
    train_only = torch.autograd.grad(total(model, batches, meta_test=[], **tiny), gate)[0]
    exact = torch.autograd.grad(total(model, batches, **tiny), gate)[0] - train_only
    cut = torch.autograd.grad(total(model, batches, detach_base=True, **tiny), gate)[0] - train_only
    assert cut.norm() < 1e-4 * exact.norm()


def test_first_order_is_near_for_small_inner_steps():
    model, batches = small()
    first = {}
    for rate in (1e-2, 1e-3):
        gradients = [
            torch.autograd.grad(
                total(model, batches, inner_lr=rate, first_order=flag), model.extractor.stem.conv.weight
            )[0]
            for flag in (False, True)
        ]
        first[rate] = (gradients[0] - gradients[1]).norm() / gradients[0].norm()
    assert 0 < first[1e-3] < 0.2 * first[1e-2]


def test_first_order_takes_the_inner_gradient_for_a_constant():
    model, batches = small(domains=4)
    split = {"meta_train": [1, 3], "meta_test": [0, 2], "inner_lr": 0.5, "weights": WEIGHTS}
    loss, _ = meta_step(model, None, batches, first_order=True, **split)
    found = torch.autograd.grad(loss, list(model.parameters()))
    inner = sum(loss_of(model, {}, batches[k]) for k in (1, 3))
    gates = gate_parameters(model)
    gradients = torch.autograd.grad(inner, list(gates.values()), retain_graph=True)
    fast = {n: p - 0.5 * g for (n, p), g in zip(gates.items(), gradients, strict=True)}
    expected = inner + sum(loss_of(model, fast, batches[k]) for k in (0, 2))
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(found, torch.autograd.grad(expected, list(model.parameters())))


@pytest.mark.parametrize("channels_last", [False, True])
def test_recomputing_norms_changes_no_bit(channels_last):
    model, batches = small()
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
    found = []
    for context in (nullcontext, recompute_norms):
        with context():
            loss = total(model, batches)
        found.append((loss.detach(), *torch.autograd.grad(loss, list(model.parameters()))))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_recomputed_norms_are_not_kept():
    norm, conv = AdaptiveNorm2d(8, activation="relu"), torch.nn.Conv2d(8, 8, 3, padding=1)
    x = torch.randn(2, 8, 16, 16, requires_grad=True)
    for context, gone in ((nullcontext, False), (recompute_norms, True)):
        with context():
            y = norm(x)
            result = conv(y)
            storage = StorageWeakRef(y.untyped_storage())
            del y
            assert storage.expired() == gone
        result.sum().backward()


def test_every_domain_has_its_own_batch_statistics():
    model, batches = small()
    before = model.extractor.stem.norm.running_mean.clone()
    total(model, batches, meta_test=[])
    expected = before
    for k in (2, 0):
        out = model.extractor.stem.conv(batches[k].image)
        expected = 0.9 * expected + 0.1 * out.mean((0, 2, 3))
    torch.testing.assert_close(model.extractor.stem.norm.running_mean, expected)


@pytest.mark.parametrize("first_order", [False, True])
def test_joint_statistics_are_those_of_all_domains(first_order):
    model, batches = small(domains=4)
    split = {"meta_train": [3, 1], "meta_test": [2], "inner_lr": 0.5, "first_order": first_order}
    copied = copy.deepcopy(model)
    loss, parts = meta_step(model, None, batches, batch_statistics="joint", weights=WEIGHTS, **split)
    found = torch.autograd.grad(loss, list(model.parameters()))

    def losses(fast):
        output = functional_call(copied, fast, (torch.cat([batches[k].image for k in (3, 1, 2)]),))
        each = [ModelOutput(*(t[i : i + 4] for t in output)) for i in (0, 4, 8)]
        return [loss_of_output(out, batches[k]) for out, k in zip(each, (3, 1, 2), strict=True)]

    inner = sum(losses({})[:2])
    gates = gate_parameters(copied)
    gradients = torch.autograd.grad(inner, list(gates.values()), create_graph=True)
    if first_order:
        gradients = [g.detach() for g in gradients]
    fast = {n: p - 0.5 * g for (n, p), g in zip(gates.items(), gradients, strict=True)}
    expected = inner + losses(fast)[2]
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(found, torch.autograd.grad(expected, list(copied.parameters())))
    torch.testing.assert_close(dict(model.named_buffers()), dict(copied.named_buffers()))
    assert len(parts.train) == 2 and len(parts.test) == 1


def test_joint_step_adds_the_domains_losses():
    model, batches = small(norm="batch")
    model.eval()
    loss, parts = joint_step(model, None, batches, WEIGHTS)
    torch.testing.assert_close(loss, sum(loss_of(model, {}, b) for b in batches))
    assert len(parts) == 3


def test_wrong_splits_are_refused():
    model, batches = small()
    for split in ({"meta_train": []}, {"meta_train": [0, 1]}, {"meta_test": [3]}):
        with pytest.raises(ValueError, match="disjoint"):
            total(model, batches, **split)
    with pytest.raises(ValueError, match="'domain' or 'joint', not 'shared'"):
        total(model, batches, batch_statistics="shared")


def test_sizes_not_divisible_by_eight_are_refused():
    with pytest.raises(ValueError, match="divisible by 8"):
        ANRLNet(width=0.05)(torch.randn(1, 6, 20, 16))


@pytest.mark.parametrize("norm", ["adaptive", "batch", "instance"])
@pytest.mark.parametrize("size", [(8, 24), (64, 40)])
def test_output_shapes(norm, size):
    model = ANRLNet(width=0.1, norm=norm).eval()
    out = model(torch.randn(2, 6, *size))
    assert out.logits.shape == (2, 2)
    assert out.depth.shape == (2, 1, size[0] // 8, size[1] // 8)
    assert out.features.shape == (2, model.num_features, size[0] // 8, size[1] // 8)
    assert bool(gate_parameters(model)) == (norm == "adaptive")
