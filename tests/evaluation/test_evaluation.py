"""``anrl eval`` and ``anrl metrics``: tables with counts, JSON, CSV, thresholds, and what goes wrong."""

import csv
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from anrl.config import load_config
from anrl.evaluation import read_scores, write_bob_scores
from anrl.evaluation.tables import metric_texts, text_rows
from anrl.metrics import Evaluation, Scores, find_threshold, rates
from anrl.training import train
from support.training import cli, settings


def make(seed, shift=1.5, frames=3):
    draws = np.random.default_rng(seed)
    label = np.repeat([0, 1], 20)
    attack = ["" if not c else ("print", "replay")[i % 2] for i, c in enumerate(label)]
    video = [f"v{seed}_{i}" for i in range(40)]
    repeated = [np.repeat(v, frames).tolist() for v in (video, attack)]
    label = np.repeat(label, frames)
    return Scores(draws.normal(label * shift, 1), label, *repeated)


def write(file, scores):
    lines = ["label,score,video,attack"]
    for row in zip(scores.label, scores.score, scores.video, scores.attack, strict=True):
        lines.append(",".join(map(str, row)))
    file.write_text("\n".join(lines) + "\n")
    return file


def test_tables_hold_counts_and_intervals():
    validation, evaluation = make(0).by_video(), make(1).by_video()
    threshold = find_threshold(validation)
    columns = {
        "validation": Evaluation(validation, threshold),
        "evaluation": Evaluation(evaluation, threshold),
    }
    table = {row[0]: row[1:] for row in text_rows(columns)}
    assert table[""] == ["validation", "evaluation"]
    at = rates(evaluation, threshold)
    accepted = at.accepted_by_attack["print"]
    assert table["APCER print"][1].startswith(
        f"{100 * accepted.rate:.1f} % ({accepted.count}/{accepted.total}) ["
    )
    assert table["HTER"][1].startswith(f"{100 * at.hter:.1f} % [")
    assert table["APCER (worst)"][1].endswith(at.worst_attack)
    assert "APNRR" not in table
    # Frames of a video are not independent: only the bootstrap, which draws videos, knows how sure they are.
    frames = Evaluation(make(1), threshold)
    low, high = frames.intervals["bpcer"]
    assert metric_texts(frames)["BPCER"].endswith(f"/60) [{100 * low:.1f}, {100 * high:.1f}]")
    assert metric_texts(frames)["APCER print"].endswith("/30)")
    failed = replace(evaluation, score=np.where(np.arange(40) < 5, np.nan, evaluation.score))
    summary = Evaluation(failed, threshold).summary()
    assert summary["bpnrr"] == {"rate": 0.25, "count": 5, "total": 20}
    json.dumps(summary)
    assert metric_texts(Evaluation(failed, threshold))["BPNRR"] == "25.0 % (5/20)"


def test_a_checkpoint_is_judged_at_any_criterion(packs, tmp_path):
    best = train(load_config(settings(packs, tmp_path / "run", epochs=1)))
    done = cli("eval", best, packs[3], "--threshold", "bpcer@10%", "--aggregate", "max", check=0)
    assert "bpcer@10%, on validation data" in done.stdout
    summary = json.loads((tmp_path / "run/eval/metrics_3.lmdb.json").read_text())
    assert summary["threshold_criterion"] == "bpcer@10%" and summary["video_score"] == "max"
    validation = read_scores(tmp_path / "run/validation_scores.csv").by_video("max")
    assert summary["video"]["evaluation"]["threshold"] == find_threshold(validation, "bpcer@10%")
    assert summary["video"]["validation"]["bpcer"]["rate"] <= 0.1
    with open(tmp_path / "run/eval/metrics_3.lmdb.csv") as stream:
        rows = {(r["level"], r["metric"]): r for r in csv.DictReader(stream)}
    for level in ("video", "frame"):
        assert float(rows[level, "auc"]["evaluation"]) == summary[level]["evaluation"]["auc"]
        low = float(rows[level, "intervals_95.auc.low"]["evaluation"])
        assert low == summary[level]["evaluation"]["intervals_95"]["auc"][0]
    done = cli("eval", best, packs[3], "--threshold", "best", check=2)
    assert "criterion 'best' is none of eer" in done.stderr


def test_a_threshold_comes_from_the_checkpoint_that_is_judged(packs, tmp_path):
    one, two = (train(load_config(settings(packs, tmp_path / str(k), epochs=1, seed=k))) for k in (0, 1))

    def validation(checkpoint):
        cli("eval", checkpoint, packs[3], check=0)
        summary = json.loads((checkpoint.parent / "eval/metrics_3.lmdb.json").read_text())
        return [summary["frame"]["validation"][key] for key in ("threshold", "auc", "hter")]

    stored = validation(one), validation(two)
    assert stored[0] != pytest.approx(stored[1], rel=1e-3)
    guest = shutil.copy(two, one.with_name("last.safetensors"))
    assert validation(guest) == pytest.approx(stored[1])
    one.with_name("validation_scores.csv").unlink()
    assert validation(one) == pytest.approx(stored[0])


def test_a_threshold_needs_the_sources(packs, tmp_path):
    for pack in packs[:3]:
        shutil.copytree(pack, tmp_path / pack.name)
    moved = [tmp_path / pack.name for pack in packs[:3]]
    best = train(load_config(settings(moved, tmp_path / "run", epochs=1)))
    shutil.rmtree(moved[0])
    cli("eval", best, packs[3], check=0)
    done = cli("eval", best.with_name("last.safetensors"), packs[3], check=2)
    assert str(moved[0]) in done.stderr and "validation samples of the sources" in done.stderr


def test_domains_of_one_name_are_not_mixed_up(packs, tmp_path):
    best = train(load_config(settings(packs, tmp_path / "run", epochs=1)))
    done = cli("eval", best, packs[3], packs[3], check=2)
    assert "several domains are called 3.lmdb" in done.stderr


def test_score_files_of_one_name_are_told_apart(tmp_path):
    dev = write(tmp_path / "dev.csv", make(0))
    files = []
    for k, name in enumerate(("bn", "anrl")):
        (tmp_path / name / "eval").mkdir(parents=True)
        files.append(write(tmp_path / name / "eval/scores.csv", make(k + 1)))
    cli("metrics", *files, files[0], "--dev", dev, "--out", tmp_path / "out", check=0)
    summaries = [
        json.loads((tmp_path / f"out/metrics_{k}-eval-scores.json").read_text()) for k in ("bn", "anrl")
    ]
    assert [f["video"]["evaluation"]["auc"] for f in summaries] == [
        Evaluation(make(k).by_video(), 0.5).auc for k in (1, 2)
    ]
    spaced = files[0].rename(files[0].with_name("a b.csv"))
    done = cli("metrics", spaced, shutil.copy(spaced, spaced.with_name("a_b.csv")), "--dev", dev, check=2)
    assert "would both be called" in done.stderr


def test_score_files_of_others_are_judged(tmp_path):
    dev, ours = write(tmp_path / "dev.csv", make(0)), write(tmp_path / "ours.csv", make(1))
    write_bob_scores(tmp_path / "bobs.csv", make(1))
    done = cli(
        "metrics", ours, tmp_path / "bobs.csv", "--validation", dev, "--out", tmp_path / "out", check=0
    )
    assert "ours, video level" in done.stdout and "(40 validation | 40 evaluation)" in done.stdout
    summaries = [json.loads((tmp_path / f"out/metrics_{name}.json").read_text()) for name in ("ours", "bobs")]
    assert summaries[0] == summaries[1]
    for name in ("roc.png", "det.pdf", "epc.png", "histogram_ours.png", "histogram_bobs.png"):
        assert (tmp_path / "out" / name).stat().st_size > 1000
    done = cli("metrics", ours, check=2)
    assert "needs validation data" in done.stderr
    done = cli("metrics", ours, "--threshold", "0.5", check=0)
    assert "0.5000" in done.stdout and "on validation data" not in done.stdout


def test_the_other_polarity_is_noticed(tmp_path):
    dev, other = write(tmp_path / "dev.csv", make(0).flipped()), write(tmp_path / "x.csv", make(1).flipped())
    done = cli("metrics", other, "--dev", dev, check=0)
    assert "seem to be higher for bona fide samples" in done.stderr
    done = cli("metrics", other, "--dev", dev, "--flip", check=0)
    assert "seem to be" not in done.stderr


@pytest.mark.parametrize(
    "text, message",
    [
        ("label,score,video\n0,0.1,a\n1,0.2,a\n", "video 'a' has frames of more than one label"),
        ("label,score\n0,nan\n1,0.2\n", "bad.csv:2: the score is 'nan'"),
    ],
)
def test_bad_score_files_are_named(tmp_path, text, message):

    (tmp_path / "bad.csv").write_text(text)
    done = cli("metrics", tmp_path / "bad.csv", "--threshold", "0.5", check=2)
    assert "Traceback" not in done.stderr and re.search(message, done.stderr), done.stderr
