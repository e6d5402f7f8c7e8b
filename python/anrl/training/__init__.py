"""The training loop."""

from anrl.training.trainer import train

__all__ = ["train"]
