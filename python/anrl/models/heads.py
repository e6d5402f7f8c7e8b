"""Heads on a feature map: classifier and depth estimator."""

from itertools import pairwise

from torch import Tensor, nn

from anrl.models.conv_block import ConvBlock


class PooledClassifier(nn.Module):
    """Global average pooling and a linear layer to two logits.

    Args:
        num_features: Channels of the feature map.
    """

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.fc = nn.Linear(num_features, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) → (N, 2)."""
        logits: Tensor = self.fc(x.mean((2, 3)))
        return logits


class DepthEstimator(nn.Sequential):
    """Blocks down to one channel; the last one ends in ReLU too, so depth is not negative.

    Args:
        channels: Channels of the feature map and of every block; the last is 1.
    """

    def __init__(self, channels: list[int]) -> None:
        super().__init__(*(ConvBlock(before, after) for before, after in pairwise(channels)))
