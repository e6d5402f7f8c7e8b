"""Progress of long operations."""

from typing import Protocol


class Progress(Protocol):
    """A callback that a long operation tells how far it is."""

    def __call__(self, done: int, total: int, message: str = "") -> None:
        """Take the units of work done, their total, and a line about the current one."""
