"""Everything that a training run changes: written to a checkpoint, and restored from one."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from anrl.atomic_io import replacing
from anrl.checkpoint import FORMAT, Checkpoint, Progress
from anrl.config.schema import Config, to_yaml
from anrl.errors import DataError
from anrl.methods.base import Method
from anrl.training.optimizers import Scheduler


@dataclass
class State:
    """Everything that a training run changes."""

    method: Method
    """What is trained: the network as ``model``, and what only training needs."""
    average: nn.Module | None
    """The running average of the network's weights, if there is one."""
    optimizer: Optimizer
    scheduler: Scheduler | None
    progress: Progress = field(default_factory=Progress)

    def tensors(self) -> dict[str, Tensor]:
        """All tensors: the network's as ``model.*``, the average's as ``average.*``, and so on."""
        tensors = {
            key if key.startswith("model.") else f"method.{key}": value
            for key, value in self.method.state_dict().items()
        }
        if self.average is not None:
            tensors |= {f"average.{k}": v for k, v in self.average.state_dict().items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {
                f"optimizer.{index}.{k}": torch.as_tensor(v) for k, v in state.items() if v is not None
            }
        return tensors

    def settings(self) -> dict[str, Any]:
        """What else the optimizer and the scheduler know."""
        groups = [{k: v for k, v in group.items() if k != "params"} for group in self.optimizer.param_groups]
        return {"groups": groups, "scheduler": self.scheduler and self.scheduler.state_dict()}

    def save(self, path: Path, config: Config) -> None:
        """Writes a checkpoint beside ``path`` and renames it, so that ``path`` is whole at any time.

        Raises:
            DataError: it could not be written; what was at ``path`` is still there.
        """
        metadata = {
            "format": FORMAT,
            "config": to_yaml(config),
            "progress": json.dumps(asdict(self.progress)),
            "settings": json.dumps(self.settings()),
        }
        tensors = {k: v.detach().cpu().contiguous() for k, v in self.tensors().items()}
        try:
            with replacing(path) as partial:
                save_file(tensors, partial, metadata)
                with open(partial, "rb") as file:
                    os.fsync(file.fileno())
        except (OSError, SafetensorError) as error:
            raise DataError(
                f"{path}: the checkpoint could not be written ({error}); the previous one is kept"
            ) from None


def restore(checkpoint: Checkpoint, state: State) -> None:
    """Sets a run to where this one stood.

    Raises:
        DataError: the run has another architecture.
    """
    network = {k: v for k, v in checkpoint.tensors.items() if k.startswith("model.")}
    checkpoint.load_tensors(state.method, network | checkpoint.part("method"))
    if state.average is not None:
        checkpoint.load_into(state.average, "average")
    states: dict[int, dict[str, Tensor]] = {}
    for name, tensor in checkpoint.part("optimizer").items():
        index, key = name.split(".", 1)
        states.setdefault(int(index), {})[key] = tensor
    now = state.optimizer.state_dict()["param_groups"]
    groups = [
        old | {"params": new["params"]} for old, new in zip(checkpoint.settings["groups"], now, strict=True)
    ]
    state.optimizer.load_state_dict({"state": states, "param_groups": groups})
    if state.scheduler is not None:
        state.scheduler.load_state_dict(checkpoint.settings["scheduler"])
    state.progress = checkpoint.progress
