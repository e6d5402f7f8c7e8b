"""Adaptive normalized representation learning (ANRL) for generalizable face anti-spoofing.

Labels everywhere: 0 = bona fide (a live face), 1 = attack. A score is the probability of attack.
"""

from importlib import metadata as _metadata

__version__ = _metadata.version("anrl")


def _check_torch() -> None:
    """Refuses a torch that the compiled extension cannot be loaded into."""
    import torch

    required = next(r for r in _metadata.requires("anrl") or [] if r.startswith("torch=="))
    built_for = required.removeprefix("torch==")
    found = torch.__version__.split("+")[0]
    if found != built_for:
        raise ImportError(
            f"anrl {__version__} was built for torch {built_for} but found torch {torch.__version__}: "
            f"run `pip install torch=={built_for}`, or install an anrl that was built for torch {found}"
        )


_check_torch()

from anrl import data, losses, metrics, models, nn, ops, train  # noqa: E402
from anrl._anrl import DataError  # noqa: E402
from anrl.backend import BackendInfo, backend_info  # noqa: E402

__all__ = [
    "BackendInfo",
    "DataError",
    "__version__",
    "backend_info",
    "data",
    "losses",
    "metrics",
    "models",
    "nn",
    "ops",
    "train",
]
