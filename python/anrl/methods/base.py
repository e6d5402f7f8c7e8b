"""Base class of the methods, and the options that all of them have."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn

from anrl.data import DomainBatch
from anrl.losses import DualCalibration
from anrl.methods.meta_learning import DomainLosses, LossWeights, meta_step
from anrl.models.base import Model
from anrl.nn import average_tensors


@dataclass(frozen=True)
class MethodOptions:
    """Options of every method; those of a method are its constructor argument and its configuration."""

    name: str
    """A key of ``anrl.methods.METHODS``."""
    classification_weight: float = LossWeights().classification
    """Weight of the cross-entropy."""
    depth_weight: float = LossWeights().depth
    """Weight of the mean squared error of the depth map; 0 trains without depth."""

    def check(self, num_domains: int) -> None:
        """Check the options against the number of source domains.

        Raises:
            ConfigError: an option does not fit.
        """


class Method(nn.Module, ABC):
    """A network, and what is needed to train it: losses, further networks, moving averages.

    Args:
        options: An instance of the class's ``Options``.
        model: The network.
        num_domains: Number of source domains.
        seed: Seed of what the method draws.
    """

    Options: ClassVar[type[MethodOptions]]
    """The dataclass of the method's options."""
    model: Model
    """The network that is evaluated and used later; everything else serves training only."""

    def __init__(self, options: Any, model: Model, num_domains: int, seed: int) -> None:
        super().__init__()
        self.options, self.model, self.num_domains, self.seed = options, model, num_domains, seed

    @abstractmethod
    def forward(self, batches: Sequence[DomainBatch], step: int) -> tuple[Tensor, list[DomainLosses]]:
        """Compute the loss of a batch with its graph, and its parts for every domain.

        Args:
            batches: One batch for each source domain, always in the same order.
            step: Number of the batch, counted from the start of training. Random choices depend on it and on
                the seed only, so that a resumed run makes them again.
        """

    def drawn_meta_step(
        self,
        calibration: DualCalibration | None,
        batches: Sequence[DomainBatch],
        step: int,
        num_meta_train: int,
        **options: Any,
    ) -> tuple[Tensor, list[DomainLosses]]:
        """Take a meta step whose meta-train domains are drawn anew for every batch.

        Args:
            calibration: The calibration losses, or None.
            batches: One batch for each domain.
            step: Number of the batch.
            num_meta_train: Number of meta-train domains.
            options: Further arguments of :func:`anrl.methods.meta_step`.

        Returns:
            The loss with its graph, and the parts of every domain, in the order of ``batches``.
        """
        order = np.random.default_rng([self.seed, step]).permutation(len(batches)).tolist()
        train, test = order[:num_meta_train], order[num_meta_train:]
        loss, parts = meta_step(
            self.model,
            calibration,
            batches,
            meta_train=train,
            meta_test=test,
            reduce_gradients=average_tensors,
            **options,
        )
        by_domain = dict(zip(order, parts.train + parts.test, strict=True))
        return loss, [by_domain[k] for k in range(len(batches))]
