"""Distances between features and class centers, for the dual calibration losses.

Two bilinear operations are each other's derivatives, so the kernels serve every order of differentiation.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from anrl import _anrl
from anrl.ops.operators import kernels_serve

_DTYPES = (torch.float32, torch.float64)


def center_distances(features: Tensor, centers: Tensor) -> Tensor:
    """Compute the mean over dimensions of ``(features - centers)²``, for every sample and center.

    Args:
        features: (N, D).
        centers: (M, D), of the same type.

    Returns:
        (N, M).

    Raises:
        ValueError: the shapes do not fit.
    """
    if features.dim() != 2 or centers.dim() != 2 or features.shape[1] != centers.shape[1]:
        raise ValueError(
            f"expected features (N, D) and centers (M, D), got {tuple(features.shape)} and "
            f"{tuple(centers.shape)}"
        )
    same = features.dtype == centers.dtype and features.dtype in _DTYPES
    if not same or features.numel() == 0 or not kernels_serve(features, centers):
        return center_distances_reference(features, centers)
    return _products(features, centers, features, centers)


def center_distances_reference(features: Tensor, centers: Tensor) -> Tensor:
    """Reference of :func:`center_distances` in plain torch."""
    return (features[:, None] - centers).square().mean(2)


def _products(a: Tensor, b: Tensor, x: Tensor, c: Tensor) -> Tensor:
    """Mean over d of (a[n] - b[m]) * (x[n] - c[m]): (N, M)."""
    if not kernels_serve(a, b, x, c):
        return ((a[:, None] - b) * (x[:, None] - c)).mean(2)
    products: Tensor = _Products.apply(a, b, x, c)  # type: ignore[no-untyped-call]  # torch's Function is untyped
    return products


def _products_gradient(w: Tensor, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Σ over m of w[n, m] * (x[n] - c[m]) / D and Σ over n of w[n, m] * (c[m] - x[n]) / D."""
    if not kernels_serve(w, x, c):
        weighted = w[:, :, None] * (x[:, None] - c) / x.shape[1]
        return weighted.sum(1), -weighted.sum(0)
    to_a, to_b = _ProductsGradient.apply(w, x, c)  # type: ignore[no-untyped-call]  # as above
    return to_a, to_b


class _Products(Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, x: Tensor, c: Tensor) -> Tensor:
        ctx.save_for_backward(a, b, x, c)
        return _anrl.center_products(*(t.contiguous() for t in (a, b, x, c)))

    @staticmethod
    def backward(ctx: Any, w: Tensor) -> tuple[Tensor, ...]:
        a, b, x, c = ctx.saved_tensors
        return *_products_gradient(w, x, c), *_products_gradient(w, a, b)


class _ProductsGradient(Function):
    @staticmethod
    def forward(ctx: Any, w: Tensor, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(w, x, c)
        return _anrl.center_products_gradient(*(t.contiguous() for t in (w, x, c)))

    @staticmethod
    def backward(ctx: Any, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        w, x, c = ctx.saved_tensors
        return _products(u, v, x, c), *_products_gradient(w, u, v)
