"""Finding damage in a pack."""

import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from anrl import _anrl
from anrl.data.ahead import run_ahead
from anrl.data.domain import Domain
from anrl.data.pack import INDEX_KEY
from anrl.data.records import Contents, Records, decode_index
from anrl.errors import DataError


def verify(
    path: str | Path,
    lists: Sequence[str | Path] = (),
    *,
    columns: Sequence[str] | None = None,
    depth_rule: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """Reads all of a pack: its structure, every sample's checksum, and every image to its last byte.

    Args:
        path: The pack.
        lists: List files, for a pack without an index; checksums are then not known.
        columns: See :func:`anrl.data.read_list`.
        depth_rule: See :func:`anrl.data.read_list`.
        progress: Called with (samples done, samples in all).

    Returns:
        One sentence for each thing that is wrong.

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

    found = run_ahead(check, range(len(records)), threads=os.cpu_count() or 1, ahead=64)
    for done, more in enumerate(found, 1):
        problems += more
        if progress is not None:
            progress(done, len(records))
    return problems


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
                _anrl.decode_image(content, is_depth)
            except DataError as error:
                yield f"{key}: {error}"
