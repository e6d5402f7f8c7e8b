"""ANRL: adaptive normalization, dual calibration losses, meta-learning of the gates (ACM MM 2021)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from anrl.data import DomainBatch
from anrl.errors import ConfigError
from anrl.losses import DualCalibration
from anrl.methods.base import Method, MethodOptions
from anrl.methods.meta_learning import DomainLosses, LossWeights, joint_step
from anrl.models.base import Model


@dataclass(frozen=True)
class ANRLOptions(MethodOptions):
    """Options of :class:`ANRL`; the defaults are the official code's but for ``center_init``."""

    name: str = "anrl"
    inter_domain_weight: float = LossWeights().inter_domain
    """Weight of the inter-domain compatible loss."""
    inter_class_weight: float = LossWeights().inter_class
    """Weight of the inter-class separable loss."""
    center_momentum: float = 0.9
    """Weight of the old class center when it moves."""
    center_init: Literal["first", "ones"] = "first"
    """Start of the class centers: the mean of the first batch, or ones as in the official code."""
    margin: float | None = None
    """Margin of the calibration losses, which are unbounded below without one."""
    meta_learning: bool = True
    """Whether to take the meta step; without it all domains are forwarded together."""
    meta_train_domains: int = 2
    """Number of meta-train domains in a step; the others are meta-test."""
    inner_lr: float = 1e-4
    """Step size of the inner update of the gates."""
    first_order: bool = False
    """Whether the inner gradient counts as a constant."""
    detach_base: bool = False
    """Whether the inner update starts from detached parameters, as in the official code."""
    batch_statistics: Literal["domain", "joint"] = "domain"
    """Batch statistics of each domain by itself, or of all domains together."""

    def check(self, num_domains: int) -> None:
        """Check that a domain is left for meta-test."""
        if self.meta_learning and not 1 <= self.meta_train_domains < num_domains:
            raise ConfigError(
                f"{self.meta_train_domains} of {num_domains} domains; at least one must be left for "
                "meta-test",
                key="method.meta_train_domains",
            )


class ANRL(Method):
    """The losses and the meta step of ANRL; its options switch the parts off one by one (the ablation)."""

    Options = ANRLOptions

    def __init__(self, options: ANRLOptions, model: Model, num_domains: int, seed: int) -> None:
        super().__init__(options, model, num_domains, seed)
        self.weights = LossWeights(
            options.classification_weight,
            options.depth_weight,
            options.inter_domain_weight,
            options.inter_class_weight,
        )
        self.calibration = DualCalibration(
            num_domains, model.num_features, options.center_momentum, options.center_init, options.margin
        )
        self.calibration.synchronized = True

    def forward(self, batches: Sequence[DomainBatch], step: int) -> tuple[Tensor, list[DomainLosses]]:
        """Compute the loss; ``step`` decides which domains are meta-train."""
        options, weights = self.options, self.weights
        calibration = self.calibration if weights.inter_domain or weights.inter_class else None
        if not options.meta_learning:
            return joint_step(self.model, calibration, batches, weights)
        return self.drawn_meta_step(
            calibration,
            batches,
            step,
            options.meta_train_domains,
            inner_lr=options.inner_lr,
            first_order=options.first_order,
            detach_base=options.detach_base,
            batch_statistics=options.batch_statistics,
            weights=weights,
        )
