"""Training methods: each makes a loss of a batch from every source domain.

``METHODS`` is the one table of what can be trained or fitted, classical methods included; importing it does
not import torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

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


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'anrl.methods' has no attribute {name!r}")
    return getattr(importlib.import_module(f"anrl.methods.{_HOMES[name]}"), name)
