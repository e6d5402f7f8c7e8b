"""The folder of a pack: built beside its place, renamed when complete, never in place of anything else."""

import contextlib
import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from anrl import _anrl
from anrl.atomic_io import building_folder
from anrl.data.records import INDEX_KEY
from anrl.errors import DataError

_FILES = {"data.mdb", "lock.mdb"}


@contextmanager
def replacing_pack(out: Path, overwrite: bool) -> Iterator[Path]:
    """Yield a folder to build a pack in, which takes the place of ``out`` when the block is done.

    If the block fails, what was at ``out`` is still there and nothing is left beside it. If the process is
    killed, the next call for the same ``out`` removes what is left.

    Raises:
        DataError: ``out`` exists and is no pack, or is not to be replaced, or cannot be written.
    """
    out = Path(os.path.realpath(out))
    old = out.with_name(f".{out.name}.old-{os.getpid()}")
    try:
        _bring_back(out)
        _check(out, overwrite)
        with building_folder(out) as building:
            yield building
            if out.exists():
                out.rename(old)
            building.rename(out)
    except OSError as error:
        raise DataError(f"{out}: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):
            if old.exists() and not out.exists():
                old.rename(out)
            _remove(old)


def _check(out: Path, overwrite: bool) -> None:
    if not os.path.lexists(out):
        return
    if (out.is_dir() and set(os.listdir(out)) - _FILES) or not _is_pack(out):
        raise DataError(
            f"{out}: exists and is no pack of anrl's, so it is never replaced; choose another path"
        )
    if not overwrite:
        raise DataError(f"{out}: exists already; choose another path or allow to overwrite it")


def _is_pack(path: Path) -> bool:
    try:
        return _anrl.Pack(str(path)).get(INDEX_KEY) is not None
    except DataError:
        return False


def _bring_back(out: Path) -> None:
    """Bring back the pack that a killed run had moved away, or remove it if the run had replaced it."""
    for old in out.parent.glob(glob.escape(f".{out.name}.old-") + "*"):
        if out.exists():
            _remove(old)
        else:
            old.rename(out)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
