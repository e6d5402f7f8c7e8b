"""The commands export, predict and calibrate."""

import csv
import io
import json
import shutil

import numpy as np
import pytest

from anrl.deploy import Detector
from support.exported import write_linear
from support.images import encode, photograph
from support.training import cli


@pytest.fixture
def model(tmp_path):
    """A detector that takes bright images for attacks: P(attack) = sigmoid((mean - 128) / 10)."""
    write_linear(tmp_path / "net.onnx", np.full((3, 1), 1 / 30), np.array([-12.8]), (8, 8))
    (tmp_path / "net.yaml").write_text(
        "networks: [{file: net.onnx}]\nsize: [8, 8]\nattack: [0]\nactivation: sigmoid\n"
        "threshold: {value: 0.5}\n"
    )
    for name, level in (("live", 90), ("attack", 170), ("dark", 5)):
        (tmp_path / f"{name}.png").write_bytes(encode(np.full((60, 60, 3), level, np.uint8)))
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    return tmp_path / "net.yaml"


@pytest.mark.parametrize(
    ("images", "code"),
    [
        (("live",), 0),
        (("live", "attack", "dark"), 1),
        (("live", "dark"), 3),
        (("live", "broken"), 3),
    ],
)
def test_the_exit_code_says_what_was_seen(model, images, code):
    names = {"broken": "broken.jpg"}
    files = [model.parent / names.get(name, f"{name}.png") for name in images]
    lines = cli("predict", model, *files, check=code).stdout.splitlines()
    assert len(lines) == len(images)
    assert lines[0] == f"{files[0]}: bona fide, P(attack) 0.0219, threshold 0.5 (given as a number)"
    if code == 3:
        assert "no verdict (too dark" in lines[1] or "no verdict (is no image" in lines[1]


def test_json_and_csv_of_a_folder(model):
    rows = [
        json.loads(line)
        for line in cli("predict", model, model.parent, "--json", check=1).stdout.splitlines()
    ]
    assert [row["image"].rpartition("/")[2] for row in rows] == [
        "attack.png",
        "broken.jpg",
        "dark.png",
        "live.png",
    ]
    assert [row["verdict"] for row in rows] == ["attack", None, None, "bona fide"]
    assert rows[1]["score"] is None and rows[1]["reason"].startswith("is no image")
    assert rows[0]["score"] == pytest.approx(1 / (1 + np.exp(-4.2)), abs=1e-5) and rows[0]["threshold"] == 0.5
    table = list(csv.DictReader(io.StringIO(cli("predict", model, model.parent, "--csv", check=1).stdout)))
    assert [row["verdict"] for row in table] == ["attack", "", "", "bona fide"]
    assert [row["reason"] for row in table] == [row["reason"] or "" for row in rows]


def test_threshold_and_box_of_a_call(model):
    live = model.parent / "live.png"
    assert "attack" in cli("predict", model, live, "--threshold", 0.01, check=1).stdout
    (model.parent / "two.png").write_bytes(
        encode(np.concatenate([np.full((60, 60, 3), level, np.uint8) for level in (90, 170)], 1))
    )
    assert (
        "bona fide" in cli("predict", model, model.parent / "two.png", "--box", "0,0,60,60", check=0).stdout
    )
    assert "attack" in cli("predict", model, model.parent / "two.png", "--box", "60,0,120,60", check=1).stdout


def test_user_errors_are_one_sentence(model, packs):
    live = model.parent / "live.png"
    for arguments, message in (
        (("predict", model, model.parent / "no.png"), "no.png: there is no such file"),
        (("predict", model.parent / "no.onnx", live), "no.onnx: there is no such file"),
        (("predict", live, live), "not a readable checkpoint"),
        (("predict", model, live, "--box", "1,2"), "left,top,right,bottom"),
        (("predict", model, live, "--box", "90,90,99,99"), "lies outside the image"),
        (("predict", model, live, "--json", "--csv"), "choose one"),
        (("predict", model, live, "--threshold", "nan"), "finite"),
        (("calibrate", model, packs[0], "--apcer", "7"), "no fraction in"),
        (("export", live, model.parent / "a.onnx"), "not a readable checkpoint"),
        (("export", live, model.parent / "a.tflite"), "must end with .onnx or .pt2"),
    ):
        done = cli(*arguments, check=2)
        assert message in " ".join(done.stderr.replace("│", " ").split()), done.stderr
        assert "Traceback" not in done.stderr


def test_export_checks_itself_against_torch(trained, packs, tmp_path):
    out = tmp_path / "a.onnx"
    done = cli(
        "export",
        trained.parent,
        out,
        "--check",
        packs[3],
        "--outputs",
        "score,depth",
        "--min-size",
        70,
        check=0,
    )
    lines = done.stdout.splitlines()
    assert lines[0] == f"written: {out}" and lines[1].startswith(
        "largest deviation of 24 scores from torch's: "
    )
    assert float(lines[1].rpartition(" ")[2]) <= 1e-4
    (tmp_path / "a.png").write_bytes(encode(photograph(60, 60)))
    detector = Detector.load(out)
    done = cli("predict", out, tmp_path / "a.png", check=3)
    assert "no verdict (too small: 60 pixels, and 70 are needed)" in done.stdout
    assert f"threshold {detector.threshold}" in done.stdout


def test_calibrate_changes_the_file_and_says_so(exported, packs, tmp_path):
    path = shutil.copy(exported, tmp_path / "a.onnx")
    done = cli("calibrate", path, packs[1], "--apcer", "0.05", check=0)
    threshold = Detector.load(path).threshold
    assert done.stdout.strip() == f"{path}: threshold {threshold}" and threshold.criterion == "apcer@0.05"
