"""Meta-learning of the whole network, regularized by depth.

After RFM (Shao, Lan, Yuen: Regularized fine-grained meta face anti-spoofing, AAAI 2020): the inner step
changes every parameter, not only the gates of a normalization.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from anrl.data import DomainBatch
from anrl.methods.base import Method, MethodOptions
from anrl.methods.meta_learning import DomainLosses, LossWeights


@dataclass(frozen=True)
class RFMOptions(MethodOptions):
    """Options of :class:`RFM`."""

    name: str = "rfm"
    inner_lr: float = 1e-3
    """Step size of the inner update."""
    first_order: bool = False
    """Whether the inner gradient counts as a constant."""


class RFM(Method):
    """Classification and depth in a meta step over all parameters, with one domain as meta-test."""

    Options = RFMOptions

    def forward(self, batches: Sequence[DomainBatch], step: int) -> tuple[Tensor, list[DomainLosses]]:
        """Compute the loss; ``step`` decides which domains are meta-train."""
        options = self.options
        return self.drawn_meta_step(
            None,
            batches,
            step,
            len(batches) - 1,
            inner_lr=options.inner_lr,
            first_order=options.first_order,
            weights=LossWeights(options.classification_weight, options.depth_weight, 0.0, 0.0),
            inner_parameters=dict(self.model.named_parameters()),
        )
