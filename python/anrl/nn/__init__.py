"""Layers, and their functional form in :mod:`anrl.nn.functional`."""

from anrl.distributed import average_tensors
from anrl.nn import functional
from anrl.nn.adaptive_norm import AdaptiveNorm, AdaptiveNorm1d, AdaptiveNorm2d, AdaptiveNorm3d
from anrl.nn.convert import convert_adaptive_norm, convert_sync_adaptive_norm
from anrl.nn.gate_parameters import gate_parameters
from anrl.nn.gate_statistics import gate_statistics
from anrl.nn.gates import GATES, Gate, make_gate
from anrl.nn.modes import evaluation_mode
from anrl.nn.norms import NORMS, NormLayer, make_norm
from anrl.nn.sync_batch_norm import SyncBatchNorm1d, SyncBatchNorm2d, SyncBatchNorm3d
from anrl.ops import recompute_norms

__all__ = [
    "GATES",
    "NORMS",
    "AdaptiveNorm",
    "AdaptiveNorm1d",
    "AdaptiveNorm2d",
    "AdaptiveNorm3d",
    "Gate",
    "NormLayer",
    "SyncBatchNorm1d",
    "SyncBatchNorm2d",
    "SyncBatchNorm3d",
    "average_tensors",
    "convert_adaptive_norm",
    "convert_sync_adaptive_norm",
    "evaluation_mode",
    "functional",
    "gate_parameters",
    "gate_statistics",
    "make_gate",
    "make_norm",
    "recompute_norms",
]
