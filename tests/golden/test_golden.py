"""The layer, the losses, the network and the meta step against figures measured from the official code."""

import json

import numpy as np
import pytest
import torch

from anrl.losses import DualCalibration
from anrl.models import ANRLNet, ConvBlock, anrl_to_tface, tface_to_anrl
from anrl.ops import references_only
from support.close import GOLDEN, assert_close


@pytest.fixture(params=["kernels", "references"])
def backend(request):
    """Runs a test once with the Rust kernels and once with the references in plain torch."""
    if request.param == "kernels":
        yield
    else:
        with references_only():
            yield


def tensors(golden, prefix):
    return {
        key.removeprefix(prefix): torch.from_numpy(value)
        for key, value in golden.items()
        if key.startswith(prefix)
    }


@pytest.mark.parametrize("gate", ["1layer", "2layer"])
def test_conv_block(gate, backend):
    golden = dict(np.load(GOLDEN / f"conv_block_{gate}.npz"))
    block = ConvBlock(5, 20, norm="adaptive", gate=gate).double()
    block.load_state_dict(tface_to_anrl(tensors(golden, "state.")))
    names = {name: next(iter(anrl_to_tface({name: p}))) for name, p in block.named_parameters()}
    x = torch.from_numpy(golden["x"]).requires_grad_()
    dy = torch.from_numpy(golden["dy"])
    inputs = {"x": x} | {names[n]: p for n, p in block.named_parameters()}

    y = block(x)
    assert_close(y, golden["y_train"], 1e-9)
    after = anrl_to_tface(dict(block.named_buffers()))
    for name in ("BN.running_mean", "BN.running_var"):
        assert_close(after[name], golden[f"after.{name}"], 1e-9)

    first = torch.autograd.grad((y * dy).sum(), list(inputs.values()), retain_graph=True)
    for name, value in zip(inputs, first, strict=True):
        assert_close(value, golden[f"grad.{name}"], 1e-9, name)

    gates = [p for n, p in inputs.items() if n.startswith("AttentionNet")]
    inner = torch.autograd.grad((y.square() * dy).sum(), gates, create_graph=True)
    second = torch.autograd.grad(sum(g.square().sum() for g in inner), list(inputs.values()))
    for name, value in zip(inputs, second, strict=True):
        assert_close(value, golden[f"second.{name}"], 1e-9, name)


@pytest.mark.parametrize("gate", ["1layer", "2layer"])
def test_conv_block_with_fast_weights(gate, backend):
    golden = dict(np.load(GOLDEN / f"conv_block_{gate}.npz"))
    block = ConvBlock(5, 20, norm="adaptive", gate=gate).double()
    block.load_state_dict(tface_to_anrl(tensors(golden, "state.")))
    x, dy = torch.from_numpy(golden["x"]), torch.from_numpy(golden["dy"])
    gates = {n: p for n, p in block.named_parameters() if ".gate." in n}
    y = block(x)
    gradients = torch.autograd.grad((y.square() * dy).sum(), list(gates.values()))
    fast = {n: (p - 0.01 * g).detach() for (n, p), g in zip(gates.items(), gradients, strict=True)}
    for name, value in anrl_to_tface(fast).items():
        assert_close(value, golden[f"fast.{name}"], 1e-9, name)
    block.eval()
    assert_close(block(x), golden["y_eval"], 1e-9)
    assert_close(torch.func.functional_call(block, fast, (x,)), golden["y_eval_fast"], 1e-9)


def test_dual_calibration():
    golden = dict(np.load(GOLDEN / "dual_calibration.npz"))
    calibration = DualCalibration(3, 16, center_momentum=0.9, center_init="ones").double()
    labels = torch.tensor([0, 0, 0, 1, 1, 1])
    order = [key.split(".")[:2] for key in golden if key.endswith(".feat")]
    assert len(order) == 9
    for position, (step, domain) in enumerate(order):
        at = f"{step}.{domain}"
        features = torch.from_numpy(golden[f"{at}.feat"]).requires_grad_()
        losses = calibration(features, labels, int(domain[1:]))
        for loss, name in zip(losses, ["domain", "discri"], strict=True):
            assert_close(loss, golden[f"{at}.loss_{name}"], 1e-9)
            (gradient,) = torch.autograd.grad(loss, features, retain_graph=True)
            # The reference stores the gradient of one pixel; it is the same for all 25.
            assert_close(
                gradient, np.broadcast_to(golden[f"{at}.grad_{name}"][..., None, None], gradient.shape)
            )
        if position % 3 == 2:
            assert_close(calibration.bona_fide_centers, golden[f"{step}.center_real"], 1e-9)
            assert_close(calibration.attack_centers, golden[f"{step}.center_fake"], 1e-9)


def official_network():
    """The full network with the reference's pseudo-random parameters, and the generator after them."""
    shapes = json.loads((GOLDEN / "meta_step.npz.shapes.json").read_text())
    generator = np.random.RandomState(104)
    state = {}
    for name in sorted(shapes):
        a = generator.standard_normal(shapes[name])
        if a.ndim == 4:
            a *= np.sqrt(2 / (a.shape[1] * 9))
        elif a.ndim == 2:
            a *= np.sqrt(1 / a.shape[1])
        elif name.endswith("running_var"):
            a = 1 + 0.1 * np.abs(a)
        elif name.endswith(("BN.weight", "IN.weight")):
            a = 1 + 0.1 * a
        else:
            a *= 0.1
        state[name] = torch.from_numpy(a)
    model = ANRLNet().double()
    missing = model.load_state_dict(tface_to_anrl(state), strict=False)
    assert not missing.unexpected_keys
    assert all(key.endswith("num_batches_tracked") for key in missing.missing_keys)
    return model, generator


def test_official_names_round_trip():
    ours = {name: torch.empty(0) for name in ANRLNet().state_dict()}
    assert tface_to_anrl(anrl_to_tface(ours)).keys() == ours.keys()
    with pytest.raises(KeyError, match="official network"):
        tface_to_anrl({"FeatExtractor.up1.conv.weight": torch.empty(0)})


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_full_network_and_meta_step():
    from anrl.data import DomainBatch
    from anrl.methods.meta_learning import LossWeights, meta_step

    golden = dict(np.load(GOLDEN / "meta_step.npz"))
    model, generator = official_network()
    images = generator.standard_normal((1, 2, 3, 6, 256, 256)).astype(np.float32).astype(np.float64)
    depth = generator.random_sample((1, 2, 3, 32, 32))
    depth[:, 1] = 0
    images, depth = torch.from_numpy(images), torch.from_numpy(depth)

    model.eval()
    with torch.no_grad():
        out = model(images[0, 0, 0][None])
    assert_close(out.logits, golden["eval.logits"], 1e-9)
    assert_close(out.depth[:, :, ::4, ::4], golden["eval.depth"], 1e-9)
    assert_close(out.features.mean((2, 3)), golden["eval.feat"], 1e-9)

    model.train()
    calibration = DualCalibration(3, 384, center_init="ones").double()
    labels = torch.tensor([0, 1])
    batches = [DomainBatch(images[0, :, k], labels, depth[0, :, k]) for k in range(3)]
    loss, parts = meta_step(
        model,
        calibration,
        batches,
        meta_train=[0, 2],
        meta_test=[1],
        inner_lr=0.5,
        detach_base=True,
        weights=LossWeights(1, 0.1, 0.001, 0.001),
    )
    loss.backward()
    assert_close(loss, golden["loss.train"] + golden["loss.test"], 1e-6)
    for split in ("train", "test"):
        assert_close(
            torch.stack([torch.stack(p[:4]) for p in getattr(parts, split)]),
            golden[f"losses.{split}"],
            1e-6,
        )
    for name, parameter in anrl_to_tface(dict(model.named_parameters())).items():
        gradient = dict(model.named_parameters())[next(iter(tface_to_anrl({name: parameter})))].grad
        # The gradient of a bias before a normalization is zero but for rounding: compare on the scale of
        # the reference's own rounding.
        absolute = 1e-9
        assert_close(gradient.norm(), golden[f"gradnorm.{name}"], 1e-6, name, absolute)
        assert_close(gradient.flatten()[:8], golden[f"gradhead.{name}"], 1e-6, name, absolute)
    for name, value in anrl_to_tface(dict(model.named_buffers())).items():
        if not name.endswith("num_batches_tracked"):
            assert_close(value, golden[f"after.{name}"], 1e-6, name)
    assert_close(calibration.bona_fide_centers, golden["center_real"], 1e-6)
    assert_close(calibration.attack_centers, golden["center_fake"], 1e-6)
