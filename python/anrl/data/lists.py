"""Lists of samples: list files, CSV files, folders.

A list file has one sample a line, with columns separated by white space. Without a header the columns are
those of the official code: path, label and, if there are at least 16, the five landmarks x1 y1 … x5 y5 in
columns 7 to 16. A first line ``# path label …`` names other columns, from :data:`COLUMNS`; ``_`` skips one.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from anrl.errors import DataError

COLUMNS = ("path", "label", "depth", "subject", "video", "attack", "landmarks", "_")

_LABELS = {"0": 0, "1": 1}

_CSV_COLUMNS = ("filename", "subject", "attack_type", "label", "depth", "video")

# Names of the classes' folders in public data sets, in lower case without - and _.
_FOLDERS = {
    0: ("live", "real", "bonafide", "genuine", "client"),
    1: ("attack", "attacks", "spoof", "fake", "imposter", "impostor", "print", "replay", "mask"),
}
_IMAGES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class Record:
    """Metadata of one sample: file, label, subject, video and attack species."""

    path: str
    """Path of the image relative to the list's root; also the key in the pack."""
    label: int
    """0 = bona fide, 1 = attack."""
    depth: str | None = None
    """Path of the depth map; None where depth is zero (attacks) or unknown."""
    subject: str = ""
    """Identity of the person; empty if unknown."""
    video: str = ""
    """Video of the frame; scores are averaged over it."""
    attack: str = ""
    """Attack species (print, replay, …); empty for bona fide samples or if unknown."""
    landmarks: tuple[float, ...] | None = field(default=None)
    """x1 y1 … x5 y5 in pixels."""


def read_list(
    file: str | Path, *, columns: Sequence[str] | None = None, depth_rule: str | None = None
) -> list[Record]:
    """Read a list file.

    Args:
        file: The list.
        columns: Names of its columns, if the file does not name them itself. ``landmarks`` stands for ten.
        depth_rule: Where the depth map of a bona fide image lies, from ``{folder}``, ``{stem}`` and
            ``{suffix}`` of its path, for example ``"{folder}/{stem}_depth.jpg"``. A column ``depth`` takes
            precedence.

    Returns:
        The samples in order. Without a column ``video`` the video is the image's folder.

    Raises:
        DataError: the list is missing, empty or malformed; the message names file and line.
    """
    try:
        lines = Path(file).read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read as a list: {error}") from None
    if lines and lines[0].startswith("#") and columns is None:
        columns = lines[0].removeprefix("#").split()
    if columns is not None:
        unknown = [c for c in columns if c not in COLUMNS]
        if unknown or "path" not in columns or "label" not in columns:
            raise DataError(
                f"{file}: columns must include path and label and come from {', '.join(COLUMNS)}; "
                f"got {' '.join(columns)}"
            )
    records = []
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith("#"):
            try:
                records.append(_parse(line.split(), columns, depth_rule))
            except (ValueError, IndexError, KeyError) as error:
                raise DataError(f"{file}, line {number}: {error}") from None
    if not records:
        raise DataError(f"{file}: the list has no samples")
    return records


def read_csv(file: str | Path, *, depth_rule: str | None = None) -> list[Record]:
    """Read a CSV file with a header, in the form of bob's protocols.

    Columns: ``filename``, and any of ``subject``, ``attack_type`` (empty for bona fide samples), ``label``
    (instead of ``attack_type``), ``depth``, ``video``. Others are ignored.

    Args:
        file: The CSV file.
        depth_rule: As of :func:`read_list`.

    Raises:
        DataError: the file is missing, empty or malformed; the message names file and line.
    """
    records = []
    try:
        with open(file, newline="") as stream:
            reader = csv.DictReader(stream)
            names = [name for name in reader.fieldnames or () if name in _CSV_COLUMNS]
            if "filename" not in names or not {"attack_type", "label"} & set(names):
                raise DataError(
                    f"{file}: the header must name filename, and attack_type or label, of "
                    f"{', '.join(_CSV_COLUMNS)}; it has {', '.join(reader.fieldnames or ['nothing'])}"
                )
            for row in reader:
                values = {name: (row[name] or "").strip() for name in names}
                attack = values.get("attack_type", "")
                label = values.get("label") or ("1" if attack else "0")
                columns = {"path": values["filename"], "label": label, "attack": attack}
                columns |= {name: values.get(name, "") for name in ("depth", "subject", "video")}
                try:
                    records.append(_parse([v or "-" for v in columns.values()], list(columns), depth_rule))
                except (ValueError, IndexError, KeyError) as error:
                    raise DataError(f"{file}, line {reader.line_num}: {error}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file}: cannot be read as CSV: {error}") from None
    if not records:
        raise DataError(f"{file}: there are no samples")
    return records


def read_folder(folder: str | Path, *, depth_rule: str | None = None) -> list[Record]:
    """List the images (JPEG, PNG) of a folder tree whose folders are named after the classes.

    A folder called live, real, bonafide, genuine or client has bona fide samples; one called attack, spoof,
    fake, imposter, print, replay or mask has attacks, and the folder below it, if there is one above the
    images', names the species. The video is the folder that an image lies in.

    Args:
        folder: The tree; paths are relative to it.
        depth_rule: As of :func:`read_list`; the maps it names are not taken for samples.

    Raises:
        DataError: there are no images, or one lies in no such folder, or in folders of both classes.
    """
    folder = Path(folder)
    images = sorted(p.relative_to(folder) for p in folder.rglob("*") if p.suffix.lower() in _IMAGES)
    records, depths = [], set()
    for path in images:
        known = [name.lower().replace("-", "").replace("_", "") for name in path.parts[:-1]]
        places = {label: [i for i, part in enumerate(known) if part in _FOLDERS[label]] for label in (0, 1)}
        if bool(places[0]) == bool(places[1]):
            raise DataError(
                f"{folder / path}: cannot tell what it is; one of the folders above it must be called "
                f"{', '.join(_FOLDERS[0])} (bona fide), or {', '.join(_FOLDERS[1])} (attack)"
            )
        label = 1 if places[1] else 0
        attack = "-"
        if label:
            first = places[1][0]
            general = known[first] not in ("print", "replay", "mask")
            attack = path.parts[first + 1] if general and len(known) > first + 1 else path.parts[first]
        values = [path.as_posix(), str(label), attack, path.parent.as_posix()]
        record = _parse(values, ["path", "label", "attack", "video"], depth_rule)
        if record.depth and (folder / record.depth).is_file():
            depths.add(record.depth)
        elif record.depth:
            record = replace(record, depth=None)
        records.append(record)
    records = [record for record in records if record.path not in depths]
    if not records:
        raise DataError(f"{folder}: there are no JPEG or PNG images in it")
    return records


def read_samples(
    source: str | Path, *, columns: Sequence[str] | None = None, depth_rule: str | None = None
) -> list[Record]:
    """Read a folder tree, a ``.csv`` file, or else a list file.

    Raises:
        DataError: see :func:`read_folder`, :func:`read_csv` and :func:`read_list`.
    """
    source = Path(source)
    if source.is_dir():
        return read_folder(source, depth_rule=depth_rule)
    if source.suffix.lower() == ".csv":
        return read_csv(source, depth_rule=depth_rule)
    return read_list(source, columns=columns, depth_rule=depth_rule)


def _parse(fields: list[str], columns: Sequence[str] | None, depth_rule: str | None) -> Record:
    landmarks: tuple[float, ...] | None = None
    if columns is None:
        if len(fields) < 2:
            raise ValueError("expected a path and a label")
        if len(fields) >= 16:
            landmarks = tuple(map(float, fields[6:16]))
        values = {"path": fields[0], "label": fields[1]}
    else:
        values = {}
        rest = iter(fields)
        for column in columns:
            if column == "landmarks":
                landmarks = tuple(float(next(rest, "missing")) for _ in range(10))
            else:
                value = next(rest, None)
                if value is None:
                    raise ValueError(f"no value for column {column!r}")
                values[column] = "" if value == "-" else value
    if values["label"] not in _LABELS:
        raise ValueError(f"label must be 0 (bona fide) or 1 (attack), not {values['label']!r}")
    label = _LABELS[values["label"]]
    path = PurePosixPath(values["path"])
    depth = values.get("depth") or None
    if depth is None and depth_rule is not None and label == 0:
        try:
            depth = depth_rule.format(folder=path.parent, stem=path.stem, suffix=path.suffix)
        except (KeyError, IndexError):
            raise ValueError(
                f"the depth rule {depth_rule!r} may only name {{folder}}, {{stem}} and {{suffix}}"
            ) from None
    return Record(
        path=values["path"],
        label=label,
        depth=depth if label == 0 else None,
        subject=values.get("subject", ""),
        video=values.get("video") or str(path.parent),
        attack=values.get("attack", "") if label == 1 else "",
        landmarks=landmarks,
    )
