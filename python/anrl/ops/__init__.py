"""Kernels as differentiable functions of tensors, each with its pure-torch twin."""

from anrl.ops.adaptive_norm import (
    instance_moments,
    instance_moments_twin,
    normalize,
    scale_shift,
    scale_shift_twin,
    twins_only,
)

__all__ = [
    "instance_moments",
    "instance_moments_twin",
    "normalize",
    "scale_shift",
    "scale_shift_twin",
    "twins_only",
]
