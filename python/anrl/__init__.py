"""Adaptive normalized representation learning (ANRL) for generalizable face anti-spoofing.

Labels everywhere: 0 = bona fide (a live face), 1 = attack. A score is the probability of attack.

Submodules and functions are imported when they are first used: ``anrl.nn``, ``anrl.plots``, ``anrl.train``.
"""

import importlib
import sys
from importlib import metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anrl import (
        config,
        data,
        deploy,
        errors,
        evaluation,
        experiments,
        faces,
        losses,
        methods,
        metrics,
        models,
        nn,
        ops,
        plots,
        report,
        synth,
        training,
    )
    from anrl.backend import BackendInfo, backend_info
    from anrl.checkpoint import Checkpoint
    from anrl.config import Config, load_config
    from anrl.data import Domain
    from anrl.deploy import Detector
    from anrl.errors import AnrlError, ConfigError, DataError
    from anrl.evaluation import Evaluation, RunFolder, evaluate
    from anrl.training import train

_HOMES = {
    "AnrlError": "errors",
    "BackendInfo": "backend",
    "Checkpoint": "checkpoint",
    "Config": "config",
    "ConfigError": "errors",
    "DataError": "errors",
    "Detector": "deploy",
    "Domain": "data",
    "Evaluation": "evaluation",
    "RunFolder": "evaluation",
    "backend_info": "backend",
    "evaluate": "evaluation",
    "load_config": "config",
    "train": "training",
}

__all__ = [
    "AnrlError",
    "BackendInfo",
    "Checkpoint",
    "Config",
    "ConfigError",
    "DataError",
    "Detector",
    "Domain",
    "Evaluation",
    "RunFolder",
    "__version__",
    "backend_info",
    "config",
    "data",
    "deploy",
    "errors",
    "evaluate",
    "evaluation",
    "experiments",
    "faces",
    "load_config",
    "losses",
    "methods",
    "metrics",
    "models",
    "nn",
    "ops",
    "plots",
    "report",
    "synth",
    "train",
    "training",
]

__version__ = metadata.version("anrl")


def _check_torch() -> None:
    """Refuse a torch that the compiled extension cannot be loaded into."""
    required = next(r for r in metadata.requires("anrl") or [] if r.startswith("torch=="))
    built_for = required.removeprefix("torch==")
    try:
        installed = sys.modules["torch"].__version__ if "torch" in sys.modules else metadata.version("torch")
    except metadata.PackageNotFoundError:
        return  # anrl.deploy serves exported models without torch
    if installed.split("+")[0] != built_for:
        raise ImportError(
            f"anrl {__version__} was built for torch {built_for} but this environment has torch {installed}: "
            f"run `pip install torch=={built_for}`, or install an anrl that was built for torch {installed}"
        )


_check_torch()


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(f"anrl.{_HOMES[name]}"), name)
    elif name in __all__:
        value = importlib.import_module(f"anrl.{name}")
    else:
        raise AttributeError(f"module 'anrl' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
