"""ANRL: adaptive normalization, calibration losses, meta-learning of the gates. Switched off one by one by
configuration, they make the rows of the paper's ablation."""

from collections.abc import Sequence

from torch import Tensor

from anrl.config import Config
from anrl.losses import DualCalibration
from anrl.methods.base import Method, drawn_meta_step
from anrl.methods.meta_step import DomainBatch, DomainLosses, LossWeights, joint_step
from anrl.models import ANRLNet


class ANRL(Method):
    """The network with the losses and the meta step that a configuration asks for.

    Args:
        config: The run.
        model: The network.
    """

    def __init__(self, config: Config, model: ANRLNet) -> None:
        super().__init__()
        self.seed, self.meta = config.seed, config.meta
        loss = config.loss
        self.weights = LossWeights(loss.classification, loss.depth, loss.inter_domain, loss.inter_class)
        self.model = model
        self.calibration = DualCalibration(
            len(config.sources), model.num_features, loss.momentum, loss.init, loss.margin
        )
        self.calibration.synchronized = True

    def forward(self, batches: Sequence[DomainBatch], number: int) -> tuple[Tensor, list[DomainLosses]]:
        """See :meth:`Method.forward`; ``number`` decides which domains are meta-train."""
        weights = self.weights
        calibration = self.calibration if weights.inter_domain or weights.inter_class else None
        if not self.meta.enabled:
            return joint_step(self.model, calibration, batches, weights)
        return drawn_meta_step(
            self.model,
            calibration,
            batches,
            seed=self.seed,
            number=number,
            train_domains=self.meta.train_domains,
            inner_lr=self.meta.inner_lr,
            first_order=self.meta.first_order,
            detach_base=self.meta.detach_base,
            statistics=self.meta.statistics,
            weights=weights,
        )
