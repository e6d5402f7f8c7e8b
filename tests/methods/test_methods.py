"""The methods that ANRL is compared with: their losses, and that they learn."""

import json

import numpy as np
import pytest
import torch

from anrl.checkpoint import Checkpoint
from anrl.config import load_config
from anrl.data import Domain
from anrl.errors import ConfigError
from anrl.evaluation import evaluate
from anrl.evaluation.score import scores_of
from anrl.methods.registry import METHODS, find_method
from anrl.metrics import auc
from anrl.models import build_model
from anrl.nn import AdaptiveNorm
from anrl.training import train
from support.networks import small
from support.training import settings

CLASSICAL = ("ms-lbp", "color-texture")
TRAINED = [name for name, method in METHODS.items() if not method.is_classical]


@pytest.mark.parametrize("name", sorted(TRAINED))
def test_every_method_trains_and_is_resumed(packs, tmp_path, name):
    config = load_config(settings(packs, tmp_path / "run", epochs=1), method=name)
    assert config.output_dir == str(tmp_path / "run") + ("" if name == "anrl" else f"-{name}")
    first = Checkpoint.read(train(config))
    assert config.method.name == name and first.config == config
    config.epochs = 2
    train(config)
    log = [json.loads(line) for line in first.path.with_name("log.jsonl").read_text().splitlines()]
    assert all(np.isfinite(e["loss"]) for e in log if "loss" in e)
    assert Checkpoint.read(first.path.with_name("last.safetensors")).progress.epoch == 2


@pytest.mark.parametrize("name", sorted(TRAINED))
def test_a_timm_model_trains_an_epoch_under_every_method(packs, tmp_path, name):
    model = {"name": "timm/mobilenetv3_small_050", "in_channels": 3}
    run = settings(packs, tmp_path / "run", epochs=1, model=model, transform={"image_size": 64})
    checkpoint = Checkpoint.read(train(load_config(run, method=name)))
    untrained = build_model(checkpoint.config.model, 3).state_dict()
    trained = checkpoint.model()
    assert sum(not torch.equal(untrained[key], tensor) for key, tensor in trained.state_dict().items()) > 100
    adaptive = sum(isinstance(module, AdaptiveNorm) for module in trained.modules())
    assert (adaptive > 0) == (METHODS[name].model.get("norm", "adaptive") == "adaptive")
    evaluation = evaluate(checkpoint, Domain.open(packs[3]))
    assert evaluation.frames is not None and np.isfinite(evaluation.frames.scores.score).all()


def test_methods_differ_in_what_they_say(packs, tmp_path):
    configs = {name: load_config(settings(packs, tmp_path / "run"), method=name) for name in TRAINED}
    options = {name: config.method for name, config in configs.items()}
    assert configs["bn"].model.norm == "batch" and METHODS["bn"].load().__name__ == "ERM"
    assert options["bn"].depth_weight > 0 == options["binary"].depth_weight
    assert options["no-calibration"].meta_learning and options["no-calibration"].inter_class_weight == 0
    assert not options["no-meta"].meta_learning and options["no-meta"].inter_class_weight > 0
    with pytest.raises(ConfigError, match="method.name: no method best; there are anrl"):
        load_config(settings(packs, tmp_path / "run"), method="best")


def test_a_name_in_the_file_chooses_the_method_and_its_defaults(packs, tmp_path):
    run = settings(packs, tmp_path / "run", method={"name": "first-order", "inner_lr": 0.5})
    config = load_config(run)
    assert config.method.first_order and config.method.inner_lr == 0.5
    assert load_config(run, ["method.first_order=false"]).method.first_order is False
    # Another method keeps the options that it has, too.
    assert load_config(run, method="rfm").method.inner_lr == 0.5
    assert not hasattr(load_config(run, method="ssdg").method, "inner_lr")
    assert load_config(run, method="bn").model.norm == "batch"


@pytest.mark.parametrize(
    "method, message",
    [
        ({"name": "magic"}, "method.name: no method magic; there are anrl"),
        ({"name": "mmd", "wieght": 1}, "method.wieght: no such key; did you mean method.weight"),
        ({"name": "ssgd"}, "method.name: no method ssgd; did you mean ssdg"),
        ({"name": "ms-lbp"}, "method.name: MS-LBP .* anrl protocol"),
    ],
)
def test_wrong_methods_are_named(packs, tmp_path, method, message):
    with pytest.raises(ConfigError, match=message):
        load_config(settings(packs, tmp_path / "run", method=method))


def test_the_discriminator_learns_what_the_network_unlearns():
    model, batches = small(norm="batch")
    grads = {}
    for triplet, number in ((0.0, 10**6), (0.0, 0)):
        torch.manual_seed(0)
        method = find_method("ssdg").load()
        options = method.Options(
            classification_weight=0.0, depth_weight=0.0, triplet_weight=triplet, adversarial_weight=1.0
        )
        method = method(options, model, len(batches), 0).double()
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

    from anrl.methods.meta_learning import forward_jointly

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
    model = METHODS[name].load()(domains[:3])
    scores = scores_of(domains[3], model.score(domains[3]))
    assert auc(scores) > 0.9
    assert ((scores.score > 0) & (scores.score < 1)).all()
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    features = model.features(image)
    assert len(features) == {"ms-lbp": 833, "color-texture": 354}[name]
    # Histograms: each sums to one.
    assert features.sum() == pytest.approx({"ms-lbp": 11, "color-texture": 6}[name])
