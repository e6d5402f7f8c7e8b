"""Names of the files in a run's folder, and what a run writes under them."""

from pathlib import Path

from anrl.config import load_config
from anrl.evaluation import EvaluationFolder, RunFolder, read_scores, read_validation_scores
from anrl.training import train
from support.training import settings


def test_the_names_of_a_runs_files():
    run = RunFolder("runs/one")
    names = ("config", "log", "last", "best", "failed", "validation_scores", "report", "figures")
    assert [str(getattr(run, name).relative_to("runs/one")) for name in names] == [
        "config.yaml",
        "log.jsonl",
        "last.safetensors",
        "best.safetensors",
        "failed.safetensors",
        "validation_scores.csv",
        "report.html",
        "figures",
    ]
    assert run.evaluation.path == Path("runs/one/eval") and Path(run) == run.path == Path(str(run))
    folder = EvaluationFolder("somewhere")
    assert folder.scores("a b") == Path("somewhere/scores_a_b.csv")
    assert folder.metrics_json("a/b") == Path("somewhere/metrics_a_b.json")
    assert folder.metrics_csv("x.lmdb") == Path("somewhere/metrics_x.lmdb.csv")
    assert folder.roc == Path("somewhere/roc")


def test_a_run_writes_under_these_names(packs, tmp_path):
    run = RunFolder(tmp_path / "run")
    assert train(load_config(settings(packs, run, epochs=1))) == run.best
    for file in (run.config, run.log, run.last, run.best, run.validation_scores):
        assert file.stat().st_size > 0
    stored = read_validation_scores(run)
    assert stored.score.tolist() == read_scores(run.validation_scores).score.tolist()
    assert {video.partition("/")[0] for video in stored.video} == {"0.lmdb", "1.lmdb", "2.lmdb"}
