"""Training in several processes: two ranks must equal one process on the joined batch."""

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
from anrl.training import train
from support.close import assert_close
from support.training import settings

EXACT = {
    "precision": "float64",
    "sync_statistics": True,
    "batch_size": 8,
    "epochs": 2,
    "optimizer": {"name": "SGD", "lr": 1e-2, "options": {"momentum": 0.9}, "ema_decay": 0.9},
}


def torchrun(config, *arguments, processes=2, **options):
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
    # A port of its own, so that jobs do not meet.
    command += [
        "--rdzv-backend",
        "c10d",
        "--rdzv-endpoint",
        "localhost:0",
        "-m",
        "anrl",
        "train",
        str(config),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    return subprocess.Popen(
        [*command, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        **options,
    )


def finished(process):
    output, _ = process.communicate(timeout=300)
    return process.returncode, output


def write(file, values):
    file.write_text(json.dumps(values))
    return file


def steps(out):
    entries = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [e for e in entries if "step" in e], [e for e in entries if "step" not in e]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"method": {"first_order": True}},
        {"method": {"batch_statistics": "joint", "inner_lr": 0.1}},
        {"method": {"meta_learning": False}, "model": {"width": 0.05, "norm": "batch"}},
        {
            "model": {"width": 0.05, "gate": "dual"},
            "method": {"inter_domain_weight": 0.1, "inter_class_weight": 0.1},
        },
    ],
)
def test_two_ranks_equal_one_process_on_the_joined_batch(packs, tmp_path, changes):
    alone = load_config(settings(packs, tmp_path / "alone", **EXACT | changes))
    train(alone)
    config = write(tmp_path / "config.yaml", settings(packs, tmp_path / "ranks", **EXACT | changes))
    code, output = finished(torchrun(config))
    assert code == 0, output
    expected, found = (
        Checkpoint.read(tmp_path / name / "last.safetensors").tensors for name in ("alone", "ranks")
    )
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert_close(found[name].double(), value.double(), 1e-9, name, absolute=1e-12)
    (one, judged), (two, judged_too) = steps(tmp_path / "alone"), steps(tmp_path / "ranks")
    assert len(one) == len(two) and len(judged) == len(judged_too)
    for a, b in zip(one, two, strict=True):
        for part in ("loss", "gradient_norm", "classification", "inter_class", "accuracy"):
            assert b[part] == pytest.approx(a[part], rel=1e-10, abs=1e-12), (a["step"], part)
    for a, b in zip(judged, judged_too, strict=True):
        # Sharded evaluation sees every sample once.
        assert b["validation_auc"] == a["validation_auc"]
        assert b["thresholds"] == pytest.approx(a["thresholds"], rel=1e-9)


def test_three_ranks_with_statistics_of_their_own_agree_on_the_weights(packs, tmp_path):
    values = settings(packs, tmp_path / "run", batch_size=6, epochs=1)
    code, output = finished(torchrun(write(tmp_path / "config.yaml", values), processes=3))
    assert code == 0, output
    assert output.count("validation videos of the sources") == 1
    found = Checkpoint.read(tmp_path / "run/last.safetensors")
    assert all(torch.isfinite(v).all() for v in found.part("model").values() if v.is_floating_point())
    assert found.progress.epoch == 1


def test_a_batch_that_cannot_be_divided_is_named(packs, tmp_path):
    values = settings(packs, tmp_path / "run", batch_size=6)
    code, output = finished(torchrun(write(tmp_path / "config.yaml", values)))
    assert code != 0 and "batch_size: 6 cannot be divided among 2 processes" in output
    assert not (tmp_path / "run").exists()


def until(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def children(pid):
    """The processes that a process started."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            with open(f"/proc/{entry}/stat") as file:
                parent = int(file.read().rpartition(")")[2].split()[1])
        except (ValueError, OSError):
            continue
        if parent == pid:
            found.append(int(entry))
    return found


def test_a_rank_that_dies_ends_the_job_with_a_message_and_the_job_goes_on(packs, tmp_path):
    changes = EXACT | {"epochs": 4, "save_interval": 1}
    train(load_config(settings(packs, tmp_path / "alone", **changes)))
    values = settings(packs, tmp_path / "run", **changes)
    config = write(tmp_path / "config.yaml", values)
    job = torchrun(config)
    log = tmp_path / "run/log.jsonl"
    until(lambda: log.exists() and log.read_text().count("\n") >= 3)
    os.kill(max(children(job.pid)), signal.SIGKILL)
    code, output = finished(job)
    assert code != 0
    assert "another process of the job ended" in output and "goes on from the last checkpoint" in output
    code, output = finished(torchrun(config))
    assert code == 0, output
    expected, found = (
        Checkpoint.read(tmp_path / name / "last.safetensors").tensors for name in ("alone", "run")
    )
    for name, value in expected.items():
        assert_close(found[name].double(), value.double(), 1e-8, name, absolute=1e-11)
    (one, _), (two, _) = steps(tmp_path / "alone"), steps(tmp_path / "run")
    assert [e["step"] for e in one] == [e["step"] for e in two]


def test_a_job_that_is_interrupted_saves_and_goes_on(packs, tmp_path):
    values = settings(packs, tmp_path / "run", **EXACT | {"epochs": 300})
    config = write(tmp_path / "config.yaml", values)
    job = torchrun(config, start_new_session=True)
    log = tmp_path / "run/log.jsonl"
    until(lambda: log.exists() and log.read_text().count("\n") >= 3)
    os.killpg(job.pid, signal.SIGINT)
    _, output = finished(job)
    assert "resumes from there" in output, output
    done = Checkpoint.read(tmp_path / "run/last.safetensors").progress
    assert (done.epoch, done.step) != (0, 0)
    code, output = finished(torchrun(config, f"epochs={done.epoch + 1}"))
    assert code == 0, output
