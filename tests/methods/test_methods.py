"""The methods that ANRL is compared with: their losses, and that they learn."""

import json

import numpy as np
import pytest
import torch

from anrl.checkpoint import Checkpoint, build_model
from anrl.config import load_config
from anrl.data import Domain
from anrl.errors import ConfigError
from anrl.methods.classical import BASELINES
from anrl.methods.registry import METHODS, make_method
from anrl.methods.variants import VARIANTS
from anrl.metrics import auc
from anrl.training import train
from support.networks import small
from support.training import settings

CLASSICAL = ("ms-lbp", "colour-texture")


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_every_variant_trains_and_is_resumed(packs, tmp_path, name):
    config = load_config(settings(packs, tmp_path / "run", epochs=1), variant=name)
    assert config.out == str(tmp_path / "run") + ("" if name == "anrl" else f"-{name}")
    first = Checkpoint.read(train(config))
    assert config.method.name in METHODS and first.config == config
    config.epochs = 2
    train(config)
    log = [json.loads(line) for line in first.path.with_name("log.jsonl").read_text().splitlines()]
    assert all(np.isfinite(e["loss"]) for e in log if "loss" in e)
    assert Checkpoint.read(first.path.with_name("last.safetensors")).progress.epoch == 2


def test_variants_differ_in_what_they_say(packs, tmp_path):
    found = {name: load_config(settings(packs, tmp_path / "run"), variant=name) for name in VARIANTS}
    assert found["bn"].model.norm == "batch" and not found["bn"].meta.enabled
    assert found["bn"].loss.depth > 0 == found["binary"].loss.depth
    assert found["no-calibration"].meta.enabled and found["no-calibration"].loss.inter_class == 0
    assert not found["no-meta"].meta.enabled and found["no-meta"].loss.inter_class > 0
    with pytest.raises(ConfigError, match="variant: no variant best; there are anrl"):
        load_config(settings(packs, tmp_path / "run"), variant="best")


@pytest.mark.parametrize(
    "method, message",
    [
        ({"name": "magic"}, "method.name: no method magic; there are anrl"),
        ({"name": "mmd", "options": {"wieght": 1}}, "method.options: mmd has no option wieght; .*weight"),
    ],
)
def test_wrong_methods_are_named(packs, tmp_path, method, message):
    config = load_config(settings(packs, tmp_path / "run", method=method))
    with pytest.raises(ConfigError, match=message):
        make_method(config, build_model(config))


def test_the_discriminator_learns_what_the_network_unlearns(packs, tmp_path):
    config = load_config(settings(packs, tmp_path / "run"), variant="ssdg")
    model, batches = small(norm="batch")
    grads = {}
    for triplet, number in ((0.0, 10**6), (0.0, 0)):
        torch.manual_seed(0)
        config.method.options = {"triplet": triplet, "adversarial": 1.0}
        config.loss.classification = config.loss.depth = 0.0
        method = make_method(config, model).double()
        loss, _ = method(batches, number)
        loss.backward()
        grads[number] = model.extractor.stem.conv.weight.grad.clone()
        assert method.discriminator[0].weight.grad.abs().sum() > 0
        # Against the gradient of the same loss without reversal.
        weight = model.extractor.stem.conv.weight
        plain = reversed_gradient(method, batches, weight)
        model.zero_grad()
        if number:
            torch.testing.assert_close(grads[number], -plain, rtol=1e-6, atol=1e-9)
    assert grads[0].abs().max() == 0  # it begins without a say


def reversed_gradient(method, batches, weight):
    from torch.nn import functional as F

    from anrl.methods.meta_step import forward_jointly

    features = F.normalize(
        torch.cat([o.features.mean((2, 3)) for o in forward_jointly(method.model, batches)])
    )
    label = torch.cat([b.label for b in batches])
    domain = torch.arange(len(batches)).repeat_interleave(len(batches[0].label))
    logits = method.discriminator(features[label == 0])
    return torch.autograd.grad(F.cross_entropy(logits, domain[label == 0]), weight)[0]


@pytest.mark.parametrize("name", CLASSICAL)
def test_classical_detectors_tell_striped_attacks(packs, name):
    domains = [Domain.open(p) for p in packs]
    model = BASELINES[name](domains[:3])
    scores = model.score(domains[3])
    assert auc(scores) > 0.9
    assert ((scores.score > 0) & (scores.score < 1)).all()
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    features = model.features(image)
    assert len(features) == {"ms-lbp": 833, "colour-texture": 354}[name]
    # Histograms: each sums to one.
    assert features.sum() == pytest.approx({"ms-lbp": 11, "colour-texture": 6}[name])
