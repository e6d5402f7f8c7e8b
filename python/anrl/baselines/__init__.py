"""Methods to compare with."""

from anrl.baselines.low_level import LowLevelStatistics

__all__ = ["LowLevelStatistics"]
