"""Checkpoints: one safetensors file with the tensors, and everything else as text in its header.

Nothing is unpickled and nothing resolved, so a checkpoint from a stranger can neither run code nor read what
is not in it. Whatever was edited in it is named before anything of a size that it claims is built.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from anrl.config import Config, load_config
from anrl.config.plain import parse_plain_yaml
from anrl.errors import ConfigError, DataError, DivergedError
from anrl.models import build_model
from anrl.models.base import Model

FORMAT = "anrl-3"
_MOST_CHARACTERS = 1_000_000


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
    """Contents of a checkpoint file."""

    path: Path
    config: Config
    progress: Progress
    tensors: dict[str, Tensor]
    settings: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: str | Path) -> "Checkpoint":
        """Read a checkpoint.

        Raises:
            DataError: the file is missing, no checkpoint of anrl, damaged, or a part of it makes no sense.
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
                header = {name: _part_of_header(metadata, name, path) for name in _PARTS}
                tensors = {key: file.get_tensor(key) for key in file.keys()}
        except (OSError, SafetensorError, ValueError) as error:
            raise DataError(f"{path}: not a readable checkpoint ({error})") from None
        config, progress, settings = (header[name] for name in _PARTS)
        return cls(path, config, progress, tensors, settings)

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin with ``prefix`` and a dot, without it."""
        start = prefix + "."
        return {k.removeprefix(start): v for k, v in self.tensors.items() if k.startswith(start)}

    def model(self) -> Model:
        """Build the network with the stored weights (their average, if there is one), in evaluation mode.

        Raises:
            DataError: the weights are not those of the network that the configuration describes.
            DivergedError: a weight is not a finite number.
        """
        options = self.config.model
        if hasattr(options, "weights"):
            options = replace(options, weights=None)  # the checkpoint has them
        channels, prefix = self.config.transform.channels, "average" if self.part("average") else "model"
        try:
            if (sizes := _sizes(options, channels)) is not None:
                self.check_tensors(sizes, self.part(prefix), prefix)
            model = build_model(options, channels)
        except ConfigError as error:
            raise DataError(f"configuration: {error}", path=str(self.path)) from None
        self.load_tensors(model, self.part(prefix), prefix)
        for name, value in model.state_dict().items():
            if not value.isfinite().all():
                raise DivergedError(
                    f"the weights are not finite numbers (the first is {prefix}.{name}): the training "
                    "diverged, so the network gives no scores; take an earlier checkpoint, or train with a "
                    "lower optimizer.lr",
                    path=str(self.path),
                )
        return model.eval()

    def load_tensors(self, module: nn.Module, tensors: Mapping[str, Tensor], prefix: str = "") -> None:
        """Load tensors of this checkpoint into a module.

        Args:
            module: The module, changed in place.
            tensors: The tensors by their names in the module.
            prefix: What their names in the file begin with, for the message.

        Raises:
            DataError: the module has another architecture.
        """
        self.check_tensors(module.state_dict(), tensors, prefix)
        module.load_state_dict(tensors)

    def check_tensors(
        self, expected: Mapping[str, Tensor], tensors: Mapping[str, Tensor], prefix: str
    ) -> None:
        """Compare names, shapes and kinds of numbers of tensors of this checkpoint with the expected ones.

        Raises:
            DataError: there is a difference; the message names the first.
        """
        dot = f"{prefix}." if prefix else ""
        reason = ""
        if missing := [name for name in expected if name not in tensors]:
            reason = f"no tensor {dot}{missing[0]}"
        elif unknown := [name for name in tensors if name not in expected]:
            reason = f"an unknown tensor {dot}{unknown[0]}"
        for name in () if reason else expected:
            wanted, stored = expected[name], tensors[name]
            if stored.shape != wanted.shape:
                reason = f"{dot}{name} is {tuple(stored.shape)}, not {tuple(wanted.shape)}"
            elif stored.is_floating_point() != wanted.is_floating_point():
                reason = f"{dot}{name} holds {stored.dtype}, not {wanted.dtype}"
            if reason:
                break
        if reason:
            raise DataError(
                f"the checkpoint belongs to another architecture than its configuration: {reason}",
                path=str(self.path),
            )


def _sizes(options: Any, channels: int) -> dict[str, Tensor] | None:
    """The tensors of a network without their memory; None where a network cannot be built so."""
    try:
        with torch.device("meta"):
            return build_model(options, channels).state_dict()
    except (NotImplementedError, RuntimeError) as error:
        if "overflow" in str(error):
            raise ConfigError(f"no network can be so large ({error})", key="model") from None
        return None
    except ConfigError:
        # A model that is looked at while it runs cannot be without memory; its size is its name's.
        return None


def _part_of_header(metadata: Mapping[str, str], name: str, path: Path) -> Any:
    """Parse a part of a checkpoint header."""
    text = metadata.get(name)
    try:
        if text is None:
            raise ConfigError("is missing")
        if len(text) > _MOST_CHARACTERS:
            raise ConfigError(f"has {len(text)} characters, and at most {_MOST_CHARACTERS} are read")
        return _PARTS[name](text)
    except RecursionError:
        reason = "nested too deep"
    except (ConfigError, ValueError) as error:
        reason = " ".join(str(error).split())
    raise DataError(f"{name}: {reason}", path=str(path))


def _parse_config(text: str) -> Config:
    return load_config(parse_plain_yaml(text))


def _parse_mapping(text: str) -> dict[str, Any]:
    values = json.loads(text)
    if not isinstance(values, dict):
        raise ConfigError("is no mapping")
    return values


def _parse_progress(text: str) -> Progress:
    values = _parse_mapping(text)
    names = [f.name for f in fields(Progress)]
    for name in [*names, *values]:
        if name not in values or name not in names:
            raise ConfigError("is missing" if name in names else "no such key", key=name)
    for name, least in (("epoch", 0), ("step", 0), ("best_epoch", -1)):
        if type(values[name]) is not int or not least <= values[name] < 2**31:
            raise ConfigError(f"{values[name]!r} is no number of an epoch or a step", key=name)
    thresholds = values["thresholds"]
    if not isinstance(thresholds, dict) or not thresholds.keys() <= {"frame", "video"}:
        raise ConfigError('expected those of "frame" and "video"', key="thresholds")
    for name, value in ({"best_auc": values["best_auc"]} | thresholds).items():
        if type(value) not in (int, float) or not math.isfinite(value):
            raise ConfigError(f"{value!r} is no finite number", key=name)
    return Progress(**values)


_PARTS: dict[str, Any] = {"config": _parse_config, "progress": _parse_progress, "settings": _parse_mapping}
"""Parts of the header, and what reads them."""
