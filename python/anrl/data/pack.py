"""Writing packs: the files' own bytes under their paths, and an index under a reserved key."""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path

from anrl import _anrl
from anrl._anrl import DataError
from anrl.data.ahead import run_ahead
from anrl.data.lists import Record

INDEX_KEY = "__anrl__/index"
INDEX_VERSION = 1


def pack(
    out: str | Path,
    records: Sequence[Record],
    *,
    root: str | Path = ".",
    name: str | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Writes an LMDB pack of one domain.

    Every image is decoded once to be sure that it is whole. The pack is built beside ``out`` and renamed
    when complete, so whatever happens nothing half-written is left at ``out``.

    Args:
        out: The folder to create.
        records: The samples, from :func:`anrl.data.read_list`.
        root: The folder that the records' paths are relative to.
        name: Name of the domain; by default the name of ``out``.
        overwrite: Whether to replace an existing pack.
        progress: Called with (files done, files in all).

    Raises:
        DataError: no samples, one class only, a missing or damaged file, a sample listed twice, a path too
            long for a key, a full disk, or ``out`` exists.
    """
    out, root = Path(out), Path(root)
    check_classes(records, str(out))
    if out.exists() and not overwrite:
        raise DataError(f"{out}: exists already; choose another path or allow to overwrite it")
    files = _files(records)
    building = out.parent / f".{out.name}.building-{os.getpid()}"
    try:
        building.mkdir(parents=True)
        # A value takes whole pages, and every entry space in the tree: a generous bound, on a sparse file.
        sizes = sum(_size(root, path) for path in files)
        writer = _anrl.PackWriter(str(building), sizes + 3 * 4096 * len(files) + (64 << 20))
        ordered = sorted(files)
        contents = run_ahead(
            lambda path: _read(root, path, gray=files[path]), ordered, threads=os.cpu_count() or 1, ahead=64
        )
        for done, (path, content) in enumerate(zip(ordered, contents, strict=True), 1):
            writer.put(path, content)
            if progress is not None:
                progress(done, len(files))
        writer.put(INDEX_KEY, encode_index(records, name or out.name))
        writer.finish()
        if out.exists():
            _remove(out)
        building.rename(out)
    except OSError as error:
        raise DataError(f"{error.filename or out}: {error.strerror or error}") from None
    finally:
        shutil.rmtree(building, ignore_errors=True)


def check_classes(records: Sequence[Record], where: str) -> None:
    """Refuses lists without samples or with one class only."""
    found = {r.label for r in records}
    if not records:
        raise DataError(f"{where}: there are no samples")
    if len(found) < 2:
        has, lacks = ("bona fide", "attacks") if found == {0} else ("attack", "bona fide samples")
        raise DataError(f"{where}: all {len(records)} samples are {has}; add the list with the {lacks}")


def encode_index(records: Sequence[Record], name: str) -> bytes:
    """The index as stored in a pack: JSON, one array per field."""
    columns = {f.name: [getattr(r, f.name) for r in records] for f in fields(Record)}
    return json.dumps({"version": INDEX_VERSION, "name": name, "samples": columns}).encode()


def decode_index(index: bytes, where: str) -> tuple[str, list[Record]]:
    """The inverse of :func:`encode_index`: the domain's name and its samples.

    Raises:
        DataError: the index is of another version or damaged.
    """
    try:
        content = json.loads(index)
        if content["version"] != INDEX_VERSION:
            raise DataError(
                f"{where}: its index has version {content['version']} and this anrl reads {INDEX_VERSION}; "
                "pack the files again"
            )
        columns = content["samples"]
        columns["landmarks"] = [tuple(marks) if marks else None for marks in columns["landmarks"]]
        names = [f.name for f in fields(Record)]
        rows = zip(*(columns[n] for n in names), strict=True)
        return content["name"], [Record(**dict(zip(names, row, strict=True))) for row in rows]
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(f"{where}: its index is damaged ({error!r}); pack the files again") from None


def _files(records: Sequence[Record]) -> dict[str, bool]:
    """Every file to store, and whether it is a depth map."""
    files: dict[str, bool] = {}
    for record in records:
        for path, is_depth in ((record.path, False), (record.depth, True)):
            if path is None:
                continue
            if path in files and not is_depth:
                raise DataError(f"{path}: is listed twice")
            if len(path.encode()) > _anrl.MAX_KEY:
                raise DataError(f"{path}: longer than the {_anrl.MAX_KEY} bytes that a key may have")
            files[path] = is_depth
    return files


def _size(root: Path, path: str) -> int:
    try:
        return (root / path).stat().st_size
    except FileNotFoundError:
        raise DataError(
            f"{root / path}: is listed but does not exist (paths are relative to {root})"
        ) from None


def _read(root: Path, path: str, gray: bool) -> bytes:
    content = (root / path).read_bytes()
    try:
        _anrl.decode(content, gray)
    except DataError as error:
        raise DataError(f"{root / path}: {error}") from None
    return content


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
