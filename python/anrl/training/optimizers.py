"""Optimizers and schedulers of torch by name, and the running average of the weights."""

import difflib
import inspect
import json
import warnings
from collections.abc import Iterable
from types import ModuleType
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer, lr_scheduler

from anrl.config.schema import OptimizerConfig, SchedulerConfig
from anrl.errors import ConfigError

Scheduler = lr_scheduler.LRScheduler
_UNSUITED = {
    "LBFGS": "evaluates its loss several times a step",
    "SparseAdam": "takes sparse gradients only",
}


def make_optimizer(settings: OptimizerConfig, parameters: Iterable[nn.Parameter]) -> Optimizer:
    """Build the optimizer that a configuration names.

    Raises:
        ConfigError: there is none of that name, an option is wrong, or it cannot take a step with dense
            gradients that are computed once (LBFGS, SparseAdam).
    """
    parameters = list(parameters)
    if (reason := _UNSUITED.get(settings.name)) is not None:
        raise ConfigError(f"{settings.name} {reason}; choose another", key="optimizer.name")
    chosen = _find(torch.optim, settings.name, Optimizer, "optimizer.name")
    options = {"lr": settings.lr, "weight_decay": settings.weight_decay} | settings.options
    if "weight_decay" not in inspect.signature(chosen).parameters and not settings.weight_decay:
        del options["weight_decay"]
    try:
        made: Optimizer = chosen(parameters, **options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(f"optimizer: {settings.name} cannot be made: {_line(error)}") from None
    twin = nn.Parameter(torch.zeros_like(parameters[0]))
    twin.grad = torch.zeros_like(twin)
    try:
        chosen([twin], **options).step()
    except Exception as error:
        raise ConfigError(
            f"{settings.name} cannot take a step ({_line(error)}); change optimizer.options", key="optimizer"
        ) from None
    return made


def make_scheduler(settings: SchedulerConfig, optimizer: Optimizer) -> Scheduler | None:
    """Build the learning-rate scheduler that a configuration names, or None.

    Raises:
        ConfigError: there is none of that name, an option is wrong or missing, or its state is not made of
            numbers and could not be saved.
    """
    if settings.name is None:
        return None
    chosen = _find(lr_scheduler, settings.name, Scheduler, "scheduler.name")
    options = dict(settings.options)
    if chosen is lr_scheduler.ReduceLROnPlateau:
        if settings.interval == "step":
            raise ConfigError("scheduler.interval: a plateau is seen after an epoch, not after a step")
        options = {"mode": "max"} | options
    try:
        made: Scheduler = chosen(optimizer, **options)
    except (TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise ConfigError(f"scheduler: {settings.name} cannot be made: {_line(error)}") from None
    try:
        json.dumps(made.state_dict())
    except TypeError:
        raise ConfigError(
            f"scheduler.name: {settings.name} cannot be stored in a checkpoint; choose another"
        ) from None
    return made


def check_length(scheduler: Scheduler | None, steps: int) -> None:
    """Check that a schedule is as long as a training that takes so many of its steps.

    Raises:
        ConfigError: it is shorter.
    """
    if isinstance(scheduler, lr_scheduler.OneCycleLR) and scheduler.total_steps < steps:
        raise ConfigError(
            f"the cycle ends after {scheduler.total_steps} steps of the scheduler, and the training has "
            f"{steps}; set total_steps={steps}",
            key="scheduler.options",
        )


def step_optimizer(optimizer: Optimizer) -> None:
    """Take a step.

    Raises:
        ConfigError: the optimizer cannot, with its options or its restored state.
    """
    try:
        optimizer.step()
    except (ArithmeticError, AssertionError, LookupError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{type(optimizer).__name__} cannot go on: {_line(error)}", key="optimizer.options"
        ) from None


def step_scheduler(scheduler: Scheduler, validation_auc: float = 0.0) -> None:
    """Step a scheduler after a step of the optimizer, or after an epoch with the AUC that it had.

    Raises:
        ConfigError: the scheduler cannot go on with its options or its restored state.
    """
    with warnings.catch_warnings():
        # In a run that is resumed at the end of an epoch, the optimizer's steps were another process's.
        warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")
        try:
            if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau):
                scheduler.step(validation_auc)
            else:
                scheduler.step()
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise ConfigError(
                f"{type(scheduler).__name__} cannot go on: {_line(error)}", key="scheduler.options"
            ) from None


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """Update the average of the weights and running statistics; in the first steps it forgets faster."""
    decay = min(decay, (1 + step) / (10 + step))
    for mean, value in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - decay)
        else:
            mean.copy_(value)


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _find(module: ModuleType, name: str, kind: type, key: str) -> Any:
    known = {n: c for n, c in vars(module).items() if inspect.isclass(c) and issubclass(c, kind)}
    known = {n: c for n, c in known.items() if c is not kind and not n.startswith("_")}
    if name not in known:
        near = difflib.get_close_matches(name.lower(), {n.lower(): n for n in known}, 1)
        meant = [n for n in known if n.lower() in near]
        hint = f"did you mean {meant[0]}?" if meant else f"there are {', '.join(sorted(known))}"
        raise ConfigError(f"{key}: {module.__name__} has no {name}; {hint}")
    return known[name]
