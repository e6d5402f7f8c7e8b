"""Consoles and progress bars of the commands."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

# Of the processes that torchrun starts only the first prints; each may report an error.
_IS_FIRST = os.environ.get("RANK", "0") == "0"
console = Console(highlight=False, quiet=not _IS_FIRST)
errors = Console(stderr=True, highlight=False)

Report = Callable[..., None]
_SECONDS_BETWEEN_LINES = 30


@contextmanager
def progress_bar(title: str) -> Iterator[Report]:
    """Show a progress bar on standard error; yields a function of (done, total, message)."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[message]}"),
        console=errors,
        disable=not _IS_FIRST,
    )
    with bar:
        task = bar.add_task(title, total=None, message="")
        last_line = time.monotonic()

        def report(done: int, total: int, message: str = "") -> None:
            nonlocal last_line
            bar.update(task, completed=done, total=total, message=message)
            # A bar that is written to a file shows only when it is done.
            if _IS_FIRST and not errors.is_terminal and time.monotonic() - last_line > _SECONDS_BETWEEN_LINES:
                last_line = time.monotonic()
                errors.print(f"{title}: {done} of {total}  {message}", markup=False)

        yield report
