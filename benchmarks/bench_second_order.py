"""Times a second-order step through ten ConvBlocks beside the same blocks of separate modules.

``python benchmarks/bench_second_order.py [OUT.csv]``. The step is ANRL's: an inner gradient with respect to
the gates, with its graph, a second forward pass with the moved gates, and one backward pass through it all.
Time is the median of alternating rounds in one process; peak memory is that of a process of its own, less
what it held before the step. Only ratios mean anything: the peer's over ours, above 1 where we are better.
"""

import csv
import statistics
import subprocess
import sys
import time

import torch
from bench_adaptive_norm import Composition
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.func import functional_call

from anrl.models import ConvBlock

BLOCKS = 10
SHAPES = [(2, 64, 256, 256), (2, 64, 128, 128), (4, 64, 64, 64), (8, 128, 32, 32)]
SECONDS = 20.0


def stack(kind: str, channels: int) -> nn.Sequential:
    """Ten blocks: ours, or with the official layer's eager composition."""
    blocks = [ConvBlock(channels, channels, "adaptive") for _ in range(BLOCKS)]
    if kind == "composition":
        for block in blocks:
            block.norm = Composition(channels)
    return nn.Sequential(*blocks)


def step(model: nn.Module, x: Tensor) -> None:
    """One second-order step on the gates; the gradients of all parameters are left in ``grad``."""
    gates = {name: p for name, p in model.named_parameters() if ".fc." in name}
    train = model(x).square().mean()
    inner = torch.autograd.grad(train, list(gates.values()), create_graph=True)
    fast = {name: p - 1e-2 * g for (name, p), g in zip(gates.items(), inner, strict=True)}
    test = functional_call(model, fast, (x.flip(0),)).square().mean()
    model.zero_grad()
    (train + test).backward()


def peak(kind: str, shape: tuple[int, ...]) -> float:
    """MiB that one step needs at its highest, measured in a process of its own."""
    command = [sys.executable, __file__, "--peak", kind, *map(str, shape)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def print_peak(kind: str, shape: tuple[int, ...]) -> None:
    """Prints the peak of this process: the child's side of :func:`peak`."""
    torch.set_num_threads(2)
    torch.manual_seed(0)
    model, x = stack(kind, shape[1]), torch.randn(shape)
    # Libraries load and threads start on a small input, which does not count.
    step(model, torch.randn(2, shape[1], 8, 8))
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak starts anew, see proc(5)
    before = memory("VmRSS")
    step(model, x)
    print(memory("VmHWM") - before)


def memory(field: str) -> float:
    """MiB, from /proc/self/status."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(field)) / 1024


def measure(shape: tuple[int, ...]) -> dict[str, object]:
    """One row of the table."""
    torch.manual_seed(0)
    models = {kind: stack(kind, shape[1]) for kind in ("ours", "composition")}
    x = torch.randn(shape)
    times: dict[str, list[float]] = {kind: [] for kind in models}
    for model in models.values():
        step(model, x)
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end or len(times["ours"]) < 3:
        for kind, model in models.items():
            start = time.perf_counter()
            step(model, x)
            times[kind].append(time.perf_counter() - start)
    seconds = {kind: statistics.median(values) for kind, values in times.items()}
    peaks = {kind: peak(kind, shape) for kind in models}
    return {
        "shape": shape,
        "ms": 1e3 * seconds["ours"],
        "MiB": peaks["ours"],
        "time of composition": seconds["composition"] / seconds["ours"],
        "memory of ours": peaks["ours"] / peaks["composition"],
    }


def main() -> None:
    """Prints the table and writes it as CSV."""
    if "--peak" in sys.argv:
        print_peak(sys.argv[2], tuple(map(int, sys.argv[3:])))
        return
    torch.set_num_threads(2)
    rows = [measure(shape) for shape in SHAPES]
    table = Table(title=f"second-order step through {BLOCKS} ConvBlocks, 2 threads, float32")
    for column in rows[0]:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*(f"{v:.2f}" if isinstance(v, float) else str(v) for v in row.values()))
    Console(width=120).print(table)
    for argument in sys.argv[1:]:
        if argument.endswith(".csv"):
            with open(argument, "w", newline="") as file:
                writer = csv.DictWriter(file, rows[0])
                writer.writeheader()
                writer.writerows(rows)


if __name__ == "__main__":
    main()
