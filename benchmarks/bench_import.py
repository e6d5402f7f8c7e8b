"""Process times of imports and help texts, beside ``import torch``: ``python benchmarks/bench_import.py``.

Each command runs in its own process, in turns, and medians are compared. Goals: help at most 0.25, ``import
anrl`` at most 1.25. Option: ``--rounds N``.
"""

import argparse
import statistics
import subprocess
import sys
import time

import typer
from rich.console import Console
from rich.table import Table

from anrl.cli import app

HELP_GOAL, IMPORT_GOAL = 0.25, 1.25
BASELINE = "import torch"


def commands() -> dict[str, tuple[list[str], float | None]]:
    """The arguments of each process after ``python``, and the goal of its ratio."""
    anrl = ["-m", "anrl"]
    imports = {code: (["-c", code], None) for code in (BASELINE, "import anrl.nn, anrl.training")}
    imports["import anrl"] = ["-c", "import anrl"], IMPORT_GOAL
    names = typer.main.get_group(app).commands
    arguments = ["--help", "--version", *(f"{name} --help" for name in names)]
    return imports | {f"anrl {text}": ([*anrl, *text.split()], HELP_GOAL) for text in arguments}


def seconds(arguments: list[str]) -> float:
    """Wall-clock time of one process."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Measure and print the table; exit with 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    processes = commands()
    times: dict[str, list[float]] = {name: [] for name in processes}
    for round_number in range(rounds + 1):
        for name, (arguments, _) in processes.items():
            elapsed = seconds(arguments)
            if round_number:  # the first round warms the file cache
                times[name].append(elapsed)
    medians = {name: statistics.median(values) for name, values in times.items()}
    table = Table("process", "median ms", f"ratio to {BASELINE}", "goal", "met")
    missed = False
    for name, (_, goal) in processes.items():
        ratio = medians[name] / medians[BASELINE]
        met = goal is None or ratio <= goal
        missed |= not met
        verdict = ("", "") if goal is None else (f"{goal:.2f}", "yes" if met else "NO")
        table.add_row(name, f"{medians[name] * 1e3:.0f}", f"{ratio:.3f}", *verdict)
    Console().print(table)
    sys.exit(int(missed))


if __name__ == "__main__":
    main()
