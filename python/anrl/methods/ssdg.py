"""Single-side domain generalization: bona fide faces of all domains are alike, attacks need not be.

Jia, Zhang, Shan, Chen: Single-side domain generalization for face anti-spoofing, CVPR 2020. The weights of
its losses and the ramp are those of its published code (for ResNet-18).
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional as F

from anrl.config import Config
from anrl.losses import triplet_loss
from anrl.methods.base import Method
from anrl.methods.meta_step import DomainBatch, DomainLosses, LossWeights, forward_jointly, joint_loss
from anrl.models import ANRLNet


class SSDG(Method):
    """Classification and depth, an asymmetric triplet loss, a domain discriminator for bona fide features.

    Args:
        config: The run.
        model: The network.
        triplet: Weight of the triplet loss: bona fide features of all domains are one class, the attacks of
            each domain another.
        adversarial: Weight of the discriminator's loss, whose gradient is reversed on its way to the network.
        margin: Of the triplet loss.
        ramp: Batches after which the reversed gradient has nearly its full size.
    """

    def __init__(
        self,
        config: Config,
        model: ANRLNet,
        triplet: float = 2.0,
        adversarial: float = 0.1,
        margin: float = 0.1,
        ramp: int = 4000,
    ) -> None:
        super().__init__()
        self.model = model
        self.triplet, self.adversarial, self.margin, self.ramp = triplet, adversarial, margin, ramp
        self.weights = LossWeights(config.loss.classification, config.loss.depth, 0.0, 0.0)
        size = model.num_features
        self.discriminator = nn.Sequential(
            nn.Linear(size, size), nn.ReLU(), nn.Linear(size, len(config.sources))
        )

    def forward(self, batches: Sequence[DomainBatch], number: int) -> tuple[Tensor, list[DomainLosses]]:
        """See :meth:`Method.forward`."""
        outputs = forward_jointly(self.model, batches)
        loss, parts = joint_loss(outputs, batches, None, self.weights)
        pooled = torch.cat([output.features.mean((2, 3)) for output in outputs])
        features = F.normalize(pooled.to(next(self.model.parameters()).dtype))
        label = torch.cat([batch.label for batch in batches])
        sizes = torch.tensor([len(batch.label) for batch in batches], device=label.device)
        domain = torch.arange(len(batches), device=label.device).repeat_interleave(sizes)
        strength = 2 / (1 + math.exp(-10 * number / self.ramp)) - 1
        reversed_: Tensor = _Reverse.apply(features[label == 0], strength)  # type: ignore[no-untyped-call]  # torch's
        adversarial = F.cross_entropy(self.discriminator(reversed_), domain[label == 0])
        triplet = triplet_loss(features, label * (domain + 1), self.margin)
        loss = loss + self.triplet * triplet + self.adversarial * adversarial
        return loss, parts


class _Reverse(Function):
    """The identity, whose gradient is reversed."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradient, None
