"""Single-side domain generalization: bona fide faces of all domains are alike, attacks need not be.

Jia, Zhang, Shan, Chen: Single-side domain generalization for face anti-spoofing, CVPR 2020. The weights of
its losses and the ramp are those of its published code (for ResNet-18).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional as F

from anrl.data import DomainBatch
from anrl.losses import triplet_loss
from anrl.methods.base import Method, MethodOptions
from anrl.methods.meta_learning import DomainLosses, LossWeights, forward_jointly, joint_loss
from anrl.models.base import Model


@dataclass(frozen=True)
class SSDGOptions(MethodOptions):
    """Options of :class:`SSDG`."""

    name: str = "ssdg"
    triplet_weight: float = 2.0
    """Weight of the triplet loss: bona fide features of all domains are one class, attacks of each domain
    another."""
    adversarial_weight: float = 0.1
    """Weight of the discriminator's loss, whose gradient is reversed on its way to the network."""
    margin: float = 0.1
    """Margin of the triplet loss."""
    ramp: int = 4000
    """Batches after which the reversed gradient has nearly its full size."""


class SSDG(Method):
    """Classification and depth, an asymmetric triplet loss, a domain discriminator for bona fide features."""

    Options = SSDGOptions

    def __init__(self, options: SSDGOptions, model: Model, num_domains: int, seed: int) -> None:
        super().__init__(options, model, num_domains, seed)
        size = model.num_features
        self.discriminator = nn.Sequential(nn.Linear(size, size), nn.ReLU(), nn.Linear(size, num_domains))

    def forward(self, batches: Sequence[DomainBatch], step: int) -> tuple[Tensor, list[DomainLosses]]:
        """Compute the loss; see :meth:`Method.forward`."""
        options = self.options
        weights = LossWeights(options.classification_weight, options.depth_weight, 0.0, 0.0)
        outputs = forward_jointly(self.model, batches)
        loss, parts = joint_loss(outputs, batches, None, weights)
        pooled = torch.cat([output.features.mean((2, 3)) for output in outputs])
        features = F.normalize(pooled.to(next(self.model.parameters()).dtype))
        label = torch.cat([batch.label for batch in batches])
        sizes = torch.tensor([len(batch.label) for batch in batches], device=label.device)
        domain = torch.arange(len(batches), device=label.device).repeat_interleave(sizes)
        strength = 2 / (1 + math.exp(-10 * step / options.ramp)) - 1
        reversed_: Tensor = _Reverse.apply(features[label == 0], strength)  # type: ignore[no-untyped-call]  # torch's
        adversarial = F.cross_entropy(self.discriminator(reversed_), domain[label == 0])
        triplet = triplet_loss(features, label * (domain + 1), options.margin)
        return loss + options.triplet_weight * triplet + options.adversarial_weight * adversarial, parts


class _Reverse(Function):
    """The identity, whose gradient is reversed."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradient, None
