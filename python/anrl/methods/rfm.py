"""Meta-learning of the whole network, regularized by depth.

After RFM (Shao, Lan, Yuen: Regularized fine-grained meta face anti-spoofing, AAAI 2020): the inner step
changes every parameter, not only the gates of a normalization.
"""

from collections.abc import Sequence

from torch import Tensor

from anrl.config import Config
from anrl.methods.base import Method, drawn_meta_step
from anrl.methods.meta_step import DomainBatch, DomainLosses, LossWeights
from anrl.models import ANRLNet


class RFM(Method):
    """Classification and depth in a meta step over all parameters, with one domain as meta-test.

    Args:
        config: The run; its ``meta.first_order`` counts.
        model: The network.
        inner_lr: Step size of the inner update.
    """

    def __init__(self, config: Config, model: ANRLNet, inner_lr: float = 1e-3) -> None:
        super().__init__()
        self.model, self.inner_lr = model, inner_lr
        self.seed, self.first_order = config.seed, config.meta.first_order
        self.weights = LossWeights(config.loss.classification, config.loss.depth, 0.0, 0.0)

    def forward(self, batches: Sequence[DomainBatch], number: int) -> tuple[Tensor, list[DomainLosses]]:
        """See :meth:`Method.forward`."""
        return drawn_meta_step(
            self.model,
            None,
            batches,
            seed=self.seed,
            number=number,
            train_domains=len(batches) - 1,
            inner_lr=self.inner_lr,
            first_order=self.first_order,
            weights=self.weights,
            adapted=dict(self.model.named_parameters()),
        )
