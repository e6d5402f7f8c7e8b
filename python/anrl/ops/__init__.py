"""Kernels as differentiable functions of tensors, each with its pure-torch twin."""

from anrl.ops.adaptive_norm import BatchMoments, adaptive_norm, batch_moments
from anrl.ops.center_distance import centre_distances, centre_distances_twin
from anrl.ops.gates import GateFormula
from anrl.ops.kernels import twins_only
from anrl.ops.recompute import recompute_norms
from anrl.ops.scale_shift import (
    instance_moments,
    instance_moments_twin,
    scale_shift,
    scale_shift_twin,
)

__all__ = [
    "BatchMoments",
    "GateFormula",
    "adaptive_norm",
    "batch_moments",
    "centre_distances",
    "centre_distances_twin",
    "instance_moments",
    "instance_moments_twin",
    "recompute_norms",
    "scale_shift",
    "scale_shift_twin",
    "twins_only",
]
