"""``anrl train``."""

from typing import Annotated

import torch
import typer

from anrl.checkpoint import Checkpoint
from anrl.cli.console import console, progress_bar
from anrl.config import load_config, protocol_names
from anrl.device import keep_freed_memory, pick_device
from anrl.methods.variants import VARIANTS
from anrl.training import train as run_training


def train(
    config: Annotated[
        str,
        typer.Argument(
            help="YAML file (see anrl.Config for its keys), or a protocol: "
            f"{', '.join(protocol_names())}."
        ),
    ],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="key=value, for example optimizer.lr=1e-3.")
    ] = None,
    variant: Annotated[str, typer.Option(help=f"What to train: {', '.join(VARIANTS)}.")] = "anrl",
) -> None:
    """Train on source domains; the same command goes on after an interruption.

    In several processes: torchrun --nproc-per-node N -m anrl train CONFIG.
    """
    resolved = load_config(config, overrides or [], variant)
    device = pick_device(resolved.device)
    memory = ", freed memory is kept by malloc" if device.type == "cpu" and keep_freed_memory() else ""
    console.print(f"{device}, {torch.get_num_threads()} threads{memory}")
    with progress_bar("training") as report:
        best = run_training(resolved, report)
    progress = Checkpoint.read(best).progress
    where = "held-out source videos" if resolved.selection == "source" else "the targets (dishonest)"
    console.print(f"{best}: AUC {progress.best_auc:.3f} on {where}")
