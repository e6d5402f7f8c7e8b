"""The output of every network."""

from typing import NamedTuple

from torch import Tensor


class ModelOutput(NamedTuple):
    """Logits, depth and features of a batch of N images; (h, w) is the resolution of the feature map."""

    logits: Tensor
    """(N, 2): bona fide, attack. ``softmax(logits, 1)[:, 1]`` is the probability of attack."""
    depth: Tensor
    """(N, 1, h, w), at least 0; bona fide faces are trained towards their depth, attacks towards 0."""
    features: Tensor
    """(N, D, h, w)."""
