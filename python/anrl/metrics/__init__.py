"""Presentation attack detection metrics in the terms of ISO/IEC 30107-3.

Labels: 0 = bona fide, 1 = attack. A score is higher for attacks (the probability of attack, for instance); a
sample is classified as an attack if its score is at least the threshold. Rates are fractions in [0, 1].

This package needs numpy and scipy only.
"""

from anrl.metrics.evaluation import Evaluation, evaluate_scores
from anrl.metrics.expected_performance import expected_performance
from anrl.metrics.intervals import bootstrap, roc_band
from anrl.metrics.likelihood_ratio import cllr, min_cllr
from anrl.metrics.rates import (
    Proportion,
    Rates,
    acer,
    apcer,
    auc,
    bpcer,
    failures_included,
    hter,
    non_response_rates,
    rates,
    riapar,
)
from anrl.metrics.scores import Scores, group_species
from anrl.metrics.thresholds import (
    Criterion,
    bpcer_at_apcer,
    detected_at_bpcer,
    eer,
    find_threshold,
    parse_criterion,
    tpr_at_fpr,
)

__all__ = [
    "Criterion",
    "Evaluation",
    "Proportion",
    "Rates",
    "Scores",
    "acer",
    "apcer",
    "auc",
    "bootstrap",
    "bpcer",
    "bpcer_at_apcer",
    "cllr",
    "detected_at_bpcer",
    "eer",
    "evaluate_scores",
    "expected_performance",
    "failures_included",
    "find_threshold",
    "group_species",
    "hter",
    "min_cllr",
    "non_response_rates",
    "parse_criterion",
    "rates",
    "riapar",
    "roc_band",
    "tpr_at_fpr",
]
