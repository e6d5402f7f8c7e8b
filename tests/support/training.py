"""Small training runs, in this process and through the command line."""

import os
import signal
import subprocess
import sys

from anrl.config import load_config
from anrl.experiments import LeaveOneDomainOut


def settings(packs, out, **changes):
    """A run of seconds on the first three packs."""
    return {
        "sources": [{"path": str(p)} for p in packs[:3]],
        "output_dir": str(out),
        "epochs": 2,
        "batch_size": 4,
        "validation_fraction": 0.3,
        "transform": {"image_size": 16},
        "model": {"width": 0.05},
        "optimizer": {"lr": 3e-3},
    } | changes


def cli(*arguments, check=None, **options):
    """Runs ``anrl`` with arguments; ``check`` is the exit code it must have."""
    done = subprocess.run(
        [sys.executable, "-c", "from anrl.cli import main; main()", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"COLUMNS": "200"},
        **options,
    )
    if check is not None:
        assert done.returncode == check, done.stderr
    return done


def stop_after(steps):
    def report(done, total, message):
        if done == steps:
            signal.raise_signal(signal.SIGINT)

    return report


def plan(packs, out, methods=("bn", "low-level"), seeds=(0, 1), **options):
    named = {"sources": [{"path": str(p), "name": f"d{i}"} for i, p in enumerate(packs[:3])]}
    changes = named | {"targets": [{"path": str(packs[3]), "name": "d3"}], "epochs": 1, "batch_size": 4}
    config = load_config(settings(packs, "unused", **changes))
    return LeaveOneDomainOut(config, methods, seeds, out, **options)
