"""What every method is, and what some share."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from anrl.losses import DualCalibration
from anrl.methods.meta_step import DomainBatch, DomainLosses, meta_step
from anrl.models import ANRLNet
from anrl.nn import average_tensors


def drawn_meta_step(
    model: ANRLNet,
    calibration: DualCalibration | None,
    batches: Sequence[DomainBatch],
    *,
    seed: int,
    number: int,
    train_domains: int,
    **options: Any,
) -> tuple[Tensor, list[DomainLosses]]:
    """A meta step whose meta-train domains are drawn anew for every batch, by the seed and its number.

    Args:
        model: The network.
        calibration: The calibration losses, or None.
        batches: One batch for each domain.
        seed: See above.
        number: See above.
        train_domains: How many domains are meta-train.
        options: Of :func:`anrl.methods.meta_step`.

    Returns:
        The loss with its graph, and the parts of every domain, in the order of ``batches``.
    """
    order = np.random.default_rng([seed, number]).permutation(len(batches)).tolist()
    train, test = order[:train_domains], order[train_domains:]
    loss, parts = meta_step(
        model, calibration, batches, meta_train=train, meta_test=test, average=average_tensors, **options
    )
    by_domain = dict(zip(order, parts.train + parts.test, strict=True))
    return loss, [by_domain[k] for k in range(len(batches))]


class Method(nn.Module, ABC):
    """A network, and what is needed to train it: losses, further networks, moving averages."""

    model: ANRLNet
    """What is judged and used later; everything else serves training only."""

    @abstractmethod
    def forward(self, batches: Sequence[DomainBatch], number: int) -> tuple[Tensor, list[DomainLosses]]:
        """The loss of a batch with its graph, and its parts for every domain.

        Args:
            batches: One batch for each source domain, always in the same order.
            number: Of the batch, counted from the start of training. Choices depend on it and on a seed only,
                so that a resumed run makes them again.
        """
