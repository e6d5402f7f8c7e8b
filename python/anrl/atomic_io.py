"""Files and folders that are whole whenever they can be seen, and what they are called."""

import fcntl
import glob
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside ``path`` to write to, which takes its place when the block is done.

    If the block fails, what was at ``path`` is still there, and nothing is left beside it.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def building_folder(out: Path) -> Iterator[Path]:
    """Yield a folder beside ``out`` to build in; the block renames it when it is complete.

    If the block fails, it is removed. If the process is killed, the next call for the same ``out`` removes
    it; a lock tells it from the folder of a process that is still building.

    Raises:
        OSError: the folder cannot be made.
    """
    for left in out.parent.glob(glob.escape(f".{out.name}.building-") + "*"):
        descriptor = os.open(left, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left)
        except BlockingIOError:
            pass  # another process is building
        finally:
            os.close(descriptor)
    building = out.with_name(f".{out.name}.building-{os.getpid()}")
    building.mkdir(parents=True)
    lock = os.open(building, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield building
    finally:
        os.close(lock)
        shutil.rmtree(building, ignore_errors=True)


def as_file_name(text: str) -> str:
    """A name, of a domain perhaps, as part of a file's: all but letters, digits, ".", "-" becomes "_"."""
    return re.sub(r"[^\w.-]+", "_", text)
