"""The configuration of a training run."""

from typing import TYPE_CHECKING

from anrl.config.protocols import protocol_names
from anrl.lazy import lazy_names

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

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
