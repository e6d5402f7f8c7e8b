"""Empirical risk minimization: all source domains in one batch, classification and auxiliary depth."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from anrl.data import DomainBatch
from anrl.methods.base import Method, MethodOptions
from anrl.methods.meta_learning import DomainLosses, LossWeights, joint_step


@dataclass(frozen=True)
class ERMOptions(MethodOptions):
    """Options of :class:`ERM`."""

    name: str = "bn"


class ERM(Method):
    """Cross-entropy and the depth loss over all source domains; the normalization is the network's."""

    Options = ERMOptions

    def forward(self, batches: Sequence[DomainBatch], step: int) -> tuple[Tensor, list[DomainLosses]]:
        """Compute the loss; see :meth:`Method.forward`."""
        weights = LossWeights(self.options.classification_weight, self.options.depth_weight, 0.0, 0.0)
        return joint_step(self.model, None, batches, weights)
