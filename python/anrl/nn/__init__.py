"""Layers, and their functional form in :mod:`anrl.nn.functional`."""

from anrl.nn import functional
from anrl.nn.adaptive_norm import AdaptiveNorm2d
from anrl.nn.gate import GATES, make_gate

__all__ = ["GATES", "AdaptiveNorm2d", "functional", "make_gate"]
