"""Scores by hand."""

import numpy as np

from anrl.metrics import Scores


def make(score, label, video=None, attack=None):
    label = np.asarray(label)
    attack = attack or ["print" if c else "" for c in label]
    return Scores(np.asarray(score, float), label, video or [str(i) for i in range(len(label))], attack)
