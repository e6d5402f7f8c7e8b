"""``anrl train``."""

from typing import Annotated

import typer

from anrl.cli.console import console, progress_bar
from anrl.config.protocols import protocol_names
from anrl.methods.registry import METHODS


def train(
    config: Annotated[
        str,
        typer.Argument(
            help=f"YAML file (see anrl.Config for its keys), or a protocol: {', '.join(protocol_names())}."
        ),
    ],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="key=value, for example optimizer.lr=1e-3.")
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(help=f"Method to train: {', '.join(METHODS)}. By default that of the configuration."),
    ] = None,
) -> None:
    """Train on source domains; the same command resumes after an interruption.

    In several processes: torchrun --nproc-per-node N -m anrl train CONFIG.
    """
    import torch

    from anrl.checkpoint import Checkpoint
    from anrl.config import load_config
    from anrl.device import keep_freed_memory, pick_device
    from anrl.training import train as run_training

    resolved = load_config(config, overrides or [], method)
    device = pick_device(resolved.device)
    memory = ", freed memory is kept by malloc" if device.type == "cpu" and keep_freed_memory() else ""
    console.print(f"{device}, {torch.get_num_threads()} threads{memory}")
    with progress_bar("training") as progress:
        best = run_training(resolved, progress)
    reached = Checkpoint.read(best).progress
    where = (
        "validation videos of the sources" if resolved.selection == "source" else "the targets (dishonest)"
    )
    console.print(f"{best}: AUC {reached.best_auc:.3f} on {where}")
