"""The configuration of a training run."""

import importlib
from typing import TYPE_CHECKING, Any

from anrl.config.protocols import protocol_names

if TYPE_CHECKING:
    from anrl.config.load import load_config
    from anrl.config.schema import Config, DomainConfig, to_mapping, to_yaml

_HOMES = {
    "Config": "schema",
    "DomainConfig": "schema",
    "load_config": "load",
    "to_mapping": "schema",
    "to_yaml": "schema",
}

__all__ = ["Config", "DomainConfig", "load_config", "protocol_names", "to_mapping", "to_yaml"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'anrl.config' has no attribute {name!r}")
    return getattr(importlib.import_module(f"anrl.config.{_HOMES[name]}"), name)
