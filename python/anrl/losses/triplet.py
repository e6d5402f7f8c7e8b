"""Triplet loss over all triplets of a batch."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def triplet_loss(features: Tensor, classes: Tensor, margin: float) -> Tensor:
    """Average the excess over all triplets that violate the margin.

    A triplet is an anchor, a positive of the anchor's class and a negative of another; its excess is
    ``|anchor - positive| - |anchor - negative| + margin``. Without a violation the loss is 0.

    Args:
        features: (N, D).
        classes: (N,).
        margin: Distance by which negatives should be farther off than positives.

    Returns:
        The loss, a scalar.
    """
    squares = (features[:, None] - features[None]).square().sum(2)
    # The root has no derivative at 0; equal features count as a constant.
    distances = torch.where(squares > 0, squares, 1.0).sqrt() * (squares > 0)
    same = classes[:, None] == classes[None]
    positive = same & ~torch.eye(len(features), dtype=torch.bool, device=features.device)
    excess = distances[:, :, None] - distances[:, None, :] + margin
    excess = F.relu(excess) * (positive[:, :, None] & ~same[:, None, :])
    return excess.sum() / (excess > 0).sum().clamp_min(1)


class TripletLoss(nn.Module):
    """Triplet loss over all triplets of a batch that violate the margin.

    With bona fide samples of all domains as one class and the attacks of each domain as another, this is the
    asymmetric triplet loss of SSDG (Jia, Zhang, Shan, Chen: Single-side domain generalization for face
    anti-spoofing, CVPR 2020).

    Args:
        margin: Distance by which negatives should be farther off than positives.
    """

    def __init__(self, margin: float) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, features: Tensor, classes: Tensor) -> Tensor:
        """Features (N, D), classes (N,) → scalar; see :func:`triplet_loss`."""
        return triplet_loss(features, classes, self.margin)

    def extra_repr(self) -> str:
        """The arguments, as torch's own losses print them."""
        return f"margin={self.margin}"
