"""Comparison of arrays within a relative tolerance, and the folder of golden figures."""

from pathlib import Path

import numpy as np
import torch

GOLDEN = Path(__file__).parent.parent / "golden"


def assert_close(found, expected, relative=1e-9, name="", absolute=0.0):
    """Holds ``found`` to ``expected`` within ``relative`` of the largest expected value."""
    found, expected = (
        v.detach().numpy() if isinstance(v, torch.Tensor) else np.asarray(v) for v in (found, expected)
    )
    assert found.shape == expected.shape, f"{name}: {found.shape} instead of {expected.shape}"
    worst = np.abs(found - expected).max()
    limit = relative * np.abs(expected).max() + absolute
    assert worst <= limit, f"{name}: differs by {worst:.3g}, more than {limit:.3g}"
