"""Leave-one-domain-out protocols: cells, tables, tests between methods, and what goes wrong."""

import json
import shutil
import signal

import numpy as np
import pytest
from scipy.stats import wilcoxon

from anrl.checkpoint import Checkpoint
from anrl.config import load_config
from anrl.errors import ConfigError, DataError, Interrupted
from anrl.evaluation import evaluate, read_scores
from anrl.experiments import Cell, LeaveOneDomainOut, compare, results_csv, table_markdown
from anrl.experiments.comparison import MEASURES, rows
from anrl.metrics import Scores, evaluate_scores
from anrl.output_folder import locked
from support.training import cli, plan, settings


def test_every_domain_is_left_out_once_for_each_method_and_seed(packs, tmp_path):
    protocol = plan(packs, tmp_path / "out", unseen=["d3", "d1"])
    assert len(protocol.cells()) == 2 * 2 * 2
    assert protocol.run() == {}
    results = protocol.results()
    assert set(results) == set(protocol.cells())
    for cell in results:
        config = protocol.cell_config(cell)
        names = [source.name for source in config.sources]
        assert cell.unseen not in names and len(names) == 3 and config.targets[0].name == cell.unseen
        scores = read_scores(cell.folder(tmp_path / "out") / "evaluation.csv")
        assert all(video.startswith(cell.unseen + "/") for video in scores.video)
    # A trained cell's threshold is that of its checkpoint.
    cell = Cell("d1", "bn", 1)
    checkpoint = Checkpoint.read(protocol.run_folder(cell).best)
    assert results[cell].threshold == pytest.approx(checkpoint.progress.thresholds["video"])
    again = evaluate(checkpoint)
    assert (results[cell].auc, results[cell].hter) == (again.auc, again.hter)
    # What is done stays.
    before = {f: f.stat().st_mtime_ns for f in (tmp_path / "out").rglob("*.csv")}
    assert plan(packs, tmp_path / "out", unseen=["d3", "d1"]).run() == {}
    assert before == {f: f.stat().st_mtime_ns for f in (tmp_path / "out").rglob("*.csv")}


def interrupt_in_second_step(done, total, message=""):
    if ": step 2 of" in message:
        signal.raise_signal(signal.SIGINT)


def test_an_interrupted_protocol_goes_on_and_a_lost_cell_is_made_again(packs, tmp_path):
    whole = plan(packs, tmp_path / "whole", ("bn",), (0,))
    whole.run()
    protocol = plan(packs, tmp_path / "parts", ("bn",), (0,))
    with pytest.raises(Interrupted):
        protocol.run(interrupt_in_second_step)
    assert protocol.results() == {}
    assert protocol.run() == {}
    shutil.rmtree(Cell("d2", "bn", 0).folder(tmp_path / "parts"))
    assert len(protocol.results()) == 3
    told = []
    protocol.run(lambda done, total, message="": told.append((done, total, message)))
    # One cell of four runs, the third; each call is about it.
    title = "batch norm, with depth, d2 unseen, seed 0"
    assert told[0] == (2, 4, title) and len(told) > 1
    assert all(call[:2] == (2, 4) and call[2].startswith(f"{title}: step ") for call in told[1:])
    assert results_csv(protocol.results()) == results_csv(whole.results())


def test_ctrl_c_in_the_last_validation_of_a_cell_stops_the_protocol(packs, tmp_path, monkeypatch):
    from anrl.training import trainer

    def validate(*arguments):
        signal.raise_signal(signal.SIGINT)
        return original(*arguments)

    original = trainer.validate
    protocol = plan(packs, tmp_path / "out", ("bn",), (0,), unseen=["d3", "d2"])
    monkeypatch.setattr(trainer, "validate", validate)
    with pytest.raises(Interrupted):
        protocol.run()
    monkeypatch.undo()
    assert protocol.results() == {} and not protocol.run_folder(protocol.cells()[1]).path.exists()
    assert protocol.run() == {} and len(protocol.results()) == 2


def test_a_domain_under_two_names_is_not_left_out_of_itself(packs, tmp_path):
    same = [{"path": str(packs[0]), "name": name} for name in ("a", "b")]
    sources = [*same, {"path": str(packs[1]), "name": "c"}, {"path": str(packs[2]), "name": "d"}]
    config = load_config(settings(packs, "x", sources=sources))
    protocol = LeaveOneDomainOut(config, ["low-level"], [0], tmp_path / "out", unseen=["a"])
    (reason,) = protocol.run().values()
    assert "a would not be unseen: it is the source b, the same pack" in reason


def test_what_is_stored_is_plain_and_stays(packs, tmp_path, monkeypatch):
    monkeypatch.setenv("ANRL_SECRET", "s3cr3t")
    plan(packs, tmp_path / "out")
    file = tmp_path / "out/config.yaml"
    file.write_text(file.read_text().replace("remark: ''", "remark: ${oc.env:ANRL_SECRET}"))
    (tmp_path / "out/cells/d0/bn/0").mkdir(parents=True)
    with pytest.raises(DataError, match=r"config.yaml: .*remark: .* is an interpolation"):
        LeaveOneDomainOut.open(tmp_path / "out")
    assert "s3cr3t" not in file.read_text()
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign/format.txt").write_text("mine")
    with pytest.raises(DataError, match=r"format\.txt: is there already"):
        plan(packs, tmp_path / "foreign")
    with pytest.raises(ConfigError, match="seed: -1 is not in"):
        plan(packs, tmp_path / "new", seeds=(0, -1))
    with locked(tmp_path / "other"), pytest.raises(ConfigError, match="is writing to"):
        plan(packs, tmp_path / "other").run()


def test_commands_overwrite_nothing_foreign_and_say_where_they_cannot_write(packs, tmp_path):
    (tmp_path / "file").write_text("mine")
    for folder, name in (("demo", "roc.png"), ("protocol", "table.md")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text("mine")
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps(settings(packs, "x")))
    for arguments, message in (
        (("demo", "--out", tmp_path / "demo"), "roc.png: is there already, and was not written here by anrl"),
        (("demo", "--out", tmp_path / "file/x"), "file/x: cannot be written"),
        (("demo", "--seed", "-1"), "--seed must be in"),
        (("protocol", config, "--out", tmp_path / "protocol"), "table.md: is there already"),
        (("protocol", config, "--out", tmp_path / "file"), "file: cannot be written"),
        (("protocol", config, "--out", packs[0]), "is read; choose another"),
        (("protocol", config, "--out", tmp_path), "choose another folder"),
    ):
        done = cli(*arguments, check=2)
        assert message in " ".join(done.stderr.split()) and "Traceback" not in done.stderr, done.stderr
    assert json.loads(config.read_text()) and (tmp_path / "demo/roc.png").read_text() == "mine"


def test_a_cell_that_fails_is_named_and_the_others_run(packs, tmp_path):
    broken = [*packs[:3], tmp_path / "broken.lmdb"]
    shutil.copytree(packs[3], broken[3])
    (broken[3] / "data.mdb").write_bytes(b"nothing")
    protocol = plan(broken, tmp_path / "out", ("low-level",), (0,), unseen=["d3"])
    failed = protocol.run()
    assert (
        list(failed) == [Cell("d3", "low-level", 0)] and "broken.lmdb" in failed[Cell("d3", "low-level", 0)]
    )
    assert "Traceback" in protocol.failure_file(Cell("d3", "low-level", 0)).read_text()
    assert "-" in table_markdown(protocol.results(), ["low-level"], ["d3"])
    shutil.rmtree(broken[3])
    shutil.copytree(packs[3], broken[3])
    assert protocol.run() == {} and len(protocol.results()) == 1


@pytest.mark.parametrize(
    "options, message",
    [
        ({"methods": ("bn", "best")}, "no method best; there are anrl, .*low-level"),
        ({"unseen": ["d7"]}, "no domain d7; there are d0, d1, d2, d3"),
    ],
)
def test_wrong_protocols_are_named(packs, tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        plan(packs, tmp_path / "out", **options)


def test_another_configuration_is_refused(packs, tmp_path):
    plan(packs, tmp_path / "out")
    with pytest.raises(ConfigError, match="another configuration"):
        plan(packs[::-1], tmp_path / "out")
    # A folder of a version that had fewer keys is taken up again: what was not there has its default.
    file = tmp_path / "out/config.yaml"
    file.write_text(file.read_text().replace("  batch_statistics: domain\n", ""))
    plan(packs, tmp_path / "out")
    assert "batch_statistics: domain" in file.read_text()
    version = tmp_path / "out/format.txt"
    version.write_text("anrl-protocol-9\n")
    with pytest.raises(
        ConfigError, match=r"out: the protocol's folder is of anrl-protocol-9, not .*another folder"
    ):
        plan(packs, tmp_path / "out")
    version.unlink()
    for again in (lambda: plan(packs, tmp_path / "out"), lambda: LeaveOneDomainOut.open(tmp_path / "out")):
        with pytest.raises(ConfigError, match=r"is of an older format, not .*another folder"):
            again()
    twice = settings(packs, "x", targets=[{"path": str(packs[0])}])
    with pytest.raises(ConfigError, match="names of their own"):
        LeaveOneDomainOut(load_config(twice), ["bn"], [0], tmp_path / "twice")


def result(seed, shift):
    draws = np.random.default_rng(seed)
    label = np.repeat([0, 1], 40)
    validation, unseen = (Scores(draws.normal(label * shift, 1), label) for _ in range(2))
    return evaluate_scores({"unseen": unseen}, validation)


def test_tables_hold_means_deviations_and_paired_tests():
    results = {
        Cell(u, v, s): result(100 * i + s + 10 * len(v), {"anrl": 3, "bn": 1}[v])
        for i, u in enumerate("ab")
        for v in ("anrl", "bn")
        for s in (0, 1, 2)
        if (u, v, s) != ("b", "bn", 2)
    }
    values = {c: MEASURES["hter"](r) for c, r in results.items()}
    (_, first, _, mean), other = rows(results, "hter", ["anrl", "bn"], ["a", "b"])
    of_a = [100 * values[Cell("a", "anrl", s)] for s in (0, 1, 2)]
    assert first == f"{np.mean(of_a):.1f} ± {np.std(of_a, ddof=1):.1f}"
    by_seed = [np.mean([100 * values[Cell(u, "anrl", s)] for u in "ab"]) for s in (0, 1, 2)]
    assert mean == f"{np.mean(by_seed):.1f} ± {np.std(by_seed, ddof=1):.1f}"
    assert other[2].endswith("(2 of 3)") and other[3].endswith("(2 of 3)") and "of 3" not in other[1]
    test = compare(results, "anrl", "bn", "hter")
    both = [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1)]
    pairs = [(values[Cell(u, "bn", s)], values[Cell(u, "anrl", s)]) for u, s in both]
    one, two = np.array(pairs).T
    assert (test.pairs, test.higher, test.lower) == (5, (one > two).sum(), (one < two).sum())
    assert test.difference == pytest.approx((one - two).mean())
    assert test.p_value == pytest.approx(wilcoxon(one, two).pvalue)
    assert np.isnan(compare(results, "anrl", "anrl", "auc").p_value)
    text = table_markdown(results, ["anrl", "bn"], ["a", "b"])
    assert "| ANRL | " in text and "| batch norm, with depth | 5 |" in text
    assert results_csv(results).count("\n") == 12


@pytest.mark.slow
def test_the_simulated_protocol_out_of_the_box(tmp_path):
    arguments = ("protocol", "simulated", "--quick", "--unseen", "sim_kiosk", "--methods", "bn,low-level")
    done = cli(*arguments, cwd=tmp_path, check=0)
    for text in ("batch norm, with depth", "low-level cues", "HTER", "mean nothing"):
        assert text in done.stdout
    out = tmp_path / "runs/protocol-simulated-quick"
    assert (out / "table.md").read_text().count("| low-level cues |") == 4
    assert (out / "table.md").read_text().startswith("**A quick run trains for seconds")
    assert (out / "results.csv").read_text().count("\n") == 3
    done = cli("protocol", "simulated", "--quick", "--methods", "bn,worst", cwd=tmp_path, check=2)
    assert "no method worst" in done.stderr
