"""Files that are whole whenever they can be seen, and what they are called."""

import re
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


def as_file_name(text: str) -> str:
    """A name, of a domain perhaps, as part of a file's: all but letters, digits, ".", "-" becomes "_"."""
    return re.sub(r"[^\w.-]+", "_", text)
