"""Distances between features and class centres, for the dual calibration losses.

Two bilinear operations are each other's derivatives, so the kernels serve every order of differentiation.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from anrl import _anrl
from anrl.ops.kernels import kernels_serve

_DTYPES = (torch.float32, torch.float64)


def centre_distances(features: Tensor, centres: Tensor) -> Tensor:
    """Mean over dimensions of ``(features - centres)²``, for every sample and centre.

    Args:
        features: (N, D).
        centres: (M, D), of the same type.

    Returns:
        (N, M).

    Raises:
        ValueError: the shapes do not fit.
    """
    if features.dim() != 2 or centres.dim() != 2 or features.shape[1] != centres.shape[1]:
        raise ValueError(
            f"expected features (N, D) and centres (M, D), got {tuple(features.shape)} and "
            f"{tuple(centres.shape)}"
        )
    same = features.dtype == centres.dtype and features.dtype in _DTYPES
    if not same or features.numel() == 0 or not kernels_serve(features, centres):
        return centre_distances_twin(features, centres)
    distances: Tensor = _Products.apply(features, centres, features, centres)  # type: ignore[no-untyped-call]
    return distances


def centre_distances_twin(features: Tensor, centres: Tensor) -> Tensor:
    """The same as :func:`centre_distances` in plain torch."""
    return (features[:, None] - centres).square().mean(2)


class _Products(Function):
    """(a, b, x, c) → mean over d of (a[n] - b[m]) * (x[n] - c[m]): (N, M)."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, x: Tensor, c: Tensor) -> Tensor:
        ctx.save_for_backward(a, b, x, c)
        return _anrl.center_products(*(t.contiguous() for t in (a, b, x, c)))

    @staticmethod
    def backward(ctx: Any, w: Tensor) -> tuple[Tensor, ...]:
        a, b, x, c = ctx.saved_tensors
        to_a, to_b = _Spread.apply(w, x, c)  # type: ignore[no-untyped-call]  # torch's Function is untyped
        to_x, to_c = _Spread.apply(w, a, b)  # type: ignore[no-untyped-call]  # as above
        return to_a, to_b, to_x, to_c


class _Spread(Function):
    """(w, x, c) → Σ over m of w[n, m] * (x[n] - c[m]) / D and Σ over n of w[n, m] * (c[m] - x[n]) / D."""

    @staticmethod
    def forward(ctx: Any, w: Tensor, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(w, x, c)
        return _anrl.center_products_gradient(*(t.contiguous() for t in (w, x, c)))

    @staticmethod
    def backward(ctx: Any, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        w, x, c = ctx.saved_tensors
        to_w = _Products.apply(u, v, x, c)  # type: ignore[no-untyped-call]  # as above
        to_x, to_c = _Spread.apply(w, u, v)  # type: ignore[no-untyped-call]  # as above
        return to_w, to_x, to_c
