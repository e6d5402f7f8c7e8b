"""Alignment of the source domains' features by maximum mean discrepancy.

After MMD-AAE (Li, Pan, Wang, Kot: Domain generalization with adversarial feature learning, CVPR 2018),
without its adversarial autoencoder.
"""

from collections.abc import Sequence

from torch import Tensor

from anrl.config import Config
from anrl.losses import MMDLoss
from anrl.methods.base import Method
from anrl.methods.meta_step import DomainBatch, DomainLosses, LossWeights, forward_jointly, joint_loss
from anrl.models import ANRLNet


class MMD(Method):
    """Classification and depth, and the discrepancy between the features of every two domains.

    Args:
        config: The run.
        model: The network.
        weight: Of the discrepancy, averaged over pairs of domains.
        bandwidths: Of the kernel's Gaussians, in units of the mean squared distance of the batch's features.
    """

    def __init__(
        self,
        config: Config,
        model: ANRLNet,
        weight: float = 1.0,
        bandwidths: Sequence[float] = (0.25, 0.5, 1.0, 2.0, 4.0),
    ) -> None:
        super().__init__()
        self.model, self.weight, self.discrepancy = model, weight, MMDLoss(bandwidths)
        self.weights = LossWeights(config.loss.classification, config.loss.depth, 0.0, 0.0)

    def forward(self, batches: Sequence[DomainBatch], number: int) -> tuple[Tensor, list[DomainLosses]]:
        """See :meth:`Method.forward`."""
        outputs = forward_jointly(self.model, batches)
        loss, parts = joint_loss(outputs, batches, None, self.weights)
        dtype = next(self.model.parameters()).dtype
        features = [output.features.mean((2, 3)).to(dtype) for output in outputs]
        return loss + self.weight * self.discrepancy(features), parts
