"""The ANRL network: feature extractor, classifier and depth estimator."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from anrl.models.base import Model
from anrl.models.conv_block import ConvBlock
from anrl.models.heads import DepthEstimator
from anrl.nn import NormLayer
from anrl.ops.operators import sizes


class ANRLNet(Model):
    """The network of ANRL (section 4.1; layer sizes as in the official code).

    Args:
        in_channels: Channels of the input: 6 for RGB and HSV.
        width: Factor on every number of channels; 1.0 is the published network.
        norm: Normalization of the feature extractor: "adaptive", "batch" or "instance"; or a class or partial
            that is called with the number of channels. Classifier and depth estimator always use batch
            normalization.
        gate: The gate of "adaptive": "1layer", "2layer", "static" or "dual".

    Raises:
        ValueError: ``norm`` or ``gate`` is unknown, ``width`` is not positive, or an input's sides are not
            divisible by 8.
    """

    def __init__(
        self,
        in_channels: int = 6,
        width: float = 1.0,
        norm: NormLayer = "adaptive",
        gate: str = "1layer",
    ) -> None:
        super().__init__()
        if width <= 0:
            raise ValueError(f"width must be positive, got {width}")

        def scaled(channels: int) -> int:
            return max(4, round(channels * width))

        self.extractor = FeatureExtractor(in_channels, [scaled(c) for c in (64, 128, 196)], norm, gate)
        self.num_features = self.extractor.num_features
        self.classifier = Classifier([self.num_features, *(scaled(c) for c in (128, 256, 512))])
        self.depth_estimator = DepthEstimator([self.num_features, *(scaled(c) for c in (128, 64)), 1])

    def extract(self, x: Tensor) -> Tensor:
        """Compute the feature map: (N, in_channels, H, W) → (N, num_features, H/8, W/8)."""
        shape = sizes(x)
        if len(shape) != 4 or shape[2] % 8 or shape[3] % 8 or 0 in shape:
            raise ValueError(f"expected (N, C, H, W) with H and W divisible by 8, got {tuple(x.shape)}")
        features: Tensor = self.extractor(x)
        return features

    def classify(self, features: Tensor) -> Tensor:
        """Compute logits from the feature map: (N, num_features, h, w) → (N, 2)."""
        logits: Tensor = self.classifier(features)
        return logits


class FeatureExtractor(nn.Module):
    """A stem and three stages of three blocks, each ended by 2x2 max pooling; all stages concatenated."""

    def __init__(self, in_channels: int, channels: list[int], norm: NormLayer, gate: str) -> None:
        """``channels``: of the stem, and of the outer and inner blocks of a stage."""
        super().__init__()
        stem, outer, inner = channels
        self.stem = ConvBlock(in_channels, stem, norm, gate)
        self.stages = nn.ModuleList(
            nn.Sequential(
                ConvBlock(into, outer, norm, gate),
                ConvBlock(outer, inner, norm, gate),
                ConvBlock(inner, outer, norm, gate),
            )
            for into in (stem, outer, outer)
        )
        self.num_features = 3 * outer

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) → (N, num_features, H/8, W/8)."""
        x = self.stem(x)
        outputs = []
        for stage in self.stages:
            x = F.max_pool2d(stage(x), 2)
            outputs.append(x)
        first, second, last = outputs
        return torch.cat([F.avg_pool2d(first, 4), F.avg_pool2d(second, 2), last], 1)


class Classifier(nn.Module):
    """Blocks with 2x2 max pooling between them, global average pooling, a linear layer to two logits."""

    def __init__(self, channels: list[int]) -> None:
        """``channels``: of the input and of every block."""
        super().__init__()
        self.blocks = nn.ModuleList(ConvBlock(before, after) for before, after in pairwise(channels))
        self.fc = nn.Linear(channels[-1], 2)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, 2)."""
        for i, block in enumerate(self.blocks):
            if i > 0 and min(sizes(x)[2:]) > 1:
                x = F.max_pool2d(x, 2)
            x = block(x)
        logits: Tensor = self.fc(x.mean((2, 3)))
        return logits
