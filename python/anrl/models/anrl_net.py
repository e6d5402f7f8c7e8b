"""The ANRL network: feature extractor, classifier and depth estimator."""

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from anrl.models.conv_block import ConvBlock


class ANRLOutput(NamedTuple):
    """What the network says of a batch of N images of S x S pixels."""

    logits: Tensor
    """(N, 2): bona fide, attack. ``softmax(logits, 1)[:, 1]`` is the probability of attack."""
    depth: Tensor
    """(N, 1, S/8, S/8), at least 0; bona fide faces are trained towards their depth, attacks towards 0."""
    features: Tensor
    """(N, 384 * width, S/8, S/8)."""


class ANRLNet(nn.Module):
    """The network of ANRL (section 4.1; layer sizes as in the official code).

    Args:
        in_channels: Channels of the input: 6 for RGB and HSV.
        width: Factor on every number of channels; 1.0 is the published network.
        norm: Normalization of the feature extractor: "adaptive", "batch" or "instance". Classifier and depth
            estimator always use batch normalization.
        gate: The gate of adaptive normalization: "1layer", "2layer", "static" or "dual".

    Raises:
        ValueError: ``norm`` or ``gate`` is unknown, ``width`` is not positive, or an input's sides are not
            divisible by 8.
    """

    def __init__(
        self, in_channels: int = 6, width: float = 1.0, norm: str = "adaptive", gate: str = "1layer"
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

    def forward(self, x: Tensor) -> ANRLOutput:
        """(N, in_channels, S, S) → logits, depth, features."""
        if x.dim() != 4 or x.shape[2] % 8 or x.shape[3] % 8 or 0 in x.shape:
            raise ValueError(f"expected (N, C, H, W) with H and W divisible by 8, got {tuple(x.shape)}")
        features = self.extractor(x)
        return ANRLOutput(self.classifier(features), self.depth_estimator(features), features)


class FeatureExtractor(nn.Module):
    """A stem and three stages of three blocks, each ended by 2x2 max pooling; all stages concatenated."""

    def __init__(self, in_channels: int, channels: list[int], norm: str, gate: str) -> None:
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
        height, width = x.shape[2:]
        return torch.cat([F.adaptive_avg_pool2d(y, (height, width)) for y in outputs[:-1]] + [x], 1)


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
            if i > 0 and min(x.shape[2:]) > 1:
                x = F.max_pool2d(x, 2)
            x = block(x)
        logits: Tensor = self.fc(x.mean((2, 3)))
        return logits


class DepthEstimator(nn.Sequential):
    """Blocks down to one channel; the last one ends in ReLU too, so depth is not negative."""

    def __init__(self, channels: list[int]) -> None:
        """``channels``: of the input and of every block."""
        super().__init__(*(ConvBlock(before, after) for before, after in pairwise(channels)))
