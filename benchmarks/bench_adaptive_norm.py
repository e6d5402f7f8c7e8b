"""Times AdaptiveNorm2d beside its peers: ``python benchmarks/bench_adaptive_norm.py [OUT.csv]``.

Peers: the official layer's eager composition (BatchNorm2d, InstanceNorm2d, pooling, linear, sigmoid, mix,
ReLU), the same under torch.compile (left out with --no-compile), and plain BatchNorm2d + ReLU. All run in
turn, the median of the rounds counts, and only ratios mean anything: peer's time over ours, above 1 where we
are faster.
"""

import csv
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from anrl.nn import AdaptiveNorm2d

SHAPES = [(8, 128, 128, 128), (4, 196, 256, 256), (32, 128, 32, 32), (16, 64, 64, 64), (2, 64, 8, 8)]
RAISED = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 32),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 33),
    "MALLOC_TOP_PAD_": str(1 << 28),
}
SECONDS = 2.0


class Composition(nn.Module):
    """The official layer, written from its description as separate modules."""

    def __init__(self, channels: int) -> None:
        """Takes the number of channels."""
        super().__init__()
        self.batch, self.instance = nn.BatchNorm2d(channels), nn.InstanceNorm2d(channels, affine=True)
        self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, H, W)."""
        g = torch.sigmoid(self.fc(self.pool(x).flatten(1)))[..., None, None]
        return torch.relu(g * self.batch(x) + (1 - g) * self.instance(x))


def forward(layer: nn.Module, x: Tensor, dy: Tensor) -> Callable[[], object]:
    """One forward pass that would be differentiated."""
    return lambda: layer(x)


def both(layer: nn.Module, x: Tensor, dy: Tensor) -> Callable[[], object]:
    """One forward and one backward pass."""
    wanted = [x, *layer.parameters()]
    return lambda: torch.autograd.grad(layer(x), wanted, dy)


def medians(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """The median seconds of each call, all run in turn."""
    for call in calls.values():
        call(), call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    end = time.perf_counter() + SECONDS * len(calls)
    while time.perf_counter() < end or len(times[next(iter(calls))]) < 5:
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def saved_bytes(layer: nn.Module, x: Tensor) -> int:
    """Bytes that a forward pass keeps for the backward pass, parameters left out."""
    own = {p.untyped_storage().data_ptr() for p in [*layer.parameters(), *layer.buffers()]}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        y = layer(x)
    del y
    return sum(kept.values())


def measure(shape: tuple[int, ...]) -> list[dict[str, object]]:
    """One row for each direction."""
    torch.manual_seed(0)
    channels = shape[1]
    x, dy = torch.randn(shape, requires_grad=True), torch.randn(shape)
    ours = AdaptiveNorm2d(channels, activation="relu")
    peers: dict[str, nn.Module] = {
        "composition": Composition(channels),
        "batch norm + relu": nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU()),
    }
    if "--no-compile" not in sys.argv:
        peers["composition, compiled"] = torch.compile(Composition(channels))  # type: ignore[assignment]
    rows = []
    for name, make in (("forward", forward), ("forward + backward", both)):
        calls = {"ours": make(ours, x, dy)} | {k: make(peer, x, dy) for k, peer in peers.items()}
        calls["clone"] = x.detach().clone
        narrow, narrow_dy = x.detach().bfloat16().requires_grad_(), dy.bfloat16()
        calls["ours, bfloat16"] = make(ours, narrow, narrow_dy)
        seconds = medians(calls)
        row: dict[str, object] = {"shape": shape, "pass": name, "ms": 1e3 * seconds["ours"]}
        row |= {k: seconds[k] / seconds["ours"] for k in calls if k not in ("ours", "ours, bfloat16")}
        row["float32 / bfloat16"] = seconds["ours"] / seconds["ours, bfloat16"]
        size = x.numel() * x.element_size()
        row["saved, ours"] = saved_bytes(ours, x) / size
        row["saved, composition"] = saved_bytes(peers["composition"], x) / size
        rows.append(row)
    return rows


def main() -> None:
    """Prints two tables (glibc's default allocator settings, and raised ones) and writes them as CSV."""
    torch.set_num_threads(2)
    if "MALLOC_TOP_PAD_" not in os.environ and "--once" not in sys.argv:
        for extra in ({}, RAISED):
            subprocess.run([sys.executable, *sys.argv, "--once"], env=os.environ | extra, check=True)
        return
    allocator = "raised" if "MALLOC_TOP_PAD_" in os.environ else "default"
    rows = [row for shape in SHAPES for row in measure(shape)]
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if "model name" in line), "")
    table = Table(title=f"malloc thresholds {allocator}; {cpu or platform.machine()}, 2 threads, float32")
    for column in rows[0]:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*(f"{v:.2f}" if isinstance(v, float) else str(v) for v in row.values()))
    Console(width=190).print(table)
    for argument in sys.argv[1:]:
        if argument.endswith(".csv"):
            new = allocator == "default"
            with open(argument, "w" if new else "a", newline="") as file:
                writer = csv.DictWriter(file, ["malloc", *rows[0]])
                if new:
                    writer.writeheader()
                writer.writerows({"malloc": allocator} | row for row in rows)


if __name__ == "__main__":
    main()
