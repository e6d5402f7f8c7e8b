"""List files: one sample a line, columns separated by white space.

Without a header the columns are the official code's: path, label and, if there are at least 16, the five
landmarks x1 y1 … x5 y5 in columns 7 to 16. A first line ``# path label …`` names other columns, from
:data:`COLUMNS`; ``_`` skips one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from anrl._anrl import DataError

COLUMNS = ("path", "label", "depth", "subject", "video", "attack", "landmarks", "_")

_LABELS = {"0": 0, "1": 1}


@dataclass(frozen=True)
class Record:
    """One sample: which file it is and what is known of it."""

    path: str
    """Path of the image relative to the list's root; also the key in the pack."""
    label: int
    """0 = bona fide, 1 = attack."""
    depth: str | None = None
    """Path of the depth map; None where depth is zero (attacks) or unknown."""
    subject: str = ""
    """Whose face it is; empty if unknown."""
    video: str = ""
    """Which video the frame belongs to; scores are averaged over it."""
    attack: str = ""
    """Attack species (print, replay, …); empty for bona fide samples or if unknown."""
    landmarks: tuple[float, ...] | None = field(default=None)
    """x1 y1 … x5 y5 in pixels."""


def read_list(
    file: str | Path, *, columns: Sequence[str] | None = None, depth_rule: str | None = None
) -> list[Record]:
    """Reads a list file.

    Args:
        file: The list.
        columns: Names of its columns, if the file does not name them itself. ``landmarks`` stands for ten.
        depth_rule: Where the depth map of a bona fide image lies, from ``{folder}``, ``{stem}`` and
            ``{suffix}`` of its path, for example ``"{folder}/{stem}_depth.jpg"``. A column ``depth`` wins.

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
