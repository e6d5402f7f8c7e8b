"""Training methods: each makes a loss of a batch from every source domain.

``METHODS`` is the one table of what can be trained or fitted, classical methods included; importing it does
not import torch.
"""

from typing import TYPE_CHECKING

from anrl.lazy import lazy_names
from anrl.methods.registry import METHODS, MethodEntry, find_method

if TYPE_CHECKING:
    from anrl.methods.base import Method, MethodOptions
    from anrl.methods.meta_learning import (
        DomainLosses,
        LossWeights,
        MetaStepLosses,
        joint_step,
        meta_step,
    )

_HOMES = {
    "DomainLosses": "meta_learning",
    "LossWeights": "meta_learning",
    "MetaStepLosses": "meta_learning",
    "Method": "base",
    "MethodOptions": "base",
    "joint_step": "meta_learning",
    "meta_step": "meta_learning",
}

__all__ = [
    "METHODS",
    "DomainLosses",
    "LossWeights",
    "MetaStepLosses",
    "Method",
    "MethodEntry",
    "MethodOptions",
    "find_method",
    "joint_step",
    "meta_step",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
