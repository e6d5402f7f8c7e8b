"""The configuration of a training run."""

from anrl.config.schema import Config, load_config, protocol_names

__all__ = ["Config", "load_config", "protocol_names"]
