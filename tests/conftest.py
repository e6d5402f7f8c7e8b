"""What several tests share."""

import os
from pathlib import Path

import hypothesis
import numpy as np
import torch

# Every run by hand tries other examples; an automatic one must not fail by chance.
hypothesis.settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")

DATA = Path(__file__).parent / "data"


def assert_close(found, expected, relative=1e-9, name="", absolute=0.0):
    """Holds ``found`` to ``expected`` within ``relative`` of the largest expected value."""
    found, expected = (
        v.detach().numpy() if isinstance(v, torch.Tensor) else np.asarray(v) for v in (found, expected)
    )
    assert found.shape == expected.shape, f"{name}: {found.shape} instead of {expected.shape}"
    worst = np.abs(found - expected).max()
    limit = relative * np.abs(expected).max() + absolute
    assert worst <= limit, f"{name}: differs by {worst:.3g}, more than {limit:.3g}"
