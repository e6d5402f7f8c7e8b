"""Protocol of the callbacks that hear how long work goes on."""

from typing import Protocol


class Progress(Protocol):
    """Called with the steps that are done and those in all."""

    def __call__(self, done: int, total: int, message: str = "") -> None:
        """Report progress, with a line about the current step."""
