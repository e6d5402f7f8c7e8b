"""Classical methods to compare with: hand-made features and a linear classifier."""

from anrl.methods.classical.base import ClassicalMethod
from anrl.methods.classical.low_level import LowLevelStatistics
from anrl.methods.classical.texture import ColorTexture, MultiScaleLBP

__all__ = ["ClassicalMethod", "ColorTexture", "LowLevelStatistics", "MultiScaleLBP"]
