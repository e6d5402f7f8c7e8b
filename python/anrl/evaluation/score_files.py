"""Score files: CSV of anrl, and of bob."""

import csv
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anrl.atomic_io import replacing
from anrl.data import Domain
from anrl.errors import DataError
from anrl.evaluation.csv_table import Row, read_table
from anrl.evaluation.run_folder import RunFolder
from anrl.metrics.scores import Scores

_HEADER = (
    "# label: 0 = bona fide, 1 = attack; score: higher is more like an attack, empty for a failure to acquire"
)
_COLUMNS = ("domain", "frame", "video", "subject", "label", "attack", "score")
_BOB_COLUMNS = ("claimed_id", "test_label", "is_bonafide", "attack_type", "score")
_LABELS = {"0": 0, "1": 1}
_BOB_LABELS = {"true": 0, "false": 1}
_BONA_FIDE = ("bonafide", "real", "live", "genuine")
_NOTHING = ("none", "nan", "null", "n/a")


@dataclass(frozen=True)
class ScoreFile:
    """What a score file holds, and how it was read."""

    scores: Scores
    """Higher for attacks."""
    is_bob: bool
    """Whether the file is bob's: its scores are higher for bona fide samples, and their sign was changed."""
    grouping: str
    """How samples were grouped to videos, for people: "120 frames in 40 videos by video and subject"."""
    unread: list[str]
    """Names of the columns that have no meaning here."""


def write_scores(file: str | Path, parts: Sequence[tuple[Domain, Scores]]) -> None:
    """Write the scores of the frames of some domains as CSV; the file appears when it is complete."""
    rows = (
        (domain.name, r.path, r.video, r.subject, r.label, r.attack, _text(score))
        for domain, scores in parts
        for r, score in zip(domain.records, scores.score, strict=True)
    )
    _write(Path(file), [_HEADER], _COLUMNS, rows)


def read_scores(file: str | Path) -> Scores:
    """Read scores from CSV of anrl or of bob; see :func:`read_score_file`."""
    return read_score_file(file).scores


def read_score_file(file: str | Path) -> ScoreFile:
    """Read a score file, CSV of anrl or of bob.

    anrl's needs the columns ``label`` and ``score``, and reads ``domain``, ``video`` (or ``video_key``),
    ``attack`` (or ``attack_type``), ``subject`` and ``frame`` (or ``filename``, ``path``); an empty score is
    a failure to acquire. bob's (bob.pad.base 6: claimed_id,
    test_label, is_bonafide, attack_type, score) is recognized by ``is_bonafide``; as its scores are higher
    for bona fide samples, their sign is changed; an empty score, or nan, is a failure to acquire.

    Frames are grouped to videos by ``video`` and ``subject``, in bob's files by ``video_key`` and
    ``claimed_id``; a line that names no video is judged by itself.

    Raises:
        DataError: the file cannot be read, a column is missing, or a value is wrong or contradicts another;
            the message names the line.
    """
    file = Path(file)
    columns, rows = read_table(file)
    is_bob = "is_bonafide" in columns
    for column in ("is_bonafide" if is_bob else "label", "score"):
        if column not in columns:
            raise DataError(
                f"{file}: no column {column!r}; there are {', '.join(map(repr, columns))}. The columns of a "
                f"score file are {', '.join(_COLUMNS)}, those of bob's {', '.join(_BOB_COLUMNS)}"
            )
    names = {
        use: next((name for name in known if name in columns), known[0])
        for use, known in (_BOB_NAMES if is_bob else _NAMES).items()
    }
    read = {*names.values(), "score", "is_bonafide" if is_bob else "label", "domain", "frame_id"}
    label = [_label(row, is_bob) for row in rows]
    score = [_score(row, is_bob) for row in rows]
    attack = [_attack(row, names["attack"], value) for row, value in zip(rows, label, strict=True)]
    video, subject, sample = (
        [row.get(names[name], "") for row in rows] for name in ("video", "subject", "sample")
    )
    if "domain" in columns:
        video = [f"{row['domain']}/{name}" if name else "" for row, name in zip(rows, video, strict=True)]
    try:
        scores = Scores(np.array(score), np.array(label), video, attack, subject, sample)
    except ValueError as error:
        raise DataError(f"{file}: {error}") from None
    return ScoreFile(
        scores.flipped() if is_bob else scores,
        is_bob,
        _grouping(scores, names["video"], names["subject"]),
        [name for name in columns if name not in read],
    )


_NAMES = {
    "video": ("video", "video_key"),
    "subject": ("subject",),
    "sample": ("frame", "filename", "path"),
    "attack": ("attack", "attack_type"),
}
_BOB_NAMES = {
    "video": ("video_key",),
    "subject": ("claimed_id",),
    "sample": ("test_label",),
    "attack": ("attack_type",),
}


def read_validation_scores(run: str | os.PathLike[str]) -> Scores:
    """Read the scores of a run's best checkpoint on validation frames of the sources.

    Args:
        run: The run's folder.

    Raises:
        DataError: the file cannot be read.
    """
    return read_scores(RunFolder(run).validation_scores)


def write_bob_scores(file: str | Path, scores: Scores) -> None:
    """Write scores as bob's CSV; their sign is changed, as bob's are higher for bona fide samples.

    If videos are known, a column ``video_key`` names them, as in bob's files of frames.
    """
    columns = _BOB_COLUMNS + (("video_key",) if scores.has_videos else ())
    number = Counter[tuple[str, str]]()
    rows: list[list[str]] = []
    for subject, video, sample, label, attack, score in zip(
        scores.subject, scores.video, scores.sample, scores.label, scores.attack, scores.score, strict=True
    ):
        name = sample
        if not name:
            name = f"{video}_{number[subject, video]}" if video else str(len(rows))
            number[subject, video] += 1
        row = [subject, name, str(label == 0), attack, _text(-score)]
        rows.append([*row, video] if scores.has_videos else row)
    _write(Path(file), [], columns, iter(rows))


def _grouping(scores: Scores, video: str, subject: str) -> str:
    total = len(scores)
    if not scores.has_videos:
        return f"{total} lines, each judged by itself: none names a video ({video})"
    videos, alone = len(set(scores.videos.tolist())), sum(not name for name in scores.video)
    by = f"{video} and {subject}" if any(scores.subject) else video
    text = f"{total} frames in {videos} videos by {by}"
    return text + (f"; {alone} name no video and are judged by themselves" if alone else "")


def _label(row: Row, is_bob: bool) -> int:
    text = row["is_bonafide" if is_bob else "label"]
    value = (_BOB_LABELS if is_bob else _LABELS).get(text.lower())
    if value is None:
        expected = "True (bona fide) or False" if is_bob else "0 (bona fide) or 1 (attack)"
        raise DataError(f"{row.where}: {text!r} where {expected} should be")
    return value


def _attack(row: Row, column: str, label: int) -> str:
    """The attack species of a row, which must go with its label."""
    text = row.get(column, "")
    plain = re.sub("[-_ ]", "", text.lower())
    if label == 0:
        if text and plain not in (*_BONA_FIDE, *_NOTHING):
            raise DataError(
                f"{row.where}: the sample is bona fide, and its {column} is {text!r}; which of them is right?"
            )
        return ""
    if plain in _BONA_FIDE:
        raise DataError(
            f"{row.where}: the sample is an attack, and its {column} is {text!r}; which is right?"
        )
    if plain in _NOTHING:
        raise DataError(f"{row.where}: {column} is {text!r}; leave it empty if the species is unknown")
    return text


def _score(row: Row, is_bob: bool) -> float:
    text = row["score"]
    if not text or (is_bob and text.lower() == "nan"):
        return float("nan")
    try:
        value = float(text) if "_" not in text else None
    except ValueError:
        value = None
    if value is None:
        raise DataError(f"{row.where}: {text!r} is no score")
    if np.isnan(value):
        raise DataError(f"{row.where}: the score is {text!r}; leave it empty if nothing was acquired")
    if np.isinf(value):
        raise DataError(f"{row.where}: the score {text!r} is not finite")
    return value


def _text(score: float) -> str:
    return "" if np.isnan(score) else repr(float(score))


def _write(
    file: Path, comments: Sequence[str], columns: Sequence[str], rows: Iterator[Sequence[object]]
) -> None:
    try:
        with replacing(file) as partial, open(partial, "w", newline="", encoding="utf-8") as stream:
            stream.writelines(comment + "\n" for comment in comments)
            writer = csv.writer(stream)
            writer.writerow(columns)
            writer.writerows(rows)
    except OSError as error:
        raise DataError(f"{file}: {error.strerror or error}") from None
