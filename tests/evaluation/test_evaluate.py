"""``anrl.evaluate``: the same results as ``anrl eval``, from every input, for every criterion and level."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

import anrl
from anrl.checkpoint import Checkpoint
from anrl.config import load_config
from anrl.data import Domain
from anrl.errors import ConfigError, DataError
from anrl.evaluation import RunFolder, evaluate, read_scores, read_validation_scores
from anrl.metrics import auc, evaluate_scores, find_threshold, hter
from anrl.training import train
from support.scores import make
from support.training import cli, settings


@pytest.fixture(scope="module")
def run(packs, tmp_path_factory):
    folder = RunFolder(tmp_path_factory.mktemp("evaluate") / "run")
    targets = [{"path": str(packs[3]), "name": "unseen"}]
    train(load_config(settings(packs, folder, targets=targets, epochs=1)))
    return folder


def test_evaluate_gives_what_the_command_prints(run, packs):
    done = cli("eval", run, packs[3], packs[2], "--threshold", "min-hter", check=0)
    evaluation = evaluate(run, [Domain.open(path) for path in packs[3:1:-1]], "min-hter")
    assert list(evaluation.by_domain) == ["3.lmdb", "2.lmdb"]
    for name, of_domain in evaluation.by_domain.items():
        stored = json.loads(run.evaluation.metrics_json(name).read_text())
        for level, part in (("video", of_domain), ("frame", of_domain.frames)):
            assert stored[level]["evaluation"] == json.loads(json.dumps(part.summary()))
            assert stored[level]["validation"] == json.loads(json.dumps(part.validation.summary()))
            title = f"{name}, {level} level ({len(part.validation.scores)} validation | {len(part.scores)}"
            assert title in done.stdout
        written = read_scores(run.evaluation.scores(name))
        np.testing.assert_array_equal(written.score, of_domain.frames.scores.score)
        assert f"{100 * of_domain.auc:.2f} %" in done.stdout and f"{of_domain.threshold:.4f}" in done.stdout


def test_all_domains_are_evaluated_together_and_each_by_itself(run, packs):
    domains = [Domain.open(packs[3]), Domain.open(packs[0])]
    evaluation = evaluate(run, domains)
    singles = [evaluate(run, domain) for domain in domains]
    for domain, single in zip(domains, singles, strict=True):
        part = evaluation.by_domain[domain.name]
        assert (part.threshold, part.auc, part.hter) == (single.threshold, single.auc, single.hter)
        assert part.validation.auc == evaluation.validation.auc
        assert len(part.frames.scores) == len(domain)
    assert len(evaluation.scores) == sum(len(single.scores) for single in singles)
    scores = np.concatenate([single.scores.score for single in singles])
    np.testing.assert_array_equal(evaluation.scores.score, scores)
    assert evaluation.auc == auc(evaluation.scores)
    assert evaluation.hter == hter(evaluation.scores, evaluation.threshold)
    assert len(evaluation.frames.scores) == sum(map(len, domains))


@pytest.mark.parametrize("aggregate", ["mean", "max"])
@pytest.mark.parametrize("criterion", ["eer", "min-hter", "apcer@0.2", "bpcer@10%"])
def test_the_threshold_is_that_of_the_stored_validation_scores(run, criterion, aggregate):
    evaluation = evaluate(run, criterion=criterion, aggregate=aggregate)
    frames = read_validation_scores(run)
    assert evaluation.threshold == find_threshold(frames.by_video(aggregate), criterion)
    assert evaluation.frames.threshold == find_threshold(frames, criterion)
    assert evaluation.criterion == evaluation.validation.criterion == criterion
    assert evaluation.validation.threshold == evaluation.threshold
    if criterion == "bpcer@10%":
        assert evaluation.validation.bpcer <= 0.1


def test_a_number_is_the_threshold(run):
    assert evaluate(run, criterion=0.25).threshold == evaluate(run, criterion="0.25").threshold == 0.25


def test_folder_path_and_checkpoint_are_the_same(run, packs, tmp_path):
    inputs = [run, run.path, str(run.path), run.best, str(run.best), Checkpoint.read(run.best)]
    results = [anrl.evaluate(checkpoint) for checkpoint in inputs]
    assert len({(r.threshold, r.auc, r.hter) for r in results}) == 1
    assert list(results[0].by_domain) == ["unseen"]  # the configuration's target
    # Without stored scores the validation samples are scored again.
    copy = RunFolder(tmp_path / "copy")
    copy.path.mkdir()
    shutil.copy(run.best, copy.best)
    again = evaluate(copy)
    assert again.threshold == pytest.approx(results[0].threshold)
    assert again.validation.auc == pytest.approx(results[0].validation.auc)


def test_progress_counts_the_frames_of_all_domains(run, packs, tmp_path):
    domains = [Domain.open(packs[3]), Domain.open(packs[0])]
    told = []
    evaluate(run, domains, progress=lambda done, total, message="": told.append((done, total, message)))
    frames = sum(map(len, domains))
    assert told[-1] == (frames, frames, "scoring 0.lmdb")
    assert [done for done, _, _ in told] == sorted({done for done, _, _ in told})
    other = shutil.copy(run.best, tmp_path / "other.safetensors")
    told.clear()
    evaluate(other, domains[0], progress=lambda done, total, message="": told.append((done, total, message)))
    assert told[-1][0] == told[-1][1] > len(domains[0]) and told[-1][2].endswith(", validation")


def test_wrong_calls_are_named(run, packs, tmp_path):
    target = Domain.open(packs[3])
    with pytest.raises(ValueError, match="criterion 'best' is none of eer"):
        evaluate(run, target, "best")
    with pytest.raises(ValueError, match="aggregate must be"):
        evaluate(run, target, aggregate="mode")
    with pytest.raises(ConfigError, match=r"several domains are called 3\.lmdb"):
        evaluate(run, [target, target])
    with pytest.raises(ConfigError, match="targets: .* pass the domains"):
        evaluate(run, [])
    with pytest.raises(DataError, match=re.escape(str(tmp_path / "best.safetensors"))):
        evaluate(tmp_path)
    with pytest.raises(ConfigError, match="device: 'nowhere'"):
        evaluate(run, target, device="nowhere")


def test_scores_are_evaluated_without_a_checkpoint():
    frames = {"a": make([0.1, 0.9, 0.4, 0.6], [0, 1, 0, 1]), "b": make([0.2, 0.3], [0, 1])}
    validation = make([0.0, 0.5, 0.5, 1.0], [0, 0, 1, 1])
    evaluation = evaluate_scores(frames, validation)
    assert evaluation.threshold == find_threshold(validation)
    assert [part.auc for part in evaluation.by_domain.values()] == [1.0, 1.0]
    assert evaluation.auc == 8 / 9  # only 0.3, an attack, lies below 0.4
    assert evaluate_scores(frames, criterion=0.5).validation is None
    with pytest.raises(ValueError, match="needs validation scores"):
        evaluate_scores(frames)
    with pytest.raises(ValueError, match="no domain"):
        evaluate_scores({}, validation)


def test_evaluate_is_a_function_in_any_order_of_imports():
    code = (
        "import anrl.evaluation.evaluate_checkpoint, anrl.evaluation.score\n"
        "import anrl\n"
        "from anrl.evaluation import evaluate\n"
        "print(evaluate is anrl.evaluate, callable(evaluate), anrl.Evaluation is anrl.metrics.Evaluation)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True"] * 3
