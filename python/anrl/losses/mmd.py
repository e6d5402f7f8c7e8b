"""Maximum mean discrepancy between the features of domains."""

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor, nn


def squared_mmd(a: Tensor, b: Tensor, bandwidths: Sequence[float]) -> Tensor:
    """Estimate the squared maximum mean discrepancy of two samples under a mixture of Gaussian kernels.

    The biased estimate of Gretton et al. (A kernel two-sample test, JMLR 2012), which is never negative.

    Args:
        a: (N, D).
        b: (M, D).
        bandwidths: Of the Gaussians, in units of the mean squared distance between all N + M vectors.

    Returns:
        The estimate, a scalar.
    """
    joined = torch.cat([a, b])
    squares = (joined[:, None] - joined[None]).square().sum(2)
    scale = squares.detach().mean().clamp_min(torch.finfo(squares.dtype).tiny)
    kernel = torch.stack([torch.exp(-squares / (factor * scale)) for factor in bandwidths]).mean(0)
    n = len(a)
    return kernel[:n, :n].mean() + kernel[n:, n:].mean() - 2 * kernel[:n, n:].mean()


class MMDLoss(nn.Module):
    """Squared maximum mean discrepancy, averaged over all pairs of domains.

    Args:
        bandwidths: Of the kernel's Gaussians, in units of a pair's mean squared distance.

    Raises:
        ValueError: there are no bandwidths, or the features are of fewer than two domains.
    """

    def __init__(self, bandwidths: Sequence[float]) -> None:
        super().__init__()
        if not bandwidths:
            raise ValueError("bandwidths must hold at least one number")
        self.bandwidths = tuple(bandwidths)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Features of each domain, (N_k, D) → scalar."""
        if len(features) < 2:
            raise ValueError(
                f"the discrepancy is between at least 2 domains, got features of {len(features)}"
            )
        pairs = [squared_mmd(a, b, self.bandwidths) for a, b in combinations(features, 2)]
        return torch.stack(pairs).mean()

    def extra_repr(self) -> str:
        """The arguments, as torch's own losses print them."""
        return f"bandwidths={self.bandwidths}"
