"""Kernels as differentiable functions of tensors, each with its pure-torch twin."""

from anrl.ops.adaptive_norm import BatchMoments, adaptive_norm, batch_moments
from anrl.ops.gates import GATE_FORMULAS
from anrl.ops.passes import (
    instance_moments,
    instance_moments_twin,
    scale_shift,
    scale_shift_twin,
    twins_only,
)

__all__ = [
    "GATE_FORMULAS",
    "BatchMoments",
    "adaptive_norm",
    "batch_moments",
    "instance_moments",
    "instance_moments_twin",
    "scale_shift",
    "scale_shift_twin",
    "twins_only",
]
