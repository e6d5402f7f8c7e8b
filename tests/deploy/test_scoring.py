"""Packs scored by detectors of any origin, as evaluation scores them; thresholds written into model files."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

import anrl
from anrl.checkpoint import Checkpoint
from anrl.data import Domain, Records, Transform
from anrl.deploy import Detector, calibrate, detector_scores, score_pack
from anrl.deploy.deployed_network import CheckpointNetwork
from anrl.deploy.detector import Member
from anrl.errors import ConfigError, DataError
from anrl.evaluation import RunFolder, read_validation_scores, score_domain
from anrl.metrics import find_threshold
from support.exported import write_linear


@pytest.mark.parametrize("file", ["exported", "trained"])
def test_a_detector_is_evaluated_as_its_checkpoint(file, trained, packs, request):
    domain = Domain.open(packs[3])
    expected = anrl.evaluate(trained, domain, "eer")
    validation = read_validation_scores(RunFolder(trained.parent))
    detector = Detector.load(request.getfixturevalue(file))
    evaluation = score_pack(detector, domain, "eer", validation)
    assert evaluation.frames.scores.score == pytest.approx(expected.frames.scores.score, abs=1e-4)
    assert evaluation.frames.scores.attack == expected.frames.scores.attack
    assert (evaluation.threshold, evaluation.hter) == (expected.threshold, expected.hter)
    assert evaluation.by_domain.keys() == expected.by_domain.keys()
    at_own = score_pack(detector, domain)
    assert at_own.threshold == at_own.frames.threshold == detector.threshold.value
    assert at_own.frames.hter == pytest.approx(expected.frames.hter)


def test_frames_outside_the_limits_are_failures_to_acquire(exported, packs):
    domain = Domain.open(packs[0])
    detector = Detector.load(exported)
    dark = {record.path for record in list(domain.records)[:3]}
    assert not np.isnan(detector_scores(detector, domain, use_limits=True).score).any()
    scores = detector_scores(
        detector, domain, lambda r: (0, 0, 9, 9) if r.path in dark else None, use_limits=True
    )
    assert np.isnan(scores.score).tolist() == [True] * 3 + [False] * (len(domain) - 3)
    with pytest.raises(ValueError, match="has no threshold"):
        score_pack(Detector(detector.members, type(detector.contract)()), domain)


def test_a_detector_that_crops_needs_faces_in_a_pack(packs, tmp_path):
    write_linear(tmp_path / "a.onnx", np.eye(3)[:, :2] / 100, np.zeros(2), (8, 8))
    (tmp_path / "a.yaml").write_text(
        "networks: [{file: a.onnx, crop: box, margin: 1.5}]\nsize: [8, 8]\nattack: [0]\n"
    )
    domain, detector = Domain.open(packs[0]), Detector.load(tmp_path / "a.yaml")
    with pytest.raises(DataError, match=r"0\.lmdb: key '.*': the network sees a crop around the face's box"):
        detector_scores(detector, domain)
    boxes = detector_scores(detector, domain, lambda record: (4, 4, 14, 14))
    assert not np.array_equal(boxes.score, detector_scores(detector, domain, "whole").score)


def test_crops_to_landmarks_are_those_of_training(trained, packs):
    checkpoint = Checkpoint.read(trained)
    checkpoint.config.transform = Transform(image_size=16, crop_margin=0.4)
    network = CheckpointNetwork(checkpoint)
    detector = Detector([Member(network, network.contract.crop)], network.contract)
    plain, generator = Domain.open(packs[1]), np.random.default_rng(0)
    marks = [tuple((5 + 14 * generator.random(10)).astype(np.float32).tolist()) for _ in plain.records]
    marked = [replace(r, landmarks=m) for r, m in zip(plain.records, marks, strict=True)]
    domain = Domain(plain.path, plain.name, Records.of(marked))
    expected, _ = score_domain(checkpoint.model(), domain, checkpoint.config.transform, torch.device("cpu"))
    assert np.ptp(expected.score) > 0
    assert detector_scores(detector, domain).score == pytest.approx(expected.score, abs=1e-5)
    with pytest.raises(DataError, match="the network sees a crop around the face's landmarks: give the face"):
        detector_scores(detector, plain)


def test_calibration_writes_threshold_and_source_into_an_export(exported, packs, tmp_path):
    path = shutil.copy(exported, tmp_path / "a.onnx")
    domain, before = Domain.open(packs[2]), Detector.load(exported)
    threshold = calibrate(path, domain, "apcer@0.05")
    scores = detector_scores(before, domain)
    assert threshold.value == find_threshold(scores, "apcer@0.05") != before.threshold.value
    after = Detector.load(path)
    assert after.threshold == threshold
    assert (threshold.criterion, threshold.data) == ("apcer@0.05", f"{domain.name}, {len(domain)} frames")
    assert after.contract.limits == before.contract.limits and after.contract.notes == before.contract.notes
    assert np.array_equal(detector_scores(after, domain).score, scores.score)
    assert [file.name for file in tmp_path.iterdir()] == ["a.onnx"]


def test_calibration_keeps_the_other_lines_of_a_description(packs, tmp_path):
    write_linear(tmp_path / "a.onnx", np.eye(3)[:, :2] / 100, np.zeros(2), (8, 8))
    lines = [
        "# mine",
        "networks: [{file: a.onnx}]",
        "threshold: # of old",
        "  value: 0.5",
        "",
        "size: [8, 8]",
    ]
    path = tmp_path / "a.yaml"
    path.write_text("\n".join([*lines, "attack: [0] # of two", ""]))
    for criterion in ("bpcer@0.1", "eer"):
        threshold = calibrate(path, Domain.open(packs[2]), criterion)
        assert Detector.load(path).threshold == threshold and threshold.criterion == criterion
        kept = path.read_text().splitlines()
        assert kept[:4] == ["# mine", lines[1], "size: [8, 8]", "attack: [0] # of two"] and len(kept) == 8


def test_what_cannot_be_calibrated_is_refused(exported, trained, packs):
    domain, before = Domain.open(packs[2]), exported.read_bytes()
    with pytest.raises(ConfigError, match="only an exported model"):
        calibrate(trained, domain)
    with pytest.raises(ValueError, match="a number needs none"):
        calibrate(exported, domain, "0.5")
    with pytest.raises(ValueError, match="none of eer"):
        calibrate(exported, domain, "best")
    assert exported.read_bytes() == before
