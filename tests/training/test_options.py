"""What a configuration can ask of the training loop."""

import json
import os
import subprocess
import sys

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR

from anrl.checkpoint import Checkpoint
from anrl.config import load_config, protocol_names
from anrl.data import Domain, pack, read_list
from anrl.errors import ConfigError, DataError
from anrl.training import train
from support.close import assert_close
from support.images import write_domain
from support.training import cli, settings


def log_of(out, kind="step"):
    entries = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [e for e in entries if ("step" in e) == (kind == "step")]


def trained(packs, out, **changes):
    return Checkpoint.read(train(load_config(settings(packs, out, epochs=1, **changes))))


@pytest.mark.parametrize("name", ["SGD", "AdamW", "RMSprop", "Adagrad", "NAdam", "RAdam", "Rprop"])
def test_optimizers_of_torch_train_and_resume(packs, tmp_path, name):
    changes = {"optimizer": {"name": name, "lr": 1e-3, "weight_decay": 0.0}}
    config = load_config(settings(packs, tmp_path / "run", epochs=1, **changes))
    train(config)
    config.epochs = 2
    train(config)
    assert Checkpoint.read(tmp_path / "run/last.safetensors").progress.epoch == 2


def test_schedulers_follow_torchs_own(packs, tmp_path):
    changes = {"scheduler": {"name": "CosineAnnealingLR", "options": {"T_max": 8}, "interval": "step"}}
    train(load_config(settings(packs, tmp_path / "run", **changes)))
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=3e-3)
    scheduler = CosineAnnealingLR(optimizer, T_max=8)
    for entry in log_of(tmp_path / "run"):
        assert entry["lr"] == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()


def test_a_plateau_is_seen_in_the_validation_auc(packs, tmp_path):
    # An AUC can rise by 30 % few times only, so five epochs have a plateau.
    options = {"patience": 0, "factor": 0.5, "threshold": 0.3}
    scheduler = {"name": "ReduceLROnPlateau", "options": options}
    train(load_config(settings(packs, tmp_path / "run", epochs=5, scheduler=scheduler)))
    found = {e["epoch"]: e["lr"] for e in log_of(tmp_path / "run")}
    best, rate = -1.0, 3e-3
    for entry in log_of(tmp_path / "run", "epoch"):
        assert found[entry["epoch"]] == pytest.approx(rate)
        if entry["validation_auc"] > best * 1.3:
            best = entry["validation_auc"]
        else:
            rate /= 2
    assert rate < 3e-3


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"optimizer": {"name": "adamw"}}, "optimizer.name: torch.optim has no adamw; did you mean AdamW"),
        ({"optimizer": {"name": "Ordinary"}}, "there are .*Adam"),
        ({"optimizer": {"name": "LBFGS"}}, "optimizer.name: LBFGS evaluates its loss several times"),
        ({"optimizer": {"name": "SparseAdam"}}, "optimizer.name: SparseAdam takes sparse gradients only"),
        ({"optimizer": {"options": {"capturable": True}}}, "optimizer: Adam cannot take a step .*capturable"),
        ({"optimizer": {"options": {"beta": 1}}}, "optimizer: Adam cannot be made: .*beta"),
        ({"optimizer": {"lr": -1.0}}, "optimizer: Adam cannot be made: .*-1.0"),
        ({"scheduler": {"name": "StepLr"}}, "did you mean StepLR"),
        (
            {"scheduler": {"name": "CosineAnnealingLR"}},
            "scheduler: CosineAnnealingLR cannot be made: .*T_max",
        ),
        ({"scheduler": {"name": "ReduceLROnPlateau", "interval": "step"}}, "scheduler.interval"),
    ],
)
def test_wrong_optimizers_and_schedulers_are_named(packs, tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        train(load_config(settings(packs, tmp_path / "run", **changes)))


def test_a_constant_learning_rate(packs, tmp_path):
    trained(packs, tmp_path / "run", scheduler={"name": None})
    assert {e["lr"] for e in log_of(tmp_path / "run")} == {3e-3}


def test_accumulated_gradients_are_the_mean_of_those_of_the_batches(packs, tmp_path):
    def weights(name, lr, accumulate):
        optimizer = {"name": "SGD", "lr": lr, "weight_decay": 0.0, "gradient_accumulation_steps": accumulate}
        changes = {"optimizer": optimizer, "scheduler": {"name": None}, "precision": "float64"}
        config = load_config(settings(packs, tmp_path / name, epochs=1, **changes))
        found = Checkpoint.read(train(config).with_name("last.safetensors")).part("model")
        learned = [v.flatten() for k, v in found.items() if "running" not in k and "num_batches" not in k]
        return torch.cat(learned)

    # So small steps that their order does not matter: n of them lead where one with their mean, n times as
    # long, does.
    start, single = weights("start", 0.0, 1), weights("single", 1e-11, 1)
    steps = log_of(tmp_path / "single")
    whole = weights("whole", len(steps) * 1e-11, 100)
    assert_close(whole - start, single - start, 1e-4)
    (entry,) = log_of(tmp_path / "whole")
    assert entry["loss"] == pytest.approx(sum(s["loss"] for s in steps) / len(steps), rel=1e-6)
    weights("pairs", 1e-11, 2)
    assert len(log_of(tmp_path / "pairs")) == -(-len(steps) // 2)


def test_gradients_are_clipped(packs, tmp_path):
    changes = {"scheduler": {"name": None}, "precision": "float64"}
    sgd = {"name": "SGD", "lr": 1.0, "weight_decay": 0.0}
    start = trained(packs, tmp_path / "start", optimizer=sgd | {"lr": 0.0}, **changes).part("model")
    config = load_config(
        settings(
            packs,
            tmp_path / "run",
            epochs=1,
            optimizer=sgd | {"max_grad_norm": 1e-3, "gradient_accumulation_steps": 100},
            **changes,
        )
    )
    last = train(config).with_name("last.safetensors")
    (entry,) = log_of(tmp_path / "run")
    assert entry["gradient_norm"] > 1e-2
    end = Checkpoint.read(last).part("model")
    moved = [(end[k] - v).double() for k, v in start.items() if v.is_floating_point() and "running" not in k]
    assert torch.cat([m.flatten() for m in moved]).norm().item() == pytest.approx(1e-3, rel=1e-4)


def test_layout_and_recomputation_change_nothing_but_rounding(packs, tmp_path):
    changes = {"precision": "float64", "optimizer": {"lr": 1e-3}}
    expected = trained(packs, tmp_path / "default", **changes).part("model")
    for name, option in (("layout", {"channels_last": False}), ("norms", {"recompute": False})):
        found = trained(packs, tmp_path / name, **changes, **option).part("model")
        for key, value in expected.items():
            assert_close(found[key].double(), value.double(), 1e-6, key, absolute=1e-9)


def test_bfloat16_trains(packs, tmp_path):
    plain = trained(packs, tmp_path / "plain")
    half = trained(packs, tmp_path / "half", precision="bfloat16")
    one, other = log_of(tmp_path / "plain"), log_of(tmp_path / "half")
    assert one[0]["loss"] != other[0]["loss"]
    assert other[0]["loss"] == pytest.approx(one[0]["loss"], rel=0.05)
    assert all(v.dtype == plain.tensors[k].dtype for k, v in half.tensors.items())


def test_training_stops_when_nothing_gets_better(packs, tmp_path):
    changes = {"epochs": 9, "patience": 2, "optimizer": {"lr": 1e-12}}
    config = load_config(settings(packs, tmp_path / "run", **changes))
    train(config)
    progress = Checkpoint.read(tmp_path / "run/last.safetensors").progress
    judged = [e["validation_auc"] for e in log_of(tmp_path / "run", "epoch")]
    assert progress.best_epoch == judged.index(max(judged))
    assert progress.epoch == len(judged) == progress.best_epoch + 3 < 9
    steps = len(log_of(tmp_path / "run"))
    train(config)  # it is done, and stays so
    assert len(log_of(tmp_path / "run")) == steps


def test_a_checkpoint_chosen_by_the_target_is_called_dishonest(packs, tmp_path):
    targets = [{"path": str(packs[3])}]
    trained(packs, tmp_path / "honest", targets=targets)
    assert "target_auc" not in log_of(tmp_path / "honest", "epoch")[0]
    found = trained(packs, tmp_path / "run", targets=targets, selection="target")
    (entry,) = log_of(tmp_path / "run", "epoch")
    assert "dishonest" in entry["selection"] and entry["target_auc"] == found.progress.best_auc
    done = cli("eval", tmp_path / "run/best.safetensors", check=0)
    assert "chosen by its AUC on the targets" in done.stdout and Domain.open(packs[3]).name in done.stdout
    done = cli("eval", tmp_path / "honest/best.safetensors", check=0)
    assert "chosen by its AUC" not in done.stdout


def test_eval_without_packs_needs_targets(packs, tmp_path):
    trained(packs, tmp_path / "run")
    done = cli("eval", tmp_path / "run/best.safetensors", check=2)
    assert "no targets" in done.stderr


def test_the_log_tells_how_training_went(packs, tmp_path):
    said = []
    train(load_config(settings(packs, tmp_path / "run")), lambda done, total, line: said.append(line))
    (first, second), steps = log_of(tmp_path / "run", "epoch"), log_of(tmp_path / "run")
    names = [Domain.open(p).name for p in packs[:3]]
    assert list(steps[0]["accuracy_by_domain"]) == names == list(first["gates"])
    assert all(0 < gate < 1 for layers in second["gates"].values() for gate in layers.values())
    assert 0 <= first["loader_wait"] <= 1 and first["images_per_second"] > 0
    assert steps[0]["gradient_norm"] > 0
    for part in ("loss ", "accuracy ", "images/s"):
        assert all(part in line for line in said)
    assert "gates 0." in said[-1]


def test_protocols_come_with_the_package(packs, tmp_path):
    assert protocol_names() == ["ICM2O", "MI2C", "MI2O", "OCI2M", "OCM2I", "OMI2C", "simulated"]
    letters = {"O": "Oulu-NPU", "C": "CASIA-FASD", "I": "Replay-Attack", "M": "MSU-MFSD"}
    for name in protocol_names():
        config = load_config(name, [f"output_dir={tmp_path}/{name}"])
        if name != "simulated":
            assert "".join(k for s in config.sources for k, v in letters.items() if v == s.name) == name[:-2]
            assert letters[name[-1]] == config.targets[0].name
            assert (config.optimizer.name, config.optimizer.lr, config.epochs) == ("Adam", 1e-4, 50)
    with pytest.raises(ConfigError, match="OCM2X: no such file, and no protocol of that name .*OCM2I"):
        load_config("OCM2X")
    # Relative packs lie in the folder that is named.
    done = cli("train", "MI2C", f"data={tmp_path}", check=2)
    assert f"{tmp_path}/msu.lmdb: no such pack" in done.stderr


def test_tensorboard_gets_what_the_log_gets(packs, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trained(packs, tmp_path / "run", logger="tensorboard")
    events = EventAccumulator(str(tmp_path / "run"))
    events.Reload()
    steps = log_of(tmp_path / "run")
    assert [e.value for e in events.Scalars("loss")] == pytest.approx([s["loss"] for s in steps])
    assert [e.step for e in events.Scalars("loss")] == list(range(1, len(steps) + 1))
    assert "validation_auc" in events.Tags()["scalars"]


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_a_logger_that_is_not_installed_is_named(packs, tmp_path, name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=rf"logger: {name} is not installed; pip install 'anrl\[{name}\]'"):
        trained(packs, tmp_path / "run", logger=name)


def test_a_failed_run_keeps_its_last_checkpoint_and_the_state_it_failed_in(packs, tmp_path):
    changes = {"optimizer": {"name": "SGD", "lr": 1e-3, "weight_decay": 0.0}, "epochs": 1}
    train(load_config(settings(packs, tmp_path / "run", **changes)))
    last = (tmp_path / "run/last.safetensors").read_bytes()
    config = load_config(settings(packs, tmp_path / "run", **changes | {"epochs": 2}))
    checkpoint = Checkpoint.read(tmp_path / "run/last.safetensors")
    # A run that diverges: an infinite weight.
    from safetensors.torch import load_file, safe_open, save_file

    with safe_open(tmp_path / "run/last.safetensors", "pt") as file:
        metadata = file.metadata()
    tensors = load_file(tmp_path / "run/last.safetensors")
    tensors["model.classifier.fc.weight"][0, 0] = float("inf")
    save_file(tensors, tmp_path / "run/last.safetensors", metadata)
    spoilt = (tmp_path / "run/last.safetensors").read_bytes()
    with pytest.raises(FloatingPointError, match=r"at step \d+; .*failed.safetensors has .*\.jpg"):
        train(config)
    assert (tmp_path / "run/last.safetensors").read_bytes() == spoilt != last
    failed = Checkpoint.read(tmp_path / "run/failed.safetensors")
    assert failed.progress.epoch == checkpoint.progress.epoch == 1
    assert torch.isinf(failed.tensors["model.classifier.fc.weight"]).any()


def test_a_full_disk_keeps_the_previous_checkpoint(packs, tmp_path):
    """A limit on the size of files stands for the full disk."""
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps(settings(packs, tmp_path / "run", epochs=1)))
    cli("train", config, check=0)
    last = tmp_path / "run/last.safetensors"
    before = last.read_bytes()
    program = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({len(before) // 2},) * 2)\n"
        "from anrl.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "train", str(config), "epochs=2"],
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "200"},
    )
    assert done.returncode == 2 and "could not be written" in done.stderr, done.stderr
    assert last.read_bytes() == before and not list((tmp_path / "run").glob(".*partial"))
    cli("train", config, "epochs=2", check=0)
    assert Checkpoint.read(last).progress.epoch == 2


def test_a_validation_split_that_lacks_a_class_is_named(packs, tmp_path):
    file = write_domain(tmp_path / "data", subjects=2, frames=1)
    header, *rows = file.read_text().splitlines()
    # One subject's bona fide images, and the other's attacks.
    file.write_text("\n".join([header, *(r for r in rows if f" {r[0]} " in r)]) + "\n")
    pack(tmp_path / "halves.lmdb", read_list(file), root=file.parent)
    with pytest.raises(
        DataError, match=r"halves.lmdb: no validation part of 1 of 2 subjects .* both classes"
    ):
        trained([tmp_path / "halves.lmdb", *packs[1:]], tmp_path / "run")
