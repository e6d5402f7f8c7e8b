"""List files: one sample a line, with columns separated by white space or by tabs.

Without a header the columns are those of the official code: path, label and, if there are at least 16, the
five landmarks x1 y1 … x5 y5 in columns 7 to 16. A first line ``# path label …`` names other columns, from
:data:`COLUMNS`; ``_`` skips one, and ``-`` stands for an unknown value. Values with spaces stand in double
quotes.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from anrl.data.csv_lists import is_csv, read_csv
from anrl.data.folders import read_folder
from anrl.data.record import Record, make_record, videos_from_folders, warn_of_depth_maps
from anrl.data.text_file import read_text
from anrl.errors import DataError

COLUMNS = ("path", "label", "depth", "subject", "video", "attack", "landmarks", "_")

_FIELD = re.compile(r'"([^"]*)"(?=\s|$)|(\S+)')
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$")
_IMAGE = re.compile(r"\.(jpe?g|png)$", re.IGNORECASE)
_LANDMARKS = 10
_WITH_LANDMARKS = 16
"""Columns of a line of the official code that has landmarks."""


def read_list(
    file: str | Path, *, columns: Sequence[str] | None = None, depth_rule: str | None = None
) -> list[Record]:
    """Read a list file (UTF-8, with or without byte order mark).

    Args:
        file: The list.
        columns: Names of its columns, if the file does not name them itself. ``landmarks`` stands for ten.
        depth_rule: Where the depth map of a bona fide image lies, from ``{folder}``, ``{stem}`` and
            ``{suffix}`` of its path, for example ``"{folder}/{stem}_depth.jpg"``. A column ``depth`` takes
            precedence.

    Returns:
        The samples in order. Without a column ``video`` the video is the image's folder, unless that is
        called after a class (live, attack, …), has samples of both, or has all samples of its class.

    Raises:
        DataError: the list is missing, empty or malformed; the message names file and line.
    """
    lines = read_text(file).splitlines()
    if lines and lines[0].startswith("#") and columns is None:
        columns = lines[0].removeprefix("#").lower().split()
    if columns is not None:
        unknown = [c for c in columns if c not in COLUMNS]
        repeated = {c for c in columns if c != "_" and columns.count(c) > 1}
        if unknown or repeated or "path" not in columns or "label" not in columns:
            raise DataError(
                f"{file}: columns must include path and label and come from {', '.join(COLUMNS)}, each once; "
                f"got {' '.join(columns)}"
            )
    records, unused = [], 0
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith("#"):
            try:
                values, landmarks = _official(line) if columns is None else _named(line, columns)
                records.append(make_record(values, depth_rule, landmarks))
            except ValueError as error:
                raise DataError(f"{file}, line {number}: {error}") from None
            unused += bool(values.get("depth")) and records[-1].label == 1
    if not records:
        raise DataError(f"{file}: the list has no samples")
    warn_of_depth_maps(file, unused)
    return videos_from_folders(records)


def read_samples(
    source: str | Path,
    *,
    columns: Sequence[str] | None = None,
    depth_rule: str | None = None,
    attack_folders: bool = False,
) -> list[Record]:
    """Read a folder tree, a CSV file, or else a list file.

    Args:
        source: The folder or file. CSV is what is called ``.csv``, or has a column ``filename`` in its first
            line.
        columns: As of :func:`read_list`.
        depth_rule: As of :func:`read_list`.
        attack_folders: As of :func:`read_folder`.

    Raises:
        DataError: see :func:`read_folder`, :func:`read_csv` and :func:`read_list`.
    """
    source = Path(source)
    if source.is_dir():
        return read_folder(source, depth_rule=depth_rule, attack_folders=attack_folders)
    if is_csv(source):
        return read_csv(source, depth_rule=depth_rule)
    return read_list(source, columns=columns, depth_rule=depth_rule)


def read_sources(
    sources: Sequence[str | Path], root: str | Path | None = None, **options: Any
) -> tuple[list[Record], Path]:
    """Read several folders and list files, whose paths are relative to each one's own folder.

    Args:
        sources: The folders and files.
        root: Folder that the paths of all of them are relative to instead.
        options: Of :func:`read_samples`.

    Returns:
        The samples, and the folder that their paths are relative to.

    Raises:
        DataError: see :func:`read_samples`.
    """
    parts = [(Path(source), read_samples(source, **options)) for source in sources]
    roots = [source if source.is_dir() else source.parent for source, _ in parts]
    if root is not None or len(set(roots)) == 1:
        return [record for _, records in parts for record in records], Path(root or roots[0])
    base = Path(os.path.commonpath([folder.resolve() for folder in roots]))
    moved = []
    for folder, (_, records) in zip(roots, parts, strict=True):
        prefix = folder.resolve().relative_to(base)
        for r in records:
            depth = r.depth and (prefix / r.depth).as_posix()
            video = (prefix / r.video).as_posix() if r.video else ""
            moved.append(replace(r, path=(prefix / r.path).as_posix(), depth=depth, video=video))
    return moved, base


def _fields(line: str, expected: int) -> list[str]:
    """Split at tabs if that gives enough fields, else at white space, but not within double quotes."""
    by_tab = [field.strip().strip('"') for field in line.split("\t")]
    if 1 < len(by_tab) >= expected:
        return by_tab
    return [match[1] if match[1] is not None else match[2] for match in _FIELD.finditer(line)]


def _named(line: str, columns: Sequence[str]) -> tuple[dict[str, str], tuple[float, ...] | None]:
    expected = len(columns) + (_LANDMARKS - 1) * ("landmarks" in columns)
    fields, landmarks = _fields(line, expected), None
    if len(fields) > expected and list(columns) == ["path", "label"]:
        fields = [" ".join(line.split()[:-1]), fields[-1]]
    if len(fields) < expected:
        missing = columns[min(len(fields), len(columns) - 1)]
        raise ValueError(f"no value for column {missing!r}; an unknown value is written as -")
    if len(fields) > expected:
        raise ValueError(
            f"{len(fields)} values for {len(columns)} columns ({' '.join(columns)}); put values with spaces "
            "in double quotes"
        )
    values, rest = {}, iter(fields)
    for column in columns:
        if column == "landmarks":
            landmarks = _coordinates([next(rest) for _ in range(_LANDMARKS)])
        else:
            value = next(rest)
            values[column] = "" if value == "-" else value
    return values, landmarks


def _official(line: str) -> tuple[dict[str, str], tuple[float, ...] | None]:
    """Split a line without named columns: path, label, and numbers of which columns 7 to 16 are landmarks."""
    fields = _fields(line, 2)
    if len(fields) < 2:
        raise ValueError("expected a path and a label, with a space between them")
    numbers = len(fields)
    while numbers > 1 and _NUMBER.match(fields[numbers - 1]):
        numbers -= 1
    # Names may have spaces: the label is the first number after the image's suffix, or else the last field.
    ends = [i for i in range(1, len(fields)) if _IMAGE.search(fields[i - 1]) and i >= numbers]
    at = ends[0] if ends else 1 if numbers == 1 else len(fields) - 1
    path = fields[0] if at == 1 else line.rsplit(maxsplit=len(fields) - at)[0].strip().strip('"')
    landmarks = None
    if len(fields) - at >= _WITH_LANDMARKS - 1:
        landmarks = _coordinates(fields[at + 5 : at + 5 + _LANDMARKS])
    return {"path": path, "label": fields[at]}, landmarks


def _coordinates(fields: Sequence[str]) -> tuple[float, ...]:
    try:
        return tuple(map(float, fields))
    except ValueError:
        raise ValueError(f"landmarks must be ten numbers, not {' '.join(fields)}") from None
