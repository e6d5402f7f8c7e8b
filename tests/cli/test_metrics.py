"""``anrl metrics`` and ``anrl multi-metrics``: what they say of score files, in a terminal and in a pipe."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from anrl.cli import main
from anrl.evaluation import read_scores
from anrl.metrics import rates

DATA = Path(__file__).parent.parent / "evaluation" / "score_files"
PROGRAM = [sys.executable, "-c", "from anrl.cli import main; main()"]


@pytest.fixture
def anrl(capsys, monkeypatch):
    """Run the command line in this process: exit code, lines of standard output and of standard error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["anrl", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        output, errors = capsys.readouterr()
        return stop.value.code or 0, output, errors

    return run


def table(output):
    """Rows of the first table, by their names."""
    rows = [line.split("│")[1:-1] for line in output.partition("└")[0].splitlines() if line.startswith("│")]
    return {name.strip(): [cell.strip() for cell in cells] for name, *cells in rows}


def write(file, rows, header="label,score,attack"):
    file.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return file


def test_exactly_one_percent_is_at_most_one_percent(anrl):
    file = DATA / "exactly_one_percent.csv"
    code, output, _ = anrl("metrics", file, "--dev", file, "--threshold", "bpcer@1%")
    rows = table(output)
    assert code == 0
    assert rows["BPCER"][1] == "1.0 % (1/100) [0.0, 5.4]" and rows["APCER (worst)"][1].startswith("0.0 %")
    assert rows["attacks detected at BPCER 1 %"][1] == "100.0 %"
    # All bona fide samples but one lie below all attacks.
    assert rows["TPR at FPR 1 % (positive: bona fide)"][1] == "99.0 %"


def test_a_species_called_attack_is_one_of_two(anrl):
    rows = table(anrl("metrics", DATA / "species_named_attack.csv", "--threshold", 0.5)[1])
    assert rows["HTER"][0].startswith("25.0 % [")
    assert rows["APCER (worst)"][0].startswith("100.0 % [") and "unknown species" in rows["APCER (worst)"][0]
    assert rows["APCER attack"][0].startswith("0.0 % (0/20)")
    assert rows["APCER (unknown species)"][0].startswith("100.0 % (20/20)")


def test_intervals_without_errors_have_width(anrl, tmp_path):
    file = DATA / "perfect.csv"
    _, output, _ = anrl("metrics", file, "--dev", file, "--out", tmp_path)
    assert "[0.0, 0.0]" not in output and "[100.0, 100.0]" not in output
    summary = json.loads((tmp_path / "metrics_perfect.json").read_text())["video"]["evaluation"]
    assert all(low < high for low, high in summary["intervals_95"].values())
    assert summary["attacks_accepted"] == {"rate": 0, "count": 0, "total": 100}


def test_what_was_grouped_is_said(anrl):
    _, output, _ = anrl("metrics", DATA / "bobvideo_eval.csv", "--dev", DATA / "bobvideo_dev.csv")
    assert output.startswith(
        "bobvideo_eval: 300 frames in 60 videos by video_key and claimed_id; bob's scores"
    )
    assert "video level (60 validation | 60 evaluation)" in output
    assert "frame level (300 validation | 300 evaluation)" in output


def test_without_videos_there_are_frames_only(anrl, tmp_path):
    _, output, _ = anrl("metrics", DATA / "exactly_one_percent.csv", "--threshold", 0.5, "--out", tmp_path)
    assert "200 lines, each judged by itself" in output
    assert "frame level (200 evaluation)" in output and "video level" not in output
    stored = json.loads((tmp_path / "metrics_exactly_one_percent.json").read_text())
    assert "video" not in stored and stored["frame"]["evaluation"]["samples"] == 200


def test_a_number_is_a_threshold_of_the_scores_in_the_file(anrl, tmp_path):
    file = DATA / "eval_bob.csv"
    _, output, _ = anrl("metrics", file, "--threshold", 0.5)
    assert table(output)["HTER"][0].startswith("13.3 %")
    assert (
        "higher for bona fide samples: sign changed" in output
        and "threshold 0.5: bona fide at or above" in output
    )
    # --flip is for files that do not say it themselves; bob's scores are turned once.
    _, again, _ = anrl("metrics", file, "--threshold", 0.5, "--flip")
    assert table(again) == table(output) and "--flip changes nothing" in again
    scores = read_scores(file).flipped()
    rows = zip(scores.label, scores.score, scores.attack, strict=True)
    ours = write(tmp_path / "ours.csv", rows)
    _, flipped, _ = anrl("metrics", ours, "--threshold", 0.5, "--flip")
    assert table(flipped) == table(output) and "--flip: sign changed" in flipped
    code, _, errors = anrl("metrics", ours, file, "--threshold", 0.5)
    assert code == 2 and "judge them one by one" in errors


@pytest.mark.parametrize("options, accepted", [([], 1), (["--flip"], 2)])
def test_a_score_at_the_threshold_is_on_its_own_side(anrl, tmp_path, options, accepted):
    file = write(tmp_path / "x.csv", [(0, 0.5, ""), (1, 0.4, "a"), (1, 0.5, "a"), (1, 0.6, "a")])
    rows = table(anrl("metrics", file, "--threshold", 0.5, *options)[1])
    assert rows["APCER a"][0].startswith(f"{100 * accepted / 3:.1f} % ({accepted}/3)")
    assert rows["BPCER"][0].startswith("0.0 % (0/1)" if options else "100.0 % (1/1)")


def test_worse_than_chance_is_said_of_every_file(anrl, tmp_path):
    rows = [(i % 2, i % 2 + i / 100, "") for i in range(40)]
    good, bad = (
        write(tmp_path / "good.csv", rows),
        write(tmp_path / "bad.csv", [(1 - r[0], *r[1:]) for r in rows]),
    )
    errors = anrl("metrics", good, bad, "--dev", good)[2]
    assert errors.count("worse than chance") == 1 and errors.startswith("anrl: bad: AUC 0.")
    assert "anrl: validation data: AUC 0." in anrl("metrics", good, "--dev", bad)[2]


@pytest.mark.parametrize(
    "label, exists, missing", [(0, "BPCER", "APCER (worst)"), (1, "APCER (worst)", "BPCER")]
)
@pytest.mark.parametrize("count", [1, 20])
def test_one_class_has_the_rates_that_exist(anrl, tmp_path, label, exists, missing, count):
    file = write(tmp_path / "x.csv", [(label, 0.3 + i / 50, "") for i in range(count)])
    code, output, _ = anrl("metrics", file, "--threshold", 0.4, "--out", tmp_path / "out")
    rows = table(output)
    assert code == 0 and "nan" not in output and "There is no" in output
    assert exists in rows and not {missing, "AUC", "EER", "HTER", "ACER"} & set(rows)
    stored = json.loads((tmp_path / "out/metrics_x.json").read_text(), parse_constant=pytest.fail)
    assert stored["frame"]["evaluation"]["auc"] is None
    code, _, errors = anrl("metrics", file, "--dev", file)
    assert code == 2 and errors.startswith(f"anrl: {file}: ") and "need samples of both classes" in errors


def test_constant_scores_are_noted(anrl, tmp_path):
    file = write(tmp_path / "x.csv", [(i % 2, 0.5, "") for i in range(10)])
    code, output, _ = anrl("metrics", file, "--dev", file, "--out", tmp_path / "out")
    assert code == 0 and "All scores are equal" in output and "50.00 % [" in table(output)["AUC"][0]


def test_failures_to_acquire_are_counted_and_noted(anrl, tmp_path):
    file = write(
        tmp_path / "x.csv", [(0, 0.1, ""), (0, "", ""), (1, 0.9, ""), (1, 0.2, ""), (1, "", ""), (1, "", "")]
    )
    _, output, _ = anrl("metrics", file, "--threshold", 0.5)
    rows = table(output)
    assert "x: 3 of 6 have no score: failures to acquire" in output
    assert (rows["APNRR"], rows["BPNRR"]) == (["50.0 % (2/4)"], ["50.0 % (1/2)"])
    assert rows["attacks accepted, of all"] == ["25.0 % (1/4)"]
    assert rows["bona fide rejected or failed"] == ["50.0 % (1/2)"]


def test_species_are_grouped_by_patterns(anrl, tmp_path):
    rows = [(0, 0.1, ""), (1, 0.2, "print/a"), (1, 0.9, "print/b"), (1, 0.9, "replay/a"), (1, 0.9, "mask")]
    file = write(tmp_path / "x.csv", rows)
    code, output, _ = anrl(
        "metrics", file, "--threshold", 0.5, "--species", "^print", "--species", "replay|mask"
    )
    cells = table(output)
    assert code == 0
    assert cells["APCER ^print"][0].startswith("50.0 % (1/2)")
    assert cells["APCER replay|mask"][0].startswith("0.0 % (0/2)")
    for pattern, message in (
        ("print", "'mask' matches none of 'print'"),
        ("(", "'(' is no regular expression"),
    ):
        code, _, errors = anrl("metrics", file, "--threshold", 0.5, "--species", pattern)
        assert code == 2 and str(file) in errors and message in errors


def test_folds_have_a_mean_and_a_deviation(anrl, tmp_path):
    draws = np.random.default_rng(0)
    files = []
    for k in range(6):
        label = np.repeat([0, 1], 50)
        rows = zip(label, draws.normal(label * 2, 1), np.where(label, "print", ""), strict=True)
        files.append(write(tmp_path / f"{k}.csv", rows))
    developed = [option for file in files[3:] for option in ("--dev", file)]
    code, output, _ = anrl("multi-metrics", *files[:3], *developed, "--threshold", "bpcer@10%")
    cells = table(output)
    expected = []
    for file, dev in zip(files[:3], files[3:], strict=True):
        _, one, _ = anrl("metrics", file, "--dev", dev, "--threshold", "bpcer@10%")
        expected.append(float(table(one)["HTER"][1].split()[0]))
    mean, _, deviation, _ = cells["HTER"][0].split()
    assert code == 0 and "3 folds, frame level" in output
    assert float(mean) == pytest.approx(np.mean(expected), abs=0.11)
    assert float(deviation) == pytest.approx(np.std(expected, ddof=1), abs=0.2)
    code, _, errors = anrl("multi-metrics", *files[:3], "--dev", files[3])
    assert code == 2 and "give one for each" in errors


def test_names_are_text_whatever_they_hold(anrl, tmp_path):
    rows = [(0, 0.1, ""), *((1, 0.9, name) for name in ("[red]x[/red]", "(worst)", ":smile:", "$a$", "_b"))]
    file = write(tmp_path / "[bold]$f$.csv", rows)
    code, output, _ = anrl("metrics", file, "--threshold", 0.5, "--out", tmp_path / "out")
    rows = table(output)
    assert code == 0 and "[bold]$f$, frame level" in output
    for name in ("[red]x[/red]", "'(worst)'", "(worst)", ":smile:", "$a$", "_b"):
        assert f"APCER {name}" in rows


def test_a_pipe_gets_whole_tables(tmp_path):
    name = "n" * 60
    rows = [(0, 0.1, ""), (1, 0.9, name), (1, 0.2, name)]
    file = write(tmp_path / "x.csv", rows)
    command = [*PROGRAM, "metrics", file, "--threshold", "0.5"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"COLUMNS": "40"})
    at = rates(read_scores(file), 0.5)
    assert f"│ APCER {name} │" in done.stdout and str(at.accepted_by_attack[name]) in done.stdout
    assert "…" not in done.stdout
    # A terminal folds what does not fit.
    primary, secondary = pty.openpty()
    environment = os.environ | {"COLUMNS": "40", "LINES": "25", "TERM": "xterm"}
    with subprocess.Popen(command, stdout=secondary, stderr=secondary, env=environment) as process:
        os.close(secondary)
        shown = b""
        try:
            while part := os.read(primary, 65536):
                shown += part
        except OSError:
            pass
    assert process.returncode == 0 and "…" not in shown.decode() and shown.count(b"n") > 60


def test_a_reader_that_stops_reading_is_no_error(tmp_path):
    command = [*PROGRAM, "metrics", DATA / "perfect.csv", "--threshold", "0.5", "--out", tmp_path / "out"]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert done.stderr == ""
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2 and done.stderr == "anrl: standard output: No space left on device\n"


@pytest.mark.parametrize(
    "options, message",
    [
        (["--out", "{}/x.csv"], "x.csv: File exists"),
        (["--bob", "{}/missing/bob.csv"], "missing/bob.csv: No such file or directory"),
        (["--bob", "{}/x.csv"], "is a file to evaluate and would be overwritten"),
    ],
)
def test_places_that_cannot_be_written_are_named(anrl, tmp_path, options, message):
    file = write(tmp_path / "x.csv", [(0, 0.1, ""), (1, 0.9, "")])
    before = file.read_bytes()
    options = [option.format(tmp_path) for option in options]
    code, _, errors = anrl("metrics", file, "--threshold", 0.5, *options)
    assert code == 2 and message in " ".join(errors.replace("│", "").split()) and file.read_bytes() == before
