"""Consoles and progress bars of the commands."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

# Of the processes that torchrun starts only the first prints; each may report an error.
_IS_FIRST = os.environ.get("RANK", "0") == "0"
# Names of files and species are text, not markup, and a pipe gets whole tables, however wide.
_UNLIMITED = 100_000
console = Console(
    highlight=False,
    markup=False,
    emoji=False,
    quiet=not _IS_FIRST,
    width=None if sys.stdout.isatty() else _UNLIMITED,
)
errors = Console(stderr=True, highlight=False, markup=False, emoji=False)

Report = Callable[..., None]
_SECONDS_BETWEEN_LINES = 30
_TIME_AND_SPACES = 14


def drop_output() -> None:
    """Write what is left of standard output to nowhere, after writing to it has failed."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def progress_bar(title: str) -> Iterator[Report]:
    """Show a progress bar on standard error; yields a function of (done, total, message).

    In a narrow terminal the bar and the message are cut, so that count and time left stay.
    """
    bar_width = 40 if errors.width >= 100 else 10
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[message]}", markup=False),
        console=errors,
        disable=not _IS_FIRST,
    )
    with bar:
        task = bar.add_task(title, total=None, message="")
        last_line = time.monotonic()

        def report(done: int, total: int, message: str = "") -> None:
            nonlocal last_line
            room = errors.width - len(title) - bar_width - 2 * len(str(total)) - _TIME_AND_SPACES
            shown = message if len(message) <= room else message[: max(0, room - 1)]
            bar.update(task, completed=done, total=total, message=shown)
            # A bar that is written to a file shows only when it is done.
            if _IS_FIRST and not errors.is_terminal and time.monotonic() - last_line > _SECONDS_BETWEEN_LINES:
                last_line = time.monotonic()
                errors.print(f"{title}: {done} of {total}  {message}")

        yield report
