"""Classical methods to compare with."""

from anrl.methods.classical.base import Baseline
from anrl.methods.classical.low_level import LowLevelStatistics
from anrl.methods.classical.texture import ColourTexture, MultiScaleLBP

BASELINES: dict[str, type[Baseline]] = {
    "ms-lbp": MultiScaleLBP,
    "colour-texture": ColourTexture,
    "low-level": LowLevelStatistics,
}
"""By the names they have in a protocol."""

__all__ = ["BASELINES", "Baseline", "ColourTexture", "LowLevelStatistics", "MultiScaleLBP"]
