"""Everything that a training run changes: written to a checkpoint, and restored from one."""

import inspect
import json
import math
import os
from collections.abc import Mapping, Sequence
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

_LARGEST = 1e15


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
        """Settings of the optimizer and the scheduler that are no tensors."""
        groups = [{k: v for k, v in group.items() if k != "params"} for group in self.optimizer.param_groups]
        return {"groups": groups, "scheduler": self.scheduler and self.scheduler.state_dict()}

    def save(self, path: Path, config: Config) -> None:
        """Write a checkpoint beside ``path`` and renames it, so that ``path`` is whole at any time.

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
    """Restore a run from a checkpoint.

    Raises:
        DataError: the checkpoint does not fit the run; the message names the tensor or the key.
    """
    network = {k: v for k, v in checkpoint.tensors.items() if k.startswith("model.")}
    checkpoint.load_tensors(state.method, network | checkpoint.part("method"))
    if state.average is not None:
        checkpoint.load_tensors(state.average, checkpoint.part("average"), "average")
    _restore_optimizer(checkpoint, state.optimizer)
    _restore_scheduler(checkpoint, state.scheduler)
    state.progress = checkpoint.progress


def _restore_optimizer(checkpoint: Checkpoint, optimizer: Optimizer) -> None:
    stored: dict[str, dict[str, Tensor]] = {}
    for name, tensor in checkpoint.part("optimizer").items():
        index, _, key = name.partition(".")
        stored.setdefault(index, {})[key] = tensor
    expected = {str(index): values for index, values in _state_after_a_step(optimizer).items()}
    for number, tensors in stored.items():
        # A weight that gets no gradient has no state; a whole one that is too much has no weight.
        checkpoint.check_tensors(expected.get(number, {}), tensors, f"optimizer.{number}")
        if not tensors.get("step", torch.ones(())) >= 0:
            raise DataError(f"optimizer.{number}.step is no number of steps", path=str(checkpoint.path))
    now = optimizer.state_dict()["param_groups"]
    groups = checkpoint.settings.get("groups")
    known = [{k: v for k, v in group.items() if k != "params"} for group in now]
    if (differs := _first_difference(known, groups, "groups")) is not None:
        raise _unfit(checkpoint, differs)
    assert isinstance(groups, list)
    for group in groups:
        try:
            _step_of_a_twin(optimizer, [torch.zeros(2, 2)], group)
        except Exception as error:
            raise DataError(
                f"settings: groups: the optimizer refuses them ({' '.join(str(error).split())})",
                path=str(checkpoint.path),
            ) from None
    optimizer.load_state_dict(
        {
            "state": {int(index): tensors for index, tensors in stored.items()},
            "param_groups": [
                group | {"params": new["params"]} for group, new in zip(groups, now, strict=True)
            ],
        }
    )


def _restore_scheduler(checkpoint: Checkpoint, scheduler: Scheduler | None) -> None:
    stored = checkpoint.settings.get("scheduler")
    now = None if scheduler is None else scheduler.state_dict()
    if (key := _first_difference(now, stored, "scheduler")) is not None:
        raise _unfit(checkpoint, key)
    if scheduler is not None and now is not None and stored is not None:
        # What has not changed stays as it is: JSON makes texts of keys that were numbers.
        scheduler.load_state_dict({k: v for k, v in stored.items() if v != _as_json(now[k])})


def _state_after_a_step(optimizer: Optimizer) -> dict[int, dict[str, Tensor]]:
    """The state that an optimizer of this kind has after a step, to compare names and shapes with."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    twin = _step_of_a_twin(optimizer, parameters, optimizer.defaults)
    return {
        index: {k: torch.as_tensor(v) for k, v in values.items() if v is not None}
        for index, values in twin.state_dict()["state"].items()
    }


def _step_of_a_twin(
    optimizer: Optimizer, parameters: Sequence[Tensor], options: Mapping[str, Any]
) -> Optimizer:
    """An optimizer of the same kind with these options, after a step on parameters that are zero."""
    twins = [nn.Parameter(torch.zeros_like(p)) for p in parameters]
    for twin in twins:
        twin.grad = torch.zeros_like(twin)
    known = inspect.signature(type(optimizer)).parameters
    made = type(optimizer)(twins, **{k: v for k, v in options.items() if k in known})
    made.step()
    return made


def _first_difference(now: Any, stored: Any, key: str) -> str | None:
    """The key of the first value that is missing, unknown or of another kind than the present one."""
    now = _as_json(now)
    if isinstance(now, dict) and isinstance(stored, dict):
        for name in [*now, *stored]:
            if name not in now or name not in stored:
                return f"{key}.{name}"
        parts: list[tuple[Any, Any, str]] = [(now[name], stored[name], f"{key}.{name}") for name in now]
    elif isinstance(now, list) and isinstance(stored, list):
        if len(now) != len(stored):
            return key
        parts = [(a, b, f"{key}[{n}]") for n, (a, b) in enumerate(zip(now, stored, strict=True))]
    else:
        return None if _kind(now) == _kind(stored) else key
    return next((k for part in parts if (k := _first_difference(*part)) is not None), None)


def _kind(value: Any) -> object:
    if isinstance(value, str | bool):
        return value  # a choice, which the configuration has made
    if isinstance(value, int | float):
        # A scheduler may begin with infinity.
        return float if abs(value) <= _LARGEST or math.isinf(value) else "a number that no run has"
    return type(value)


def _as_json(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _unfit(checkpoint: Checkpoint, key: str) -> DataError:
    return DataError(
        f"settings: {key}: is missing, unknown or of another kind than those of the optimizer and the "
        "scheduler that the configuration names",
        path=str(checkpoint.path),
    )
