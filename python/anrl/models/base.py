"""The interface of every network."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from anrl.models.output import ModelOutput


class Model(nn.Module, ABC):
    """A feature extractor with two heads on its feature map: a classifier and a depth estimator."""

    num_features: int
    """D, the number of channels of the feature map."""
    depth_estimator: nn.Module
    """(N, D, h, w) → (N, 1, h, w)."""

    @abstractmethod
    def extract(self, x: Tensor) -> Tensor:
        """Compute the feature map: (N, C, H, W) → (N, D, h, w)."""

    @abstractmethod
    def classify(self, features: Tensor) -> Tensor:
        """Compute logits from the feature map: (N, D, h, w) → (N, 2)."""

    def forward(self, x: Tensor) -> ModelOutput:
        """(N, C, H, W) → logits, depth, features."""
        features = self.extract(x)
        return ModelOutput(self.classify(features), self.depth_estimator(features), features)
