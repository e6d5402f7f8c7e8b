"""What a training writes, and where: one at a time, nothing foreign, and a sentence where it cannot."""

import errno
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from anrl.checkpoint import Checkpoint
from anrl.config import load_config
from anrl.errors import ConfigError, Interrupted
from anrl.output_folder import locked
from anrl.training import train
from anrl.training.trainer import Trainer
from support.training import cli, settings, stop_after


def is_finite(tensors):
    return all(t.isfinite().all() for t in tensors.values())


@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_failed_step_leaves_the_state_before_it(packs, tmp_path, monkeypatch, accumulation):
    optimizer = {"lr": 1e30, "gradient_accumulation_steps": accumulation}
    before = {}
    step = Trainer._step

    def recorded(trainer, *arguments):
        before.clear()
        before.update({k: v.clone() for k, v in trainer.state.tensors().items()})
        return step(trainer, *arguments)

    monkeypatch.setattr(Trainer, "_step", recorded)
    with pytest.raises(FloatingPointError, match=r"failed\.safetensors has the state before it"):
        train(load_config(settings(packs, tmp_path / "run", epochs=3, optimizer=optimizer)))
    failed = Checkpoint.read(tmp_path / "run/failed.safetensors").tensors
    assert failed.keys() == before.keys() and is_finite(failed)
    assert all(torch.equal(value, before[name]) for name, value in failed.items())


def test_two_trainings_do_not_share_a_folder(packs, tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps(settings(packs, tmp_path / "run", epochs=400)))
    command = [sys.executable, "-c", "from anrl.cli import main; main()", "train", str(file)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as first:
        log = tmp_path / "run/log.jsonl"
        while first.poll() is None and not (log.exists() and log.read_text().count("\n") > 2):
            time.sleep(0.05)
        for change in ([], ["seed=1"]):
            done = cli("train", file, *change, check=2)
            assert f"output_dir: process {first.pid} on" in done.stderr
            assert "is writing to" in done.stderr and "Traceback" not in done.stderr
        first.send_signal(signal.SIGKILL)
    cli("train", file, f"epochs={epochs_so_far(tmp_path)}", check=0)


def epochs_so_far(folder):
    last = folder / "run/last.safetensors"
    return Checkpoint.read(last).progress.epoch + 1 if last.exists() else 1


def test_ctrl_c_in_the_last_validation_is_not_lost(packs, tmp_path, monkeypatch):
    config = load_config(settings(packs, tmp_path / "run", epochs=1))
    from anrl.training import trainer

    def validate(*arguments):
        signal.raise_signal(signal.SIGINT)
        return original(*arguments)

    original = trainer.validate
    monkeypatch.setattr(trainer, "validate", validate)
    with pytest.raises(Interrupted, match=r"best\.safetensors and everything else is there"):
        train(config)
    monkeypatch.undo()
    assert Checkpoint.read(train(config)).progress.epoch == 1


def test_an_output_dir_that_is_a_file_or_under_one_is_named(packs, tmp_path):
    (tmp_path / "file").write_text("mine")
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps(settings(packs, tmp_path / "run")))
    for out in (tmp_path / "file", tmp_path / "file/run"):
        done = cli("train", config, f"output_dir={out}", check=2)
        assert f"output_dir: {tmp_path}/file" in done.stderr and "cannot be written" in done.stderr
        assert "Traceback" not in done.stderr
    assert (tmp_path / "file").read_text() == "mine"


def test_the_configuration_that_is_read_is_never_overwritten(packs, tmp_path):
    file = tmp_path / "config.yaml"
    text = "# mine\n" + json.dumps(settings(packs, tmp_path))
    file.write_text(text)
    done = cli("train", file, check=2)
    assert f"output_dir: {file}: is there already" in done.stderr and file.read_text() == text
    assert not (tmp_path / "log.jsonl").exists()


def test_a_disk_that_is_full_when_the_log_is_written_is_one_sentence(packs, tmp_path, monkeypatch):
    config = load_config(settings(packs, tmp_path / "run", epochs=1))

    class Full:
        def __init__(self, stream):
            self.stream = stream

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.stream.close()

        def write(self, data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    from anrl.training import loggers

    monkeypatch.setattr(loggers, "open", lambda *a, **k: Full(open(*a, **k)), raising=False)
    with pytest.raises(ConfigError, match=r"output_dir: .*run cannot be written \(No space left on device\)"):
        train(config)
    monkeypatch.undo()
    train(config)  # room was made
    with locked(tmp_path / "run"), pytest.raises(ConfigError, match=r"output_dir: process \d+ on"):
        train(config)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 10**9}, r"batch_size: 1000000000 samples of 3 domains at 16 x 16 pixels are .* GB"),
        (
            {
                "scheduler": {
                    "name": "OneCycleLR",
                    "options": {"max_lr": 0.1, "total_steps": 3},
                    "interval": "step",
                }
            },
            r"scheduler\.options: the cycle ends after 3 steps .*, and the training has \d+",
        ),
        (
            {"scheduler": {"name": "OneCycleLR", "options": {"max_lr": 0.1, "total_steps": 1}}},
            r"scheduler\.options: the cycle ends after 1 steps of the scheduler, and the training has 2",
        ),
    ],
)
def test_what_would_fail_late_is_said_at_once(packs, tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        train(load_config(settings(packs, tmp_path / "run", **changes)))
    assert not (tmp_path / "run/last.safetensors").exists()


def test_the_largest_seed_trains(packs, tmp_path):
    train(load_config(settings(packs, tmp_path / "run", epochs=1, seed=2**63 - 1)))


def test_milestones_are_milestones_after_a_resume(packs, tmp_path):
    scheduler = {"name": "MultiStepLR", "options": {"milestones": [1, 2], "gamma": 0.1}}

    def rates(out):
        lines = map(json.loads, (tmp_path / out / "log.jsonl").read_text().splitlines())
        return [entry["lr"] for entry in lines if "lr" in entry]

    train(load_config(settings(packs, tmp_path / "whole", epochs=3, scheduler=scheduler)))
    config = load_config(settings(packs, tmp_path / "parts", epochs=3, scheduler=scheduler))
    with pytest.raises(Interrupted):
        train(config, stop_after(3))
    train(config)
    assert rates("parts") == rates("whole") and len(set(rates("parts"))) == 3
