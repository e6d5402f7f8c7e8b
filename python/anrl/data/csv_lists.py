"""CSV files with a header, in the form of bob's protocols."""

import csv
import difflib
import io
import warnings
from pathlib import Path

from anrl.data.record import Record, make_record, videos_from_folders, warn_of_depth_maps
from anrl.data.text_file import read_text
from anrl.errors import DataError

COLUMNS = ("filename", "subject", "attack_type", "label", "depth", "video")
_SEPARATORS = ",;\t|"


def read_csv(file: str | Path, *, depth_rule: str | None = None) -> list[Record]:
    """Read a CSV file with a header (UTF-8; separated by commas, semicolons, tabs or bars).

    Columns: ``filename``, and any of ``subject``, ``attack_type`` (empty for bona fide samples), ``label``
    (instead of ``attack_type``, or in agreement with it), ``depth``, ``video``. Others are not used. ``-``
    stands for an unknown value: that of ``attack_type`` is an attack of unknown species.

    Args:
        file: The CSV file.
        depth_rule: As of :func:`anrl.data.read_list`.

    Raises:
        DataError: the file is missing, empty or malformed; the message names file and line.
    """
    text = read_text(file)
    header = text.splitlines()[0] if text.strip() else ""
    separator = max(_SEPARATORS, key=header.count)
    # Strict, so that a stray quote is an error and does not swallow lines.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    records, unused = [], 0
    try:
        names = [name.strip().lower() for name in next(reader, [])]
        _check_header(file, names)
        for row in reader:
            if not row:
                continue
            try:
                values = _values(names, row)
                records.append(make_record(values, depth_rule))
            except ValueError as error:
                raise DataError(f"{file}, line {reader.line_num}: {error}") from None
            unused += bool(values.get("depth")) and records[-1].label == 1
    except csv.Error as error:
        raise DataError(f"{file}, line {reader.line_num}: cannot be read as CSV: {error}") from None
    if not records:
        raise DataError(f"{file}: there are no samples")
    warn_of_depth_maps(file, unused)
    return videos_from_folders(records)


def is_csv(file: Path) -> bool:
    """Whether a file is CSV by its name, or by a column ``filename`` in its first line."""
    if file.suffix.lower() == ".csv":
        return True
    lines = read_text(file).splitlines()
    names = [] if not lines else lines[0].lower().split(max(_SEPARATORS, key=lines[0].count))
    return "filename" in [name.strip().strip('"') for name in names] and len(names) > 1


def _check_header(file: str | Path, names: list[str]) -> None:
    repeated = {name for name in names if names.count(name) > 1 and name}
    if "filename" not in names or not {"attack_type", "label"} & set(names) or repeated:
        raise DataError(
            f"{file}: the header must name filename, and attack_type or label, of {', '.join(COLUMNS)}, each "
            f"once; it has {', '.join(names) or 'nothing'}"
        )
    for name in names:
        near = difflib.get_close_matches(name, COLUMNS, 1)
        if name not in COLUMNS and near and near[0] not in names:
            warnings.warn(f"{file}: the column {name} is not used; is it {near[0]}?", stacklevel=3)


def _values(names: list[str], row: list[str]) -> dict[str, str]:
    """Values of a row by the names that :func:`anrl.data.record.make_record` knows."""
    if len(row) != len(names):
        raise ValueError(f"{len(row)} values for {len(names)} columns; put values with separators in quotes")
    given = {name: value.strip() for name, value in zip(names, row, strict=True) if name}
    attack, label = given.get("attack_type", ""), given.get("label")
    if label == "1" and "attack_type" in given and not attack:
        raise ValueError(
            "label 1 (attack) contradicts the empty attack_type, which means bona fide; an unknown species "
            "is written as -"
        )
    if label == "0" and attack == "-":
        raise ValueError("label 0 (bona fide) contradicts the attack_type '-'; leave it empty")
    values = {"path": given["filename"], "label": label or ("1" if attack else "0"), "attack": attack}
    values |= {name: given.get(name, "") for name in ("depth", "subject", "video")}
    return {name: "" if value == "-" else value for name, value in values.items()}
