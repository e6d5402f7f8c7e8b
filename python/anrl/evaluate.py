"""Scoring a domain with a trained network, and judging the scores."""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from anrl.data import Domain, Transform, evaluation_batches
from anrl.metrics import Rates, Scores, auc, auc_interval, eer, rates

_BATCH = 32


@dataclass(frozen=True)
class Judgement:
    """How well the scores of one domain separate bona fide samples from attacks."""

    scores: Scores
    auc: float
    auc_interval: tuple[float, float]
    """95 % bootstrap interval over videos."""
    eer: float
    """Equal error rate on these scores themselves."""
    at_source: Rates
    """Rates at the threshold from held-out source data: what a deployed system would see."""
    at_target_eer: Rates
    """Rates at these scores' own equal-error threshold: optimistic, as many papers report them."""


def score_domain(
    model: nn.Module,
    domain: Domain,
    transform: Transform,
    device: torch.device,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Scores, NDArray[np.float32]]:
    """Scores every frame of a domain.

    Returns:
        The frames' scores, and the features averaged over their pixels: (N, D).
    """
    was_training = model.training
    model.eval()
    scores, features, done = [], [], 0
    with torch.inference_mode():
        for batch in evaluation_batches(domain, _BATCH, transform):
            output = model(transform.normalize(batch.image[:, 0].to(device)))
            scores.append(output.logits.double().softmax(1)[:, 1].cpu().numpy())
            features.append(output.features.mean((2, 3)).float().cpu().numpy())
            done += len(scores[-1])
            if progress is not None:
                progress(done, len(domain))
    model.train(was_training)
    return scores_of(domain, np.concatenate(scores)), np.concatenate(features)


def scores_of(domain: Domain, score: NDArray[np.float64]) -> Scores:
    """Scores (N,) of a domain's samples, with what is known of the samples."""
    records = domain.records
    return Scores(score, domain.labels, [r.video for r in records], [r.attack for r in records])


def judge(scores: Scores, source_threshold: float) -> Judgement:
    """Computes all metrics of one set of scores."""
    target_eer, target_threshold = eer(scores)
    return Judgement(
        scores,
        auc(scores),
        auc_interval(scores),
        target_eer,
        rates(scores, source_threshold),
        rates(scores, target_threshold),
    )


def write_scores(file: Path, domain: Domain, scores: Scores) -> None:
    """Writes the frames' scores as CSV."""
    with open(file, "w", newline="") as stream:
        stream.write("# label: 0 = bona fide, 1 = attack; score: probability of attack\n")
        writer = csv.writer(stream)
        writer.writerow(["frame", "video", "subject", "label", "attack", "score"])
        for record, score in zip(domain.records, scores.score, strict=True):
            row = [record.path, record.video, record.subject, record.label, record.attack, repr(float(score))]
            writer.writerow(row)
