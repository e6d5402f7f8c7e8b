"""Reports say what is not there, and call nothing unseen that was trained on."""

import csv
import json
import math
import re
import shutil

import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from anrl.config import load_config
from anrl.data import pack, read_list
from anrl.errors import DataError
from anrl.report import write_report
from anrl.report.tables import table_csv, table_latex
from anrl.training import train
from support.images import write_domain
from support.training import cli, plan, settings

QUICK = "A quick run: 100 % of it means nothing."


@pytest.fixture(scope="module")
def trained(packs, tmp_path_factory):
    out = tmp_path_factory.mktemp("notes") / "run"
    train(load_config(settings(packs, out, epochs=1, targets=[{"path": str(packs[3])}], remark=QUICK)))
    return out


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture
def quick_figures(monkeypatch):
    """Figures as files are tested elsewhere."""
    monkeypatch.setattr("anrl.report.page.save_figure", lambda figure, path: None)


def edit(run, tensors=None, **changes):
    """Changes the best checkpoint: tensors by a function, keys of its configuration by values."""
    file = run / "best.safetensors"
    with safe_open(file, "pt") as stream:
        metadata = stream.metadata()
    metadata["config"] = yaml.safe_dump(yaml.safe_load(metadata["config"]) | changes)
    values = load_file(file)
    if tensors is not None:
        values = {name: tensors(name, value) for name, value in values.items()}
    save_file(values, file, metadata)


def test_every_table_is_beside_the_page_as_csv_and_latex(run):
    page = write_report(run)
    tables = sorted(file.stem for file in (run / "tables").glob("*.csv"))
    assert tables == sorted(file.stem for file in (run / "tables").glob("*.tex"))
    assert len(tables) == page.read_text().count("<table>") and "results_3.lmdb" in tables
    lines = (run / "tables/results_3.lmdb.csv").read_text().splitlines()
    assert lines[0] == f"# {QUICK}"
    rows = {row[0]: row[1:] for row in csv.reader(lines[1:])}
    assert rows[""] == ["validation", "evaluation"] and "HTER" in rows
    assert all(value in page.read_text() for value in rows["AUC"])
    latex = (run / "tables/results_3.lmdb.tex").read_text()
    assert r"A quick run: 100 \% of it means nothing." in latex
    assert latex.count(r" \\") == len(rows) and len(re.findall(r"(?<!\\)%", latex)) == 1


def test_tables_are_escaped():
    rows = [["", "a_b & c"], ["x", r"50.0 ± 1 % {\n}"], ["y,z", '"']]
    latex = table_latex("under_score", rows, "a remark")
    assert r"a\_b \& c" in latex and r"50.0 $\pm$ 1 \% \{\textbackslash{}n\}" in latex
    assert r"\caption{under\_score. a remark}" in latex and r"\begin{tabular}{lr}" in latex
    assert list(csv.reader(table_csv(rows).splitlines())) == rows


def test_a_domain_that_was_trained_on_is_never_called_unseen(run, packs, tmp_path, quick_figures):
    # The pack of a source under a name of its own; one that is linked; one that is copied and renamed.
    linked, copied = tmp_path / "linked.lmdb", tmp_path / "copied.lmdb"
    linked.symlink_to(packs[1])
    shutil.copytree(packs[2], copied)
    places = (packs[0], linked, copied)
    edit(run, targets=[{"path": str(path), "name": f"other{n}"} for n, path in enumerate(places)])
    text = write_report(run).read_text()
    for number, how in enumerate(("the same pack", "the same pack", "by its images")):
        source = f"the source {number}.lmdb, {how}"
        assert f"other{number} was trained on: it is {source}" in text
        assert f"<caption>other{number}, trained on ({source})" in text
    assert "unseen<" not in text and "(unseen)" not in text and "compared with every source" in text
    assert not list((run / "tables").glob("*unseen*"))


def test_eval_says_loudly_that_a_source_is_no_unseen_domain(run, packs, tmp_path):
    shutil.copytree(packs[1], tmp_path / "new.lmdb")
    for path, how in ((packs[0], "the same pack"), (tmp_path / "new.lmdb", "by its name")):  # of the pack
        done = cli("eval", run, path, packs[3], "--out", tmp_path / "eval", check=0)
        (name,) = {path.name} if path is packs[0] else {"1.lmdb"}
        for stream in (done.stdout, done.stderr):
            assert f"{name}: TRAINED ON, not unseen: it is the source {name}, {how}" in stream
        assert "3.lmdb: unseen" in done.stdout and "compared with every source" in done.stdout
        assert QUICK in done.stdout
        stored = json.loads((tmp_path / "eval/provenance.json").read_text())
        assert stored["domains"] == {name: f"the source {name}, {how}", "3.lmdb": "unseen"}
        assert stored["compared"] and stored["remark"] == QUICK


def test_a_remark_stands_on_the_page(run, quick_figures):
    assert f'<p class="warning">{QUICK}</p>' in write_report(run).read_text()


def test_a_network_that_has_diverged_gets_a_page_with_a_note(run):
    edit(run, lambda name, value: value * math.nan if name.endswith("fc.weight") else value)
    text = write_report(run).read_text()
    assert "The network has diverged, and there are no results" in text and "<h2" in text
    done = cli("eval", run, check=2)
    assert "best.safetensors: the weights are not finite" in done.stderr and "Traceback" not in done.stderr


def test_finite_weights_with_scores_that_are_not_get_a_note_too(run, quick_figures):
    edit(run, lambda name, value: torch.full_like(value, 1e38) if name.endswith("weight") else value)
    write_report(run)
    assert "The network has diverged" in (run / "report.html").read_text()


def test_features_that_collapsed_get_a_note_and_the_process_lives(run):
    edit(run, lambda name, value: value * 0 if name.startswith("model.extractor") else value)
    done = cli("report", run, check=0)
    assert "report.html" in done.stdout and (run / "figures/tsne.png").exists()


def test_a_target_of_two_samples_gets_a_page(run, packs, tmp_path, quick_figures):
    file = write_domain(tmp_path / "data", subjects=1, frames=1, seed=77)
    pack(tmp_path / "tiny.lmdb", read_list(file), root=file.parent)
    edit(run, targets=[{"path": str(tmp_path / "tiny.lmdb")}])
    assert "tiny.lmdb, unseen" in write_report(run).read_text()


def test_a_report_finds_packs_that_were_moved(run, packs, tmp_path):
    moved = tmp_path / "moved"
    moved.mkdir()
    for number, path in enumerate(packs):
        shutil.copytree(path, moved / f"gone{number}.lmdb")
    gone = [{"path": f"/nowhere/gone{number}.lmdb"} for number in range(4)]
    edit(run, sources=gone[:3], targets=gone[3:])
    done = cli("report", run, check=2)
    assert "/nowhere/gone0.lmdb" in done.stderr
    cli("report", run, f"data={moved}", check=0)
    assert f"data: {moved}" in (run / "report.html").read_text()
    done = cli("report", run, "seed=3", check=2)
    assert "only data=FOLDER" in done.stderr


def test_reports_overwrite_neither_their_sources_nor_foreign_files(run, packs, tmp_path, quick_figures):
    write_report(run)
    write_report(run)  # its own page
    for out in (run / "best.safetensors", run / "config.yaml", packs[3] / "data.mdb", tmp_path):
        with pytest.raises(DataError, match=r"is no name of a page; let it end in \.html"):
            write_report(run, out)
    with pytest.raises(DataError, match=r"is read; choose another"):
        write_report(run, packs[3] / "page.html")
    (tmp_path / "page.html").write_text("mine")
    with pytest.raises(DataError, match=r"page\.html: is there already, and was not written here by anrl"):
        write_report(run, tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text() == "mine"
    (tmp_path / "other/figures").mkdir(parents=True)
    (tmp_path / "other/figures/roc.png").write_text("mine")
    with pytest.raises(DataError, match=r"figures/roc\.png: is there already"):
        write_report(run, tmp_path / "other/page.html")
    assert (tmp_path / "other/figures/roc.png").read_text() == "mine"


def test_eval_overwrites_neither_its_sources_nor_foreign_files(run, packs, tmp_path):
    for out in (run / "best.safetensors", packs[3]):
        done = cli("eval", run, "--out", out, check=2)
        assert str(out) in done.stderr and "Traceback" not in done.stderr
    assert not list(packs[3].glob("*.csv"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out/roc.png").write_text("mine")
    done = cli("eval", run, "--out", tmp_path / "out", check=2)
    assert "roc.png: is there already" in done.stderr and (tmp_path / "out/roc.png").read_text() == "mine"
    (tmp_path / "file").write_text("")
    for command, out in (("eval", "file/x"), ("report", "file/x.html")):
        done = cli(command, run, "--out", tmp_path / out, check=2)
        assert "cannot be written" in done.stderr and "Traceback" not in done.stderr


def test_a_protocol_whose_networks_diverged_gets_a_page(packs, tmp_path, quick_figures):
    protocol = plan(packs, tmp_path / "out", ("bn",), (0,), unseen=["d3"])
    protocol.run()
    run = protocol.run_folder(protocol.cells()[0]).path
    edit(run, lambda name, value: value * math.nan if name.endswith("fc.weight") else value)
    text = write_report(tmp_path / "out").read_text()
    assert "batch norm, with depth: " in text and "the weights are not finite" in text
    assert text.count("<td>unseen in turn</td>") == 4
