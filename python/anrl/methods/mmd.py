"""Alignment of the source domains' features by maximum mean discrepancy.

After MMD-AAE (Li, Pan, Wang, Kot: Domain generalization with adversarial feature learning, CVPR 2018),
without its adversarial autoencoder.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from anrl.data import DomainBatch
from anrl.losses import MMDLoss
from anrl.methods.base import Method, MethodOptions
from anrl.methods.meta_learning import DomainLosses, LossWeights, forward_jointly, joint_loss


@dataclass(frozen=True)
class MMDOptions(MethodOptions):
    """Options of :class:`MMD`."""

    name: str = "mmd"
    weight: float = 1.0
    """Weight of the discrepancy, averaged over pairs of domains."""
    bandwidths: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 4.0)
    """Widths of the kernel's Gaussians, in units of the mean squared distance of the batch's features."""


class MMD(Method):
    """Classification and depth, and the discrepancy between the features of every two domains."""

    Options = MMDOptions

    def forward(self, batches: Sequence[DomainBatch], step: int) -> tuple[Tensor, list[DomainLosses]]:
        """Compute the loss; see :meth:`Method.forward`."""
        options = self.options
        weights = LossWeights(options.classification_weight, options.depth_weight, 0.0, 0.0)
        outputs = forward_jointly(self.model, batches)
        loss, parts = joint_loss(outputs, batches, None, weights)
        dtype = next(self.model.parameters()).dtype
        features = [output.features.mean((2, 3)).to(dtype) for output in outputs]
        return loss + options.weight * MMDLoss(options.bandwidths)(features), parts
