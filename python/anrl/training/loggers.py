"""Where a run writes what happened: ``log.jsonl`` always, a logging service if one is named."""

import importlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol

from anrl.atomic_io import replacing
from anrl.config import Config
from anrl.config.schema import to_mapping
from anrl.errors import ConfigError
from anrl.evaluation.run_folder import RunFolder

Entry = dict[str, Any]


class Log(Protocol):
    """Takes the entries of a run."""

    def __call__(self, entry: Entry, step: int) -> None:
        """Write an entry after ``step`` steps."""


@contextmanager
def open_log(config: Config, steps: int, epochs: int) -> Iterator[Log]:
    """Open the log of a run, new or resumed after ``steps`` steps and ``epochs`` epochs.

    What the file has beyond these (an earlier run was killed after its last checkpoint) is cut off.
    """
    file = RunFolder(config.output_dir).log
    kept = [line for line in _lines(file) if _is_before(line, steps, epochs)]
    with replacing(file) as partial:
        partial.write_text("".join(line + "\n" for line in kept))
    # Without a buffer, which would be written once more, and fail once more, when the file is closed.
    with open(file, "ab", buffering=0) as stream, _SERVICES[config.logger](config) as service:

        def log(entry: Entry, step: int) -> None:
            rest = memoryview(f"{json.dumps(entry)}\n".encode())
            while rest:
                rest = rest[stream.write(rest) :]
            if service is not None:
                service({k: v for k, v in _numbers(entry) if k != "step"}, step)

        yield log


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def _is_before(line: str, steps: int, epochs: int) -> bool:
    try:
        entry = json.loads(line)
        return bool(entry["step"] < steps if "step" in entry else entry["epoch"] < epochs)
    except (ValueError, KeyError, TypeError):  # a line that was not finished
        return False


def _numbers(entry: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for key, value in entry.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{key}/")
        elif isinstance(value, int | float):
            yield prefix + key, value


@contextmanager
def _tensorboard(config: Config) -> Iterator[Log]:
    with _import("torch.utils.tensorboard", "tensorboard").SummaryWriter(config.output_dir) as writer:

        def log(entry: Entry, step: int) -> None:
            for name, value in entry.items():
                writer.add_scalar(name, value, step)

        yield log


@contextmanager
def _wandb(config: Config) -> Iterator[Log]:
    mode = os.environ.get("WANDB_MODE", "offline")
    run = _import("wandb").init(
        project="anrl",
        name=Path(config.output_dir).name,
        dir=config.output_dir,
        mode=mode,
        config=to_mapping(config),
    )
    try:
        yield lambda entry, step: run.log(entry, step=step)
    finally:
        run.finish()


@contextmanager
def _trackio(config: Config) -> Iterator[Log]:
    trackio = _import("trackio")
    trackio.init(project="anrl", name=Path(config.output_dir).name, config=to_mapping(config))
    try:
        yield lambda entry, step: trackio.log(entry, step=step)
    finally:
        trackio.finish()


def _none(config: Config) -> AbstractContextManager[None]:
    return nullcontext()


_SERVICES: dict[str, Any] = {
    "none": _none,
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "trackio": _trackio,
}


def _import(module: str, package: str | None = None) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        package = package or module
        raise ConfigError(
            f"logger: {package} is not installed; pip install 'anrl[{package}]', or set logger=none"
        ) from None
