"""Validation after each epoch on validation subjects of the source domains."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import torch
from torch import nn

from anrl.config import Config
from anrl.data import Domain
from anrl.distributed import Ranks
from anrl.evaluation.score import domain_gates, score_domain
from anrl.evaluation.splits import Split, open_domains
from anrl.metrics import Scores, auc, eer

_GATE_SAMPLES = 32


@dataclass(frozen=True)
class Validation:
    """AUC, thresholds and scores on the validation data, and the gates."""

    validation_auc: float
    """AUC of all sources' validation videos together."""
    thresholds: dict[str, float]
    """Equal-error thresholds on the same: "frame" and "video"."""
    target_auc: float | None
    """The mean AUC of the targets' videos, if they choose the checkpoint."""
    scores: list[Scores]
    """Of the validation frames of every source domain."""
    gates: dict[str, dict[str, float]]
    """For every source domain and adaptive layer the mean weight of the batch branch."""

    @property
    def selection_auc(self) -> float:
        """The AUC that chooses the checkpoint."""
        return self.validation_auc if self.target_auc is None else self.target_auc

    @property
    def mean_gate(self) -> float | None:
        """The mean weight of the batch branch over domains and layers."""
        means = [fmean(layers.values()) for layers in self.gates.values()]
        return fmean(means) if means else None

    def entry(self) -> dict[str, Any]:
        """For the log."""
        entry: dict[str, Any] = {"validation_auc": self.validation_auc, "thresholds": self.thresholds}
        if self.target_auc is not None:
            entry["target_auc"] = self.target_auc
            entry["selection"] = "target: dishonest, the checkpoint is chosen by what it is to be judged on"
        return entry | ({"gates": self.gates} if self.gates else {})


def validate(
    config: Config, model: nn.Module, splits: Sequence[Split], device: torch.device, ranks: Ranks
) -> Validation:
    """Score the validation samples, and the targets if the configuration chooses by them."""

    def score(domain: Domain) -> Scores:
        return score_domain(model, domain, config.transform, device, ranks=ranks)[0]

    parts = [score(split.validation) for split in splits]
    frames = Scores.join(parts)
    videos = frames.by_video()
    target_auc = None
    if config.selection == "target":
        targets = open_domains(config.targets, config)
        target_auc = fmean(auc(score(domain).by_video()) for domain in targets)
    gates = {}
    if ranks.is_first and config.model.norm == "adaptive":
        for split in splits:
            by_layer = domain_gates(model, split.validation, config.transform, _GATE_SAMPLES)
            gates[split.validation.name] = {name: float(mean.mean()) for name, mean in by_layer.items()}
    thresholds = {"frame": eer(frames)[1], "video": eer(videos)[1]}
    return Validation(auc(videos), thresholds, target_auc, parts, gates)
