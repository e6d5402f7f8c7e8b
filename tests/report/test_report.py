"""The report: one file that opens without a network, looked at in a real browser where there is one."""

import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from anrl.config import load_config
from anrl.errors import DataError
from anrl.report import write_report
from anrl.training import train
from support.training import cli, plan, settings

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars"
).split()


@pytest.fixture(scope="module")
def run(packs, tmp_path_factory):
    out = tmp_path_factory.mktemp("report") / "run"
    targets = [{"path": str(packs[3]), "name": "<unseen> & new"}]
    train(load_config(settings(packs, out, targets=targets)))
    return out


def test_a_run_becomes_one_page(run):
    told = []
    page = write_report(run, progress=lambda done, total, message="": told.append((done, total, message)))
    text = page.read_text()
    assert page == run / "report.html"
    assert all(0 <= done <= total for done, total, _ in told)
    messages = {message for _, _, message in told}
    assert {"scoring <unseen> & new", "features of 0.lmdb", "storing roc"} <= messages
    names = {"roc", "det", "training", "tsne", "gates", "attention", "depth", "scores_validation"}
    for name in names | {"scores__unseen_new"}:
        assert (run / f"figures/{name}.png").exists() and (run / f"figures/{name}.pdf").exists()
    for section in (
        "Results",
        "Curves",
        "Training",
        "Inside the network",
        "Data",
        "Configuration",
        "Environment",
    ):
        assert f">{section}</h2>" in text
    for content in ("APCER (worst)", "BPCER20", "inner_lr", "Rust kernels", "0.lmdb"):
        assert content in text
    assert "&lt;unseen&gt; &amp; new" in text and "<unseen>" not in text
    # Nothing is fetched from anywhere.
    sources = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert len([s for s in sources if s.startswith("data:image/png")]) >= 9
    assert all(s.startswith(("data:", "#")) for s in sources) and "url(" not in text and "<script" not in text


@pytest.mark.skipif(BROWSER is None, reason="there is no chromium here")
@pytest.mark.slow
def test_a_browser_shows_its_tables_and_figures(run, tmp_path):
    page = write_report(run, tmp_path / "page.html")
    options = [*QUIET, f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1100,6000"]
    shot = tmp_path / "shot.png"
    subprocess.run([BROWSER, *options, f"--screenshot={shot}", page.as_uri()], check=True, timeout=120)
    pixels = np.asarray(Image.open(shot).convert("RGB")).astype(int)
    assert pixels.shape == (6000, 1100, 3)
    written = (pixels.sum(2) < 600).mean(1) > 0.005
    assert written.mean() > 0.3  # text or figures in many rows
    colors = np.abs(pixels - pixels.mean(2, keepdims=True)).max(2) > 60
    assert colors.mean() > 0.005  # curves and pictures came out
    dumped = subprocess.run(
        [BROWSER, *options, "--dump-dom", page.as_uri()],
        check=True,
        timeout=120,
        capture_output=True,
        text=True,
    ).stdout
    assert dumped.count("<img") == page.read_text().count("<img") and "<unseen> & new" not in dumped


def test_a_protocol_becomes_one_page(packs, tmp_path):
    protocol = plan(packs, tmp_path / "out", ("anrl", "bn", "low-level"), (0,), unseen=["d3"])
    protocol.run()
    (protocol.cells()[2].folder(tmp_path / "out") / "evaluation.csv").unlink()
    done = cli("report", tmp_path / "out", check=0)
    assert "report.html" in done.stdout
    text = (tmp_path / "out/report.html").read_text()
    assert "Missing: low-level cues, d3 unseen, seed 0" in text
    for content in (
        "Paired by unseen domain",
        "HTER at the threshold",
        "batch norm, with depth",
        "auxiliary depth",
    ):
        assert content in text


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(DataError, match="holds neither best.safetensors"):
        write_report(tmp_path)
    done = cli("report", tmp_path / "none", check=2)
    assert "holds neither" in done.stderr
