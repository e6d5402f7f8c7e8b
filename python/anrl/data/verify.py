"""Verification of packs: structure, checksums and images."""

import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from anrl import _anrl
from anrl.data.ahead import run_ahead
from anrl.data.decode import decode_image
from anrl.data.domain import Domain
from anrl.data.records import INDEX_KEY, Contents, Records, decode_index
from anrl.errors import DataError


def verify(
    path: str | Path,
    lists: Sequence[str | Path] = (),
    *,
    columns: Sequence[str] | None = None,
    depth_rule: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """Read all of a pack: its structure, every sample's checksum, and every image to its last byte.

    Args:
        path: The pack.
        lists: List files, for a pack without an index; checksums are then not known.
        columns: See :func:`anrl.data.read_list`.
        depth_rule: See :func:`anrl.data.read_list`.
        progress: Called with the number of samples done and their total.

    Returns:
        One sentence for each problem; none if the pack is whole.

    Raises:
        DataError: there is no pack, or neither an index nor lists.
    """
    store = _anrl.Pack(str(path))
    index = store.get(INDEX_KEY)
    contents: Contents | None = None
    if lists or index is None:
        records = Domain.open(path, lists, columns=columns, depth_rule=depth_rule).records
    else:
        _, records, contents = decode_index(index, str(path))
    named = {name for record in records for name in (record.path, record.depth) if name}
    problems = [f"{key}: is in the pack but in no list" for key, _ in store.keys() if key not in named]

    def check(row: int) -> list[str]:
        return list(_check(store, records, contents, row))

    by_sample = run_ahead(check, range(len(records)), num_threads=os.cpu_count() or 1, ahead=64)
    for done, sample_problems in enumerate(by_sample, 1):
        problems += sample_problems
        if progress is not None:
            progress(done, len(records))
    return problems


def pack_entries(path: str | Path) -> dict[str, int]:
    """List the keys of a pack, without that of its index, and the sizes of their values in bytes.

    Raises:
        DataError: there is no pack, or its structure is damaged.
    """
    return dict(_anrl.Pack(str(path)).keys())


def has_index(path: str | Path) -> bool:
    """Whether a pack has an index; those of the official layout have none.

    Raises:
        DataError: there is no pack, or its structure is damaged.
    """
    return _anrl.Pack(str(path)).get(INDEX_KEY) is not None


def _check(store: _anrl.Pack, records: Records, contents: Contents | None, row: int) -> Iterator[str]:
    record = records[row]
    parts = [(record.path, False, contents.checksum[row] if contents else None)]
    if record.depth:
        parts.append((record.depth, True, contents.depth_checksum[row] if contents else None))
    for key, is_depth, checksum in parts:
        content = store.get(key)
        if content is None:
            yield f"{key}: is missing"
        elif checksum is not None and zlib.crc32(content) != checksum:
            yield f"{key}: is not what was packed (another checksum)"
        else:
            try:
                decode_image(content, gray=is_depth)
            except DataError as error:
                yield f"{key}: {error}"
