"""Configuration, training, checkpoints, evaluation and the command line, at a tiny size."""

import json
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from anrl.checkpoint import Checkpoint
from anrl.config import load_config
from anrl.data import Domain
from anrl.errors import ConfigError, DataError, Interrupted
from anrl.training import train
from support.training import cli, settings, stop_after


def test_training_learns_and_keeps_a_record(packs, tmp_path):
    config = load_config(settings(packs, tmp_path / "run", epochs=12))
    seen = []
    best = train(config, lambda done, total, message: seen.append((done, total)))
    log = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    steps = [entry for entry in log if "loss" in entry]
    assert seen == [(i + 1, len(steps)) for i in range(len(steps))]
    assert {"classification", "depth", "inter_domain", "inter_class", "lr"} <= steps[0].keys()
    first, last = (sum(s["classification"] for s in part) for part in (steps[:4], steps[-4:]))
    assert last < first
    checkpoint = Checkpoint.read(best)
    assert 0 < checkpoint.progress.thresholds["video"] < 1
    assert load_config(tmp_path / "run/config.yaml") == config == checkpoint.config
    out = checkpoint.model()(torch.zeros(1, 6, 16, 16))
    assert out.logits.shape == (1, 2)


SCHEDULED = {
    "optimizer": {
        "name": "SGD",
        "options": {"momentum": 0.9},
        "lr": 1e-2,
        "max_grad_norm": 0.5,
        "gradient_accumulation_steps": 2,
    },
    "scheduler": {"name": "OneCycleLR", "options": {"max_lr": 1e-2, "total_steps": 4}, "interval": "step"},
}


@pytest.mark.parametrize(
    "options, stop",
    [
        ({"optimizer": {"lr": 3e-3, "ema_decay": 0.9}, "scheduler": {"options": {"step_size": 1}}}, 3),
        ({"optimizer": {"lr": 3e-3, "ema_decay": 0.9}, "scheduler": {"options": {"step_size": 1}}}, 4),
        ({"optimizer": {"lr": 3e-3, "ema_decay": 0.9}, "scheduler": {"options": {"step_size": 1}}}, 5),
        (SCHEDULED, 1),
        (SCHEDULED, 3),
    ],
)
def test_interrupted_and_resumed_equals_uninterrupted(packs, tmp_path, options, stop):
    whole = train(load_config(settings(packs, tmp_path / "whole", **options))).parent
    config = load_config(settings(packs, tmp_path / "parts", **options))
    with pytest.raises(Interrupted, match=rf"stopped at step {stop} of .*last.safetensors"):
        train(config, stop_after(stop))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    train(config)
    assert_same_run(whole, tmp_path / "parts")


def assert_same_run(one, other):
    for name in ("last", "best"):
        expected, found = (load_file(folder / f"{name}.safetensors") for folder in (one, other))
        assert expected.keys() == found.keys()
        assert all(torch.equal(found[key], expected[key]) for key in expected), name
    logs = [
        [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        for folder in (one, other)
    ]
    for log in logs:
        for entry in log:
            for measured in ("images_per_second", "loader_wait"):
                entry.pop(measured, None)
    assert logs[0] == logs[1]


def test_killed_and_resumed_equals_uninterrupted(packs, tmp_path):
    options = {"epochs": 6, "save_interval": 3}
    whole = train(load_config(settings(packs, tmp_path / "whole", **options))).parent
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps(settings(packs, tmp_path / "parts", **options)))
    command = [sys.executable, "-c", "from anrl.cli import main; main()", "train", str(file)]
    log, kills = tmp_path / "parts/log.jsonl", 0
    for lines in (4, 10, 17):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and not (log.exists() and log.read_text().count("\n") >= lines):
            time.sleep(0.005)
        process.kill()
        kills += process.wait() == -signal.SIGKILL
    assert kills == 3
    cli("train", file, check=0)
    assert_same_run(whole, tmp_path / "parts")


@pytest.mark.parametrize(
    "changes",
    [
        {"model": {"width": 0.05, "norm": "batch"}, "method": {"meta_learning": False}},
        {
            "model": {"width": 0.05, "norm": "instance"},
            "method": {"inter_domain_weight": 0, "inter_class_weight": 0},
        },
        {"model": {"width": 0.05, "gate": "dual"}, "method": {"first_order": True, "meta_train_domains": 1}},
        {"optimizer": {"lr": 3e-3, "ema_decay": 0.9}},
    ],
)
def test_methods_train(packs, tmp_path, changes):
    best = train(load_config(settings(packs, tmp_path / "run", epochs=1, **changes)))
    assert best.exists()


def test_eight_bit_images_train_the_same_network(packs, tmp_path):
    found = []
    for output in ("float32", "uint8"):
        transform = {"image_size": 16, "output": output}
        best = train(load_config(settings(packs, tmp_path / output, epochs=1, transform=transform)))
        found.append(Checkpoint.read(best).tensors)
    assert all(torch.equal(value, found[1][key]) for key, value in found[0].items())


def test_the_average_of_the_weights_is_what_is_judged(packs, tmp_path):
    options = {"epochs": 1, "optimizer": {"lr": 3e-3, "ema_decay": 0.8}}
    best = train(load_config(settings(packs, tmp_path / "run", **options)))
    checkpoint = Checkpoint.read(best)
    average, last = checkpoint.part("average"), checkpoint.part("model")
    assert any(not torch.equal(average[key], last[key]) for key in last)
    used = checkpoint.model().state_dict()
    assert all(torch.equal(used[key], average[key]) for key in used)
    plain = Checkpoint.read(train(load_config(settings(packs, tmp_path / "plain", epochs=1))))
    assert all(torch.equal(last[key], value) for key, value in plain.part("model").items())
    with pytest.raises(ConfigError, match="optimizer.ema_decay"):
        load_config(settings(packs, tmp_path / "x", optimizer={"ema_decay": 1.0}))


def test_command_line_from_config_to_scores(packs, tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps(settings(packs, tmp_path / "run")))
    done = cli("train", file, "epochs=1", "optimizer.lr=1e-3", check=0)
    assert "validation videos of the sources" in done.stdout
    assert Checkpoint.read(tmp_path / "run/best.safetensors").config.optimizer.lr == 1e-3
    done = cli("eval", tmp_path / "run/best.safetensors", packs[3], check=0)
    for name in ("HTER", "APCER (worst)", "APCER replay", "BPCER20", "ACER", "AUC", "EER", "validation"):
        assert name in done.stdout
    assert (tmp_path / "run/eval/roc.png").read_bytes().startswith(b"\x89PNG")
    rows = (tmp_path / "run/eval/scores_3.lmdb.csv").read_text().splitlines()
    assert rows[1] == "domain,frame,video,subject,label,attack,score" and len(rows) == 2 + len(
        Domain.open(packs[3])
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_command_line_survives_ctrl_c(packs, tmp_path, number):
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps(settings(packs, tmp_path / "run", epochs=400)))
    process = subprocess.Popen(
        [sys.executable, "-c", "from anrl.cli import main; main()", "train", str(file)],
        stderr=subprocess.PIPE,
        text=True,
    )
    log = tmp_path / "run/log.jsonl"
    deadline = time.monotonic() + 120
    while not (log.exists() and log.read_text().count("\n") > 3) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(number)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and "resumes from there" in errors and "Traceback" not in errors
    assert Checkpoint.read(tmp_path / "run/last.safetensors").progress.step >= 1


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["optimizer.learning=1"], "optimizer.learning: no such key; those there are: .*optimizer.lr"),
        (["transform.image_siz=64"], "transform.image_siz: no such key; did you mean transform.image_size"),
        (["lr=1"], "lr: no such key; did you mean optimizer.lr"),
        (["optimizer.qqq=1"], "optimizer.qqq: no such key; those there are: optimizer.name, .*"),
        (["optimiser.lr=1"], "optimiser: no such key; did you mean optimizer"),
        (["sources.0.pth=x"], "pth: no such key; did you mean sources.path"),
        (["selection=target"], "selection: 'target' needs .* targets"),
        (["optimizer.max_grad_norm=0"], "optimizer.max_grad_norm: 0.0 is not positive"),
        (["patience=0"], "patience: 0 is not positive"),
        (["logger=paper"], "logger: .*paper"),
        (["transform.image_size=60"], "image_size must be a positive multiple of 8, not 60"),
        (["model.norm=layer"], "model.norm: .*adaptive"),
        (["epochs=many"], "epochs: .*many"),
        (["method.meta_train_domains=3"], "method.meta_train_domains: 3 of 3 domains"),
        (["batch_size=5"], "batch_size: 5 is not even"),
        (["validation_fraction=1"], "validation_fraction"),
        (["sources.0.name=a/b"], "name: a/b is to name folders too"),
        (["nonsense"], "expected key=value, got 'nonsense'"),
    ],
)
def test_wrong_settings_are_named(packs, tmp_path, overrides, message):
    with pytest.raises(ConfigError, match=message):
        load_config(settings(packs, tmp_path / "run"), overrides)


def test_domains_of_one_name_are_refused(packs, tmp_path):
    sources = [{"path": str(packs[0]), "name": "a"}, {"path": str(packs[1]), "name": "a"}]
    with pytest.raises(ConfigError, match="sources: two domains are called a; set name"):
        train(
            load_config(settings(packs, tmp_path / "run", sources=sources), ["method.meta_train_domains=1"])
        )


def test_targets_may_be_named_later(packs, tmp_path):
    train(load_config(settings(packs, tmp_path / "run", epochs=1)))
    targets = [{"path": str(packs[3])}]
    train(load_config(settings(packs, tmp_path / "run", epochs=1, targets=targets)))
    with pytest.raises(ConfigError, match="another configuration"):
        train(load_config(settings(packs, tmp_path / "run", epochs=1, targets=targets, selection="target")))


def test_fewer_than_two_domains_are_refused(packs, tmp_path):
    with pytest.raises(ConfigError, match="sources: 1 given; .*at least 2"):
        load_config(settings(packs[:1], tmp_path / "run"))


def test_other_checkpoints_are_refused(packs, tmp_path):
    train(load_config(settings(packs, tmp_path / "run", epochs=1)))
    for changes in ({"batch_size": 6}, {"seed": 1}, {"model": {"width": 0.06}}):
        with pytest.raises(ConfigError, match="another configuration"):
            train(load_config(settings(packs, tmp_path / "run", **changes)))
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(DataError, match="not a readable checkpoint"):
        Checkpoint.read(tmp_path / "text.safetensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(DataError, match="not a checkpoint of anrl"):
        Checkpoint.read(tmp_path / "foreign.safetensors")
    checkpoint = Checkpoint.read(tmp_path / "run/best.safetensors")
    checkpoint.config.model = replace(checkpoint.config.model, width=0.1)
    with pytest.raises(DataError, match="another architecture"):
        checkpoint.model()


def test_missing_device_is_named(packs, tmp_path):
    with pytest.raises(ConfigError, match="device: 'nonsense'"):
        train(load_config(settings(packs, tmp_path / "run", device="nonsense")))


def test_a_loss_that_is_no_number_stops_with_the_keys(packs, tmp_path):
    config = load_config(settings(packs, tmp_path / "run", optimizer={"lr": 1e30}))
    with pytest.raises(FloatingPointError, match=r"at step \d+; .*\.jpg"):
        train(config)


def test_user_errors_exit_with_2_and_no_traceback(packs, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps(settings(packs, tmp_path / "run")))
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "broken.yaml").write_text("a: [1, 2")
    for arguments, message in [
        (["pack", tmp_path / "x.lmdb", tmp_path / "empty.txt"], "empty.txt: the list has no samples"),
        (["inspect", tmp_path / "none.lmdb"], "none.lmdb: no such pack"),
        (["train", tmp_path / "none.yaml"], "none.yaml"),
        (["train", tmp_path / "broken.yaml"], "broken.yaml"),
        (["train", config, "sede=1"], "sede: .*seed"),
        (["eval", tmp_path / "none.safetensors", packs[0]], "none.safetensors: not a readable checkpoint"),
        (["demo", "--unseen", "mars"], "must be one of sim_office"),
    ]:
        done = cli(*arguments, check=2)
        assert "Traceback" not in done.stderr
        assert re.search(message, done.stderr), done.stderr
    assert not (tmp_path / "x.lmdb").exists() and not (tmp_path / "run").exists()


def test_inspect_describes_packs(packs):
    done = cli("inspect", packs[0], check=0)
    for text in ("bona fide", "attack print", "attack replay", "24 x 24", "subjects"):
        assert text in done.stdout


@pytest.mark.slow
def test_demo_makes_table_and_pictures(tmp_path):
    done = cli("demo", "--quick", "--out", "runs/demo", cwd=tmp_path, check=0)
    for text in (
        "sim_office, never seen in training",
        "ANRL",
        "batch norm",
        "low-level cues",
    ):
        assert text in done.stdout
    results = json.loads((tmp_path / "runs/demo/results.json").read_text())
    assert "mean nothing" in results["remark"] and "mean nothing" in done.stdout
    for run in ("anrl-sim_office-0-quick", "bn-sim_office-0-quick"):
        config = yaml.safe_load((tmp_path / "runs/demo" / run / "config.yaml").read_text())
        assert [target["name"] for target in config["targets"]] == ["sim_office"]
        assert "sim_office" not in [source["name"] for source in config["sources"]]
        assert config["remark"] == results["remark"]
    low, high = results["methods"]["ANRL"]["intervals_95"]["auc"]
    assert 0 <= low <= results["methods"]["ANRL"]["auc"] <= high <= 1
    for name in ("roc.png", "tsne.png"):
        assert (tmp_path / "runs/demo" / name).read_bytes().startswith(b"\x89PNG")
