"""Score files: CSV of anrl, and of bob."""

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from anrl.atomic_io import replacing
from anrl.data import Domain
from anrl.errors import DataError
from anrl.evaluation.run_folder import RunFolder
from anrl.metrics.scores import Scores

_HEADER = "# label: 0 = bona fide, 1 = attack; score: higher is more like an attack; nan: failure to acquire"
_COLUMNS = ("domain", "frame", "video", "subject", "label", "attack", "score")
_BOB_COLUMNS = ("claimed_id", "test_label", "is_bonafide", "attack_type", "score")


def write_scores(file: str | Path, parts: Sequence[tuple[Domain, Scores]]) -> None:
    """Write the scores of the frames of some domains as CSV; the file appears when it is complete."""
    rows = (
        (domain.name, r.path, r.video, r.subject, r.label, r.attack, repr(float(score)))
        for domain, scores in parts
        for r, score in zip(domain.records, scores.score, strict=True)
    )
    _write(Path(file), [_HEADER], _COLUMNS, rows)


def read_scores(file: str | Path) -> Scores:
    """Read scores from CSV of anrl or of bob.

    anrl's needs the columns ``label`` and ``score``, and reads ``domain``, ``video``, ``attack`` and
    ``subject``; lines that begin with ``#`` are skipped. bob's (bob.pad.base 6: claimed_id, test_label,
    is_bonafide, attack_type, score) is recognized by ``is_bonafide``; as its scores are higher for bona fide
    samples, their sign is changed. Lines of the same test_label are one video.

    Raises:
        DataError: the file cannot be read, a column is missing or a value is wrong; the message names the
            line.
    """
    file = Path(file)
    try:
        lines = [(n, line) for n, line in enumerate(file.read_text().splitlines(), 1) if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: {error}") from None
    lines = [(n, line) for n, line in lines if not line.startswith("#")]
    if not lines:
        raise DataError(f"{file}: the file has no lines")
    rows = csv.DictReader([line for _, line in lines], skipinitialspace=True)
    columns = rows.fieldnames or ()
    is_bob = "is_bonafide" in columns
    needed = ("is_bonafide", "score") if is_bob else ("label", "score")
    for column in needed:
        if column not in columns:
            raise DataError(
                f"{file}: no column {column!r}; there are {', '.join(map(repr, columns))}. The columns of a "
                f"score file are {', '.join(_COLUMNS)}, those of bob's {', '.join(_BOB_COLUMNS)}"
            )
    label, score, video, attack, subject = [], [], [], [], []
    for (number, _), row in zip(lines[1:], rows, strict=True):
        label.append(_label(row["is_bonafide"] if is_bob else row["label"], is_bob, f"{file}:{number}"))
        score.append(_score(row["score"], f"{file}:{number}"))
        name = row.get("test_label" if is_bob else "video") or row.get("frame") or str(number)
        video.append(f"{row['domain']}/{name}" if row.get("domain") else name)
        attack.append((row.get("attack_type" if is_bob else "attack") or "") if label[-1] else "")
        subject.append(row.get("claimed_id" if is_bob else "subject") or "")
    try:
        scores = Scores(np.array(score), np.array(label), video, attack, subject)
    except ValueError as error:
        raise DataError(f"{file}: {error}") from None
    return scores.flipped() if is_bob else scores


def read_validation_scores(run: str | os.PathLike[str]) -> Scores:
    """Read the scores of a run's best checkpoint on validation frames of the sources.

    Args:
        run: The run's folder.

    Raises:
        DataError: the file cannot be read.
    """
    return read_scores(RunFolder(run).validation_scores)


def write_bob_scores(file: str | Path, scores: Scores) -> None:
    """Write scores as bob's CSV; their sign is changed, as bob's are higher for bona fide samples."""
    rows = (
        (subject, video, str(label == 0), attack, repr(-float(score)))
        for subject, video, label, attack, score in zip(
            scores.subject, scores.video, scores.label, scores.attack, scores.score, strict=True
        )
    )
    _write(Path(file), [], _BOB_COLUMNS, rows)


def _label(text: str | None, is_bob: bool, where: str) -> int:
    known = {"true": 0, "false": 1} if is_bob else {"0": 0, "1": 1}
    value = known.get((text or "").strip().lower())
    if value is None:
        expected = "True (bona fide) or False" if is_bob else "0 (bona fide) or 1 (attack)"
        raise DataError(f"{where}: {text!r} where {expected} should be")
    return value


def _score(text: str | None, where: str) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        raise DataError(f"{where}: {text!r} is no score") from None


def _write(
    file: Path, comments: Sequence[str], columns: Sequence[str], rows: Iterator[Sequence[object]]
) -> None:
    with replacing(file) as partial, open(partial, "w", newline="") as stream:
        stream.writelines(comment + "\n" for comment in comments)
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(rows)
