"""Kernels as differentiable functions of tensors, each with its reference in plain torch."""

from anrl.ops.adaptive_norm import BatchMoments, adaptive_norm, batch_moments
from anrl.ops.center_distance import center_distances, center_distances_reference
from anrl.ops.gates import GateFormula
from anrl.ops.operators import references_only
from anrl.ops.recompute import recompute_norms
from anrl.ops.scale_shift import (
    instance_moments,
    instance_moments_reference,
    scale_shift,
    scale_shift_reference,
)

__all__ = [
    "BatchMoments",
    "GateFormula",
    "adaptive_norm",
    "batch_moments",
    "center_distances",
    "center_distances_reference",
    "instance_moments",
    "instance_moments_reference",
    "recompute_norms",
    "references_only",
    "scale_shift",
    "scale_shift_reference",
]
