"""Checkpoints of strangers: whatever is edited in one is named, in bounded time and memory."""

import copy
import json
import math
import resource
import threading
import time

import numpy as np
import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from anrl.checkpoint import Checkpoint
from anrl.config import load_config
from anrl.distributed import Ranks
from anrl.errors import AnrlError, ConfigError, DataError, DivergedError
from anrl.training import train
from anrl.training.optimizers import step_optimizer, step_scheduler
from anrl.training.trainer import Trainer
from support.training import settings

SECRET = "s3cr3t-t0ken"
EVIL = [
    None,
    True,
    -1,
    0,
    200,
    10**9,
    2**70,
    1e300,
    math.nan,
    math.inf,
    "",
    "../x\0y",
    "${oc.env:ANRL_SECRET}",
    "__class__",
    [],
    {},
    [{"path": "a"}] * 3,
    {"__class__": 1, "name": []},
]


@pytest.fixture(scope="module")
def run(packs, tmp_path_factory):
    """Checkpoint of a run in the midst of its training, its metadata, its tensors and its configuration."""
    out = tmp_path_factory.mktemp("checkpoint") / "run"
    optimizer = {"name": "Adam", "lr": 3e-3, "ema_decay": 0.9}
    config = load_config(settings(packs, out, epochs=1, optimizer=optimizer))
    train(config)
    with safe_open(out / "last.safetensors", "pt") as file:
        metadata = file.metadata()
    return out / "last.safetensors", metadata, load_file(out / "last.safetensors"), config


@pytest.fixture
def edited(run, tmp_path):
    """Writes the checkpoint with parts of its header, or tensors, changed."""

    def write(tensors=None, **header):
        file = tmp_path / "edited.safetensors"
        metadata = {k: v for k, v in (run[1] | header).items() if v is not None}
        save_file(run[2] if tensors is None else tensors, file, metadata)
        return file

    return write


def changed_config(run, **sections):
    values = yaml.safe_load(run[1]["config"])
    for key, value in sections.items():
        values[key] = values[key] | value if isinstance(value, dict) else value
    return yaml.safe_dump(values)


@pytest.mark.parametrize("name", ["config", "progress", "settings"])
@pytest.mark.parametrize(
    "text", [None, "", "1", "[1, 2]", "{a", "[" * 100_000, '{"a":' * 100_000, "x" * 2_000_000, "{}"]
)
def test_headers_that_are_none_are_named(edited, name, text):
    if (name, text) == ("settings", "{}"):
        return_value = Checkpoint.read(edited(settings=text)).settings
        assert return_value == {}  # evaluation needs none of them
        return
    with pytest.raises(DataError, match=rf"edited.safetensors: {name}: ") as caught:
        Checkpoint.read(edited(**{name: text}))
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"model": {"width": 200.0}}, "config: model.width: 200.0 is not positive and at most"),
        ({"model": {"width": math.nan}}, "config: model.width: nan is not a finite"),
        ({"model": {"name": "os.system"}}, "config: .*model.name: 'os.system' is no class"),
        ({"transform": {"image_size": 10**9}}, "config: transform.image_size: 1000000000 is more than"),
        ({"data": "${oc.env:ANRL_SECRET}"}, "config: data: .* is an interpolation"),
        ({"sources": 3}, "config: .*sources"),
        ({"unknown": 3}, "config: unknown: no such key"),
    ],
)
def test_edited_configurations_are_named(run, edited, section, message, monkeypatch):
    monkeypatch.setenv("ANRL_SECRET", SECRET)
    values = yaml.safe_load(run[1]["config"])
    for key, value in section.items():
        values[key] = values[key] | value if isinstance(value, dict) else value
    with pytest.raises(DataError, match=message) as caught:
        Checkpoint.read(edited(config=yaml.safe_dump(values)))
    assert SECRET not in str(caught.value)


def test_yaml_that_builds_objects_is_refused(run, edited, tmp_path):
    victim = tmp_path / "victim"
    text = run[1]["config"] + f"\nremark: !!python/object/apply:os.system ['touch {victim}']\n"
    with pytest.raises(DataError, match=r"config: .*tags"):
        Checkpoint.read(edited(config=text))
    assert not victim.exists()


def test_sizes_are_compared_before_memory_is_taken(run, edited):
    values = yaml.safe_load(run[1]["config"])
    values["model"]["width"] = 16.0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.monotonic()
    with pytest.raises(DataError, match=r"edited.safetensors: .*another architecture .*average\.\S+ is \("):
        Checkpoint.read(edited(config=yaml.safe_dump(values))).model()
    assert time.monotonic() - started < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB; the network has 4 GB


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda t: t.pop("average.classifier.fc.bias"), r"no tensor average\.classifier\.fc\.bias"),
        (lambda t: t.update({"average.__class__": torch.ones(1)}), r"an unknown tensor average\.__class__"),
        (
            lambda t: t.update({"average.classifier.fc.bias": torch.ones(3)}),
            r"fc\.bias is \(3,\), not \(2,\)",
        ),
        (
            lambda t: t.update({"average.classifier.fc.bias": torch.ones(2, dtype=torch.int32)}),
            r"fc\.bias holds torch\.int32, not torch\.float32",
        ),
    ],
)
def test_edited_tensors_are_named(run, edited, edit, message):
    tensors = dict(run[2])
    edit(tensors)
    with pytest.raises(DataError, match=message):
        Checkpoint.read(edited(tensors)).model()


def test_a_diverged_network_is_named(run, edited):
    tensors = dict(run[2]) | {"average.classifier.fc.bias": torch.tensor([math.nan, 0.0])}
    with pytest.raises(
        DivergedError, match=r"edited.safetensors: .* first is average\.classifier\.fc\.bias\): .*diverged"
    ):
        Checkpoint.read(edited(tensors)).model()


def leaves(value, path=()):
    yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from leaves(part, (*path, key))


def mutated(values, random):
    """A mapping in which one value is replaced, removed or added."""
    values = copy.deepcopy(values)
    paths = [path for path in leaves(values) if path]
    *parents, last = paths[random.integers(len(paths))]
    place = values
    for key in parents:
        place = place[key]
    action = random.integers(8)
    if action == 0:
        del place[last]
    elif action == 1 and isinstance(place, dict):
        place[str(EVIL[random.integers(len(EVIL))])[:40]] = EVIL[random.integers(len(EVIL))]
    else:
        place[last] = EVIL[random.integers(len(EVIL))]
    return values


def mutated_tensors(tensors, random):
    tensors = dict(tensors)
    names = list(tensors)
    name = names[random.integers(len(names))]
    old = tensors[name]
    new_name = ["optimizer.99.step", "optimizer.x.y", "optimizer.0.__class__", "model.x", "method.x", "x"]
    action = random.integers(6)
    if action == 0:
        del tensors[name]
    elif action == 1:
        tensors[new_name[random.integers(len(new_name))]] = tensors.pop(name)
    elif action == 2:
        tensors[name] = torch.zeros(int(random.integers(0, 5)), 3)
    elif action == 3:
        tensors[name] = old.to(torch.bool)
    elif action == 4:
        tensors[name] = torch.full_like(old, math.nan) if old.is_floating_point() else old - 5
    else:
        tensors[new_name[random.integers(len(new_name))]] = torch.ones(3)
    return tensors


@pytest.mark.parametrize("part", ["config", "progress", "settings", "tensors"])
def test_no_edit_ends_in_anything_but_a_sentence(run, edited, packs, tmp_path, part, monkeypatch):
    """Seeded edits of every field and tensor: read, built, resumed and stepped, or refused in words."""
    monkeypatch.setenv("ANRL_SECRET", SECRET)
    _, metadata, tensors, config = run
    trainer = Trainer(config, Ranks(), threading.Event())
    trainer.setup()
    random = np.random.default_rng(["config", "progress", "settings", "tensors"].index(part))
    trainer.run = type(trainer.run)(tmp_path)
    memory, refused = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, 0
    parse = yaml.safe_load if part == "config" else json.loads
    write = yaml.safe_dump if part == "config" else json.dumps
    for _ in range(60):
        if part == "tensors":
            made = edited(mutated_tensors(tensors, random))
        else:
            made = edited(**{part: write(mutated(parse(metadata[part]), random))})
        made.replace(trainer.run.last)
        started = time.monotonic()
        try:
            checkpoint = Checkpoint.read(trainer.run.last)
            checkpoint.model()
            trainer.resume()
            for parameter in trainer.state.method.parameters():
                parameter.grad = torch.zeros_like(parameter)
            step_optimizer(trainer.state.optimizer)
            step_scheduler(trainer.state.scheduler)
        except AnrlError as error:
            refused += 1
            text = str(error)
            assert "\n" not in text and len(text) < 800 and SECRET not in text
            assert isinstance(error, ConfigError) or "last.safetensors" in text
        assert time.monotonic() - started < 10
    assert 10 < refused
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 500_000
