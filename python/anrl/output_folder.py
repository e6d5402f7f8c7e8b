"""Folders that commands write to: nothing foreign is overwritten, and one process at a time writes."""

import fcntl
import os
import socket
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from anrl.errors import ConfigError, DataError

_OWN = ".anrl-files"
_LOCK = ".anrl-lock"


@contextmanager
def writing(place: str | os.PathLike[str]) -> Iterator[None]:
    """Turn errors of the file system in the block into a DataError that names the file.

    Args:
        place: What is written, for errors that name no file.
    """
    try:
        yield
    except BrokenPipeError:  # whoever reads what is printed has read enough
        raise
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        path = str(error.filename2 or error.filename or place)
        raise DataError(
            f"cannot be written ({reason}); choose another place or make room", path=path
        ) from None


def claim(folder: str | os.PathLike[str], names: Iterable[str]) -> None:
    """Make a folder, and note the files that are about to be written there as anrl's own.

    Args:
        folder: The folder.
        names: The files, relative to it.

    Raises:
        DataError: a file of these is there that was not noted before, so somebody else's; or the folder
            cannot be made or written to.
    """
    folder, names = Path(folder), list(names)
    note = folder / _OWN
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        own = set(note.read_text().splitlines()) if note.exists() else set()
        for name in names:
            if name not in own and os.path.lexists(folder / name):
                raise DataError(
                    "is there already, and was not written here by anrl, so it is not overwritten; choose "
                    "another place, or move it away",
                    path=str(folder / name),
                )
        if not own.issuperset(names):
            note.write_text("".join(f"{name}\n" for name in sorted(own.union(names))))


def claim_file(file: str | os.PathLike[str]) -> None:
    """Note a file that is about to be written as :func:`claim` does those of a folder."""
    file = Path(file)
    claim(file.parent, [file.name])


def refuse_inputs(place: str | os.PathLike[str], read: Iterable[str | os.PathLike[str]]) -> None:
    """Refuse to write to what is read.

    Args:
        place: The file or folder to be written to.
        read: Packs, lists, checkpoints.

    Raises:
        DataError: the place is one of these or lies in one.
    """
    resolved = Path(place).resolve()
    for source in read:
        if Path(source).resolve() in (resolved, *resolved.parents):
            raise DataError(
                f"cannot be written to, because {source} is read; choose another", path=str(place)
            )


@contextmanager
def locked(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Make a folder and keep it for this process during the block, or until the process ends in any way.

    Raises:
        ConfigError: another process keeps it.
        DataError: the folder cannot be made or written to.
    """
    folder = Path(folder)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "another process"
            raise ConfigError(
                f"{holder} is writing to {folder} at this moment; wait for it, or choose another folder"
            ) from None
        except OSError as error:
            warnings.warn(
                f"{folder} cannot be locked ({error.strerror}); make sure that nothing else writes to it",
                stacklevel=3,
            )
        else:
            with writing(folder / _LOCK):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
