"""Checkpoints: one safetensors file with the tensors, and everything else as JSON in its header.

Nothing is unpickled, so a checkpoint from a stranger cannot run code.
"""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from anrl._anrl import DataError
from anrl.models import ANRLNet
from anrl.train.config import Config, load_config, to_yaml


@dataclass
class Progress:
    """Where a run stands."""

    epoch: int = 0
    """The epoch to go on with."""
    step: int = 0
    """Steps of that epoch that are done."""
    best_auc: float = -1.0
    """The best AUC on held-out source videos so far."""
    thresholds: dict[str, float] = field(default_factory=dict)
    """Equal-error thresholds on held-out source data: "frame" and "video"."""


def save_checkpoint(
    path: Path,
    config: Config,
    model: nn.Module,
    progress: Progress,
    calibration: nn.Module,
    optimizer: Optimizer,
    average: nn.Module | None = None,
) -> None:
    """Writes a checkpoint beside ``path`` and renames it, so that ``path`` is whole at any time."""
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    if average is not None:
        tensors |= {f"average.{k}": v for k, v in average.state_dict().items()}
    tensors |= {f"calibration.{k}": v for k, v in calibration.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{k}": torch.as_tensor(v) for k, v in state.items()}
    metadata = {"config": to_yaml(config), "progress": json.dumps(asdict(progress)), "format": "anrl-1"}
    partial = path.with_name(f".{path.name}.partial")
    try:
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, partial, metadata)
        with open(partial, "rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        raise DataError(
            f"{path}: the checkpoint could not be written ({error}); the previous one is kept"
        ) from None


@dataclass
class Checkpoint:
    """What a checkpoint file holds."""

    path: Path
    config: Config
    progress: Progress
    tensors: dict[str, Tensor]

    @classmethod
    def read(cls, path: str | Path) -> "Checkpoint":
        """Reads a checkpoint.

        Raises:
            DataError: the file is missing, no checkpoint of anrl, or damaged.
        """
        path = Path(path)
        try:
            with safe_open(path, "pt") as file:
                metadata = file.metadata() or {}
                if metadata.get("format") != "anrl-1":
                    raise DataError(f"{path}: a safetensors file, but not a checkpoint of anrl")
                tensors = {key: file.get_tensor(key) for key in file.keys()}
            config = load_config(_parse_yaml(metadata["config"]))
            return cls(path, config, Progress(**json.loads(metadata["progress"])), tensors)
        except (OSError, SafetensorError) as error:
            raise DataError(f"{path}: not a readable checkpoint ({error})") from None

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin with ``prefix`` and a dot, without it."""
        start = prefix + "."
        return {k.removeprefix(start): v for k, v in self.tensors.items() if k.startswith(start)}

    def model(self) -> ANRLNet:
        """The network with the stored weights (their average, if there is one), in evaluation mode."""
        model = build_model(self.config)
        self.load_into(model, "average" if self.part("average") else "model")
        return model.eval()

    def load_into(self, module: nn.Module, prefix: str) -> None:
        """Loads the part ``prefix`` into a module.

        Raises:
            DataError: the module has another architecture.
        """
        try:
            module.load_state_dict(self.part(prefix))
        except RuntimeError as error:
            first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
            raise DataError(f"{self.path}: the checkpoint belongs to another architecture: {first}") from None

    def load_optimizer(self, optimizer: Optimizer) -> None:
        """Loads the optimizer's state."""
        states: dict[int, dict[str, Tensor]] = {}
        for name, tensor in self.part("optimizer").items():
            index, key = name.split(".", 1)
            states.setdefault(int(index), {})[key] = tensor
        optimizer.load_state_dict(optimizer.state_dict() | {"state": states})


def build_model(config: Config) -> ANRLNet:
    """The network that a configuration describes, freshly initialized."""
    settings = config.model
    return ANRLNet(config.transform.channels, settings.width, settings.norm, settings.gate)


def _parse_yaml(text: str) -> dict[str, Any]:
    parsed = OmegaConf.to_container(OmegaConf.create(text))
    assert isinstance(parsed, dict)
    return {str(k): v for k, v in parsed.items()}
