"""Normalization layers by name, class or partial."""

from collections.abc import Callable
from functools import partial

from torch import nn

from anrl.nn.adaptive_norm import AdaptiveNorm, AdaptiveNorm2d

NormLayer = str | Callable[[int], nn.Module]
"""A key of ``NORMS``, or a class or partial that is called with the number of channels."""

NORMS: dict[str, Callable[[int], nn.Module]] = {
    "adaptive": AdaptiveNorm2d,
    "batch": nn.BatchNorm2d,
    "instance": partial(nn.InstanceNorm2d, affine=True),
}
"""The normalization layers by name."""


def make_norm(norm: NormLayer, num_features: int, gate: str | nn.Module = "1layer") -> nn.Module:
    """Build a normalization layer.

    Args:
        norm: "adaptive", "batch" or "instance" (with scale and shift), for an input of size (N, C, H, W);
            or a class or partial that is called with ``num_features``.
        num_features: C, the number of channels.
        gate: The gate of "adaptive" or of a class derived from :class:`AdaptiveNorm`. A partial has its own.

    Raises:
        ValueError: ``norm`` or ``gate`` is an unknown name.
        TypeError: ``norm`` is neither a name nor callable.
    """
    if isinstance(norm, str):
        if norm not in NORMS:
            names = ", ".join(map(repr, NORMS))
            raise ValueError(f"norm must be one of {names}, or a class or partial, not {norm!r}")
        norm = NORMS[norm]
    if not callable(norm):
        raise TypeError(f"norm must be a name, a class or a partial, not {norm!r}")
    make: Callable[..., nn.Module] = norm
    options = {"gate": gate} if isinstance(norm, type) and issubclass(norm, AdaptiveNorm) else {}
    return make(num_features, **options)
