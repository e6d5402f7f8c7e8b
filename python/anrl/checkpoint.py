"""Checkpoints: one safetensors file with the tensors, and everything else as JSON in its header.

Nothing is unpickled, so a checkpoint from a stranger cannot run code.
"""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from anrl.config import Config, load_config
from anrl.errors import DataError
from anrl.models import build_model
from anrl.models.base import Model

FORMAT = "anrl-3"


@dataclass
class Progress:
    """Where a run stands."""

    epoch: int = 0
    """The epoch to go on with."""
    step: int = 0
    """Steps of that epoch that are done."""
    best_auc: float = -1.0
    """The best AUC so far, on the data that ``config.selection`` names."""
    best_epoch: int = -1
    """The first epoch that had it."""
    thresholds: dict[str, float] = field(default_factory=dict)
    """Equal-error thresholds on validation videos of the sources: "frame" and "video"."""


@dataclass
class Checkpoint:
    """What a checkpoint file holds."""

    path: Path
    config: Config
    progress: Progress
    tensors: dict[str, Tensor]
    settings: dict[str, Any] = field(default_factory=dict)

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
                if (version := metadata.get("format")) != FORMAT:
                    raise DataError(
                        f"a checkpoint of another version of anrl (format {version}; this one reads "
                        f"{FORMAT}): train again, or use the anrl that wrote it"
                        if str(version).startswith("anrl-")
                        else "a safetensors file, but not a checkpoint of anrl",
                        path=str(path),
                    )
                tensors = {key: file.get_tensor(key) for key in file.keys()}
            config = load_config(_parse_yaml(metadata["config"]))
            progress = Progress(**json.loads(metadata["progress"]))
            return cls(path, config, progress, tensors, json.loads(metadata["settings"]))
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path}: not a readable checkpoint ({error})") from None

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin with ``prefix`` and a dot, without it."""
        start = prefix + "."
        return {k.removeprefix(start): v for k, v in self.tensors.items() if k.startswith(start)}

    def model(self) -> Model:
        """Build the network with the stored weights (their average, if there is one), in evaluation mode."""
        options = self.config.model
        if hasattr(options, "weights"):
            options = replace(options, weights=None)  # the checkpoint has them
        model = build_model(options, self.config.transform.channels)
        self.load_into(model, "average" if self.part("average") else "model")
        return model.eval()

    def load_into(self, module: nn.Module, prefix: str) -> None:
        """Loads the part ``prefix`` into a module.

        Raises:
            DataError: the module has another architecture.
        """
        self.load_tensors(module, self.part(prefix))

    def load_tensors(self, module: nn.Module, tensors: dict[str, Tensor]) -> None:
        """Load tensors of this checkpoint into a module.

        Raises:
            DataError: the module has another architecture.
        """
        try:
            module.load_state_dict(tensors)
        except RuntimeError as error:
            first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
            raise DataError(f"{self.path}: the checkpoint belongs to another architecture: {first}") from None


def _parse_yaml(text: str) -> dict[str, Any]:
    parsed = OmegaConf.to_container(OmegaConf.create(text))
    assert isinstance(parsed, dict)
    return {str(k): v for k, v in parsed.items()}
