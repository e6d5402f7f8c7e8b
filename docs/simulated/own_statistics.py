"""Why ANRL's meta step costs something here: batch statistics, and the size of the inner step.

In the meta step every domain is forwarded by itself, so a network in training always sees a domain
normalized by that domain's own statistics; afterwards it normalizes by running ones. This script scores
every unseen domain both ways, in batches as in training (half bona fide, half attacks, which no deployed
system has), and measures how far one inner step moves the gates.

    python docs/simulated/own_statistics.py runs/protocol-simulated
"""

import sys
from dataclasses import replace
from statistics import fmean

import numpy as np
import torch

from anrl.checkpoint import Checkpoint
from anrl.config import Config
from anrl.data import Domain, DomainLoader, Transform
from anrl.evaluation.score import score_domain, scores_of
from anrl.evaluation.splits import open_domains
from anrl.experiments import LeaveOneDomainOut, titles
from anrl.methods.meta_step import DomainBatch, meta_step
from anrl.metrics import Scores, auc
from anrl.models import ANRLNet
from anrl.nn import gate_parameters

VARIANTS = ("anrl", "joint-statistics", "no-meta", "adaptive", "in", "bn")


def batches(domains: list[Domain], transform: Transform, size: int) -> DomainLoader:
    """Batches as in training, without augmentation."""
    return DomainLoader(domains, size, replace(transform, flip_prob=0.0, jitter_prob=0.0), seed=0)


@torch.inference_mode()
def own_statistics(model: ANRLNet, domain: Domain, transform: Transform, size: int) -> Scores:
    """Scores with batch statistics of the domain itself, by which the running ones move."""
    score = np.full(len(domain), np.nan)
    model.train()
    for batch in batches([domain], transform, size):
        logits = model(transform.normalize(batch.image[:, 0])).logits
        score[batch.index[:, 0].numpy()] = logits.double().softmax(1)[:, 1].numpy()
    return scores_of(domain, score)


def inner_step(model: ANRLNet, sources: list[Domain], config: Config) -> float:
    """The length of an inner step over that of the gates' weights; the first sources are meta-train."""
    transform = config.transform
    batch = next(iter(batches(sources, transform, config.batch_size)))
    domains = [
        DomainBatch(transform.normalize(batch.image[:, k]), batch.label[:, k], batch.depth[:, k])
        for k in range(len(sources))
    ]
    gates = list(gate_parameters(model.train()).values())
    meta_train = range(config.method.meta_train_domains)
    loss, _ = meta_step(model, None, domains, meta_train=meta_train, meta_test=(), inner_lr=0.0)
    step = torch.autograd.grad(loss, gates)
    lengths = [torch.nn.utils.get_total_norm(tensors) for tensors in (step, gates)]
    return config.method.inner_lr * float(lengths[0] / lengths[1])


def main(out: str) -> None:
    """Prints a line for every variant."""
    protocol = LeaveOneDomainOut.open(out)
    done = protocol.results()
    print("AUC, video level, mean over unseen domains and seeds: running statistics, own statistics")
    for variant in (v for v in VARIANTS if v in protocol.variants):
        running, own, steps = [], [], []
        for cell in (cell for cell in done if cell.variant == variant):
            config = protocol.cell_config(cell)
            checkpoint = Checkpoint.read(cell.folder(protocol.out) / "run/best.safetensors")
            model, transform = checkpoint.model(), config.transform
            (target,) = open_domains(config.targets, config)
            running.append(auc(score_domain(model, target, transform, torch.device("cpu"))[0].by_video()))
            own.append(auc(own_statistics(model, target, transform, config.batch_size).by_video()))
            if variant == "anrl":
                steps.append(inner_step(model, open_domains(config.sources, config), config))
        print(f"{titles()[variant]}: {100 * fmean(running):.1f}, {100 * fmean(own):.1f} ({len(own)} cells)")
        if steps:
            print(f"  an inner step is {fmean(steps):.1e} of the gates' weights, at most {max(steps):.1e}")


if __name__ == "__main__":
    main(*sys.argv[1:])
