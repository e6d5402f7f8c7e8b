"""Times a training step beside the official code's way of it: ``python benchmarks/bench_train.py [OUT.csv]``.

The network at full width, 256 x 256 pixels, three domains with one bona fide and one attack image each. The
peer has the same network with the adaptive layer as separate modules, fast weights from detached parameters
and ``create_graph``, contiguous float32, and glibc's default allocator. Ours is what ``anrl train`` does.
Every contender runs in a process of its own, in turns; medians count and only ratios mean anything. Options:
``--size S`` (pixels), ``--width W``, ``--rounds N``.
"""

import argparse
import csv
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from bench_adaptive_norm import Composition
from bench_second_order import memory
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from anrl.data import DomainBatch
from anrl.device import keep_freed_memory
from anrl.losses import DualCalibration
from anrl.methods.meta_learning import LossWeights, meta_step
from anrl.models import ANRLNet
from anrl.models.conv_block import ConvBlock
from anrl.nn import recompute_norms

DOMAINS, INNER_LR = 3, 1e-4
OURS: dict[str, dict[str, bool]] = {
    "ours, official gradient": {"detach_base": True},
    "ours, exact gradient": {},
    "ours, first order": {"first_order": True},
    "ours, exact gradient, bfloat16 autocast": {"autocast": True},
}
PEER = "peer"
# Parameters of the separate modules, and ours.
RENAMED = [
    (".norm.fc.", ".norm.gate.fc."),
    (".norm.batch.", ".norm."),
    (".norm.instance.", ".norm.instance_"),
]


def network(kind: str, width: float) -> ANRLNet:
    """The same weights for everyone."""
    torch.manual_seed(0)
    model = ANRLNet(width=width)
    if kind != PEER:
        return model.to(memory_format=torch.channels_last)
    for block in model.extractor.modules():
        if isinstance(block, ConvBlock):
            theirs = Composition(block.conv.out_channels)
            theirs.fc.load_state_dict(block.norm.gate.fc.state_dict())
            block.norm = theirs
    return model


def batches(size: int, memory_format: torch.memory_format) -> list[DomainBatch]:
    """One bona fide and one attack image of every domain."""
    torch.manual_seed(1)
    label = torch.tensor([0, 1])
    return [
        DomainBatch(
            torch.randn(2, 6, size, size).to(memory_format=memory_format),
            label,
            torch.rand(2, size // 8, size // 8) * (label == 0)[:, None, None],
        )
        for _ in range(DOMAINS)
    ]


def peer_step(model: ANRLNet, calibration: DualCalibration, data: list[DomainBatch]) -> Tensor:
    """The official step, with correct slices: each domain forwarded by itself."""
    weights = LossWeights()

    def loss(k: int, fast: dict[str, Tensor] | None) -> Tensor:
        out = model(data[k].image) if fast is None else functional_call(model, fast, (data[k].image,))
        found = (
            F.cross_entropy(out.logits, data[k].label),
            F.mse_loss(out.depth.squeeze(1), data[k].depth),
            *calibration(out.features, data[k].label, k),
        )
        return torch.stack([w * part for w, part in zip(weights, found, strict=True)]).sum()

    train = loss(0, None) + loss(1, None)
    gates = {name: p for name, p in model.named_parameters() if ".norm.fc." in name}
    gradients = torch.autograd.grad(train, list(gates.values()), create_graph=True)
    fast = {name: p.detach() - INNER_LR * g for (name, p), g in zip(gates.items(), gradients, strict=True)}
    return train + loss(2, fast)


def run(kind: str, options: argparse.Namespace) -> None:
    """The child's side: times some steps, prints the seconds and the peak in MiB, saves the gradient."""
    torch.set_num_threads(2)
    if kind != PEER:
        keep_freed_memory()
    model = network(kind, options.width).train()
    calibration = DualCalibration(DOMAINS, model.num_features)
    chosen = dict(OURS.get(kind, {}))
    autocast = chosen.pop("autocast", False)

    def step(data: list[DomainBatch]) -> None:
        model.zero_grad()
        if kind == PEER:
            total = peer_step(model, calibration, data)
        else:
            with recompute_norms(), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                total, _ = meta_step(
                    model,
                    calibration,
                    data,
                    meta_train=[0, 1],
                    meta_test=[2],
                    inner_lr=INNER_LR,
                    **chosen,
                )
        total.backward()

    memory_format = torch.contiguous_format if kind == PEER else torch.channels_last
    # Libraries load and threads start on a small input, which does not count.
    step(batches(16, memory_format))
    data = batches(options.size, memory_format)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak starts anew, see proc(5)
    before = memory("VmRSS")
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        step(data)
        seconds.append(time.perf_counter() - start)
    print(min(seconds), memory("VmHWM") - before)
    found = {}
    for name, p in model.named_parameters():
        for theirs, ours in RENAMED if kind == PEER else ():
            name = name.replace(theirs, ours)
        found[name] = p.grad
    torch.save(found, options.gradient)


def difference(folder: Path, kind: str) -> float:
    """The largest difference of a parameter's gradient from the peer's, relative to its norm."""
    peer, ours = (torch.load(folder / f"{name}.pt") for name in (PEER, kind))
    assert peer.keys() == ours.keys()
    # A bias before a normalization has no gradient but rounding.
    scale = max(float(gradient.norm()) for gradient in peer.values())
    return max(
        float((peer[name] - ours[name]).norm()) / max(float(peer[name].norm()), 1e-4 * scale) for name in peer
    )


def main() -> None:
    """Prints the table and writes it as CSV."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--run", help=argparse.SUPPRESS)
    parser.add_argument("--gradient", help=argparse.SUPPRESS)
    parser.add_argument("csv", nargs="?")
    options = parser.parse_args()
    if options.run:
        run(options.run, options)
        return
    kinds = [PEER, *OURS]
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    peaks = dict.fromkeys(kinds, 0.0)
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.rounds):
            for kind in kinds:
                command = [sys.executable, __file__, "--run", kind, "--size", str(options.size)]
                command += ["--width", str(options.width), "--gradient", f"{folder}/{kind}.pt"]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                time_taken, peaks[kind] = map(float, done.stdout.split())
                seconds[kind].append(time_taken)
                print(f"{kind}: {time_taken:.2f} s, {peaks[kind]:.0f} MiB", file=sys.stderr)
        medians = {kind: statistics.median(values) for kind, values in seconds.items()}
        rows = [
            {
                "": kind,
                "s a step": medians[kind],
                "times as fast": medians[PEER] / medians[kind],
                "memory": peaks[kind] / peaks[PEER],
                "gradient differs by": difference(Path(folder), kind),
            }
            for kind in kinds
        ]
    table = Table(title=f"a step at {options.size} x {options.size}, width {options.width}, 2 threads")
    for column in rows[0]:
        table.add_column(column, justify="right" if column else "left")
    for row in rows:
        table.add_row(*(f"{v:.3g}" if isinstance(v, float) else str(v) for v in row.values()))
    Console(width=120).print(table)
    if options.csv:
        with open(options.csv, "w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
