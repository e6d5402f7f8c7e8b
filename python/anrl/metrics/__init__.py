"""Presentation attack detection metrics in the terms of ISO/IEC 30107-3.

Labels: 0 = bona fide, 1 = attack. A score is higher for attacks (the probability of attack, for instance); a
sample is taken for an attack if its score is at least the threshold. Rates are fractions in [0, 1].
"""

from anrl.metrics.evaluation import Judgement, judgement_rows
from anrl.metrics.intervals import bootstrap
from anrl.metrics.rates import (
    Rates,
    Share,
    auc,
    bpcer_at_apcer,
    eer,
    find_threshold,
    non_response_rates,
    rates,
    tpr_at_fpr,
)
from anrl.metrics.scores import Scores

__all__ = [
    "Judgement",
    "Rates",
    "Scores",
    "Share",
    "auc",
    "bootstrap",
    "bpcer_at_apcer",
    "eer",
    "find_threshold",
    "judgement_rows",
    "non_response_rates",
    "rates",
    "tpr_at_fpr",
]
