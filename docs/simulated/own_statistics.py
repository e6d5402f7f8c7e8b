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

from anrl.data import Domain, DomainLoader, Transform
from anrl.evaluate import score_domain, scores_of
from anrl.metrics import Scores, auc
from anrl.models import ANRLNet
from anrl.protocol import LeaveOneDomainOut, titles
from anrl.train import Checkpoint, DomainBatch, joint_step
from anrl.train.validation import open_domains

VARIANTS = ("anrl", "joint-statistics", "no-meta", "adaptive", "in", "bn")


def batches(domains: list[Domain], transform: Transform, size: int) -> DomainLoader:
    """Batches as in training, without augmentation."""
    return DomainLoader(domains, size, replace(transform, flip=0.0, jitter=0.0), seed=0)


@torch.inference_mode()
def own_statistics(model: ANRLNet, domain: Domain, transform: Transform, size: int) -> Scores:
    """Scores with batch statistics of the domain itself; running statistics are put back."""
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    score = np.full(len(domain), np.nan)
    model.train()
    for batch in batches([domain], transform, size):
        logits = model(transform.normalize(batch.image[:, 0])).logits
        score[batch.index[:, 0].numpy()] = logits.double().softmax(1)[:, 1].numpy()
    model.load_state_dict(kept)
    return scores_of(domain, score)


def inner_step(model: ANRLNet, sources: list[Domain], transform: Transform, size: int, rate: float) -> float:
    """The length of an inner step over that of the gates' weights, on one batch of every source domain."""
    batch = next(iter(batches(sources, transform, size)))
    domains = [
        DomainBatch(transform.normalize(batch.image[:, k]), batch.label[:, k], batch.depth[:, k])
        for k in range(len(sources))
    ]
    gates = list(model.train().gate_parameters().values())
    step = torch.autograd.grad(joint_step(model, None, domains)[0], gates)
    lengths = [torch.nn.utils.get_total_norm(tensors) for tensors in (step, gates)]
    return rate * float(lengths[0] / lengths[1])


def main(out: str) -> None:
    """Prints a line for every variant."""
    protocol = LeaveOneDomainOut.open(out)
    print("AUC, video level, mean over unseen domains and seeds: running statistics, own statistics")
    for variant in (v for v in VARIANTS if v in protocol.variants):
        running, own, steps = [], [], []
        for cell in (c for c in protocol.cells() if c.variant == variant and protocol.result(c)):
            config = protocol.cell_config(cell)
            checkpoint = Checkpoint.read(cell.folder(protocol.out) / "run/best.safetensors")
            model, transform = checkpoint.model(), config.transform
            (target,) = open_domains(config.targets, config)
            running.append(auc(score_domain(model, target, transform, torch.device("cpu"))[0].by_video()))
            own.append(auc(own_statistics(model, target, transform, config.batch_size).by_video()))
            if variant == "anrl":
                sources = open_domains(config.sources, config)
                rate = config.meta.inner_lr
                steps.append(inner_step(model, sources, transform, config.batch_size, rate))
        print(f"{titles()[variant]}: {100 * fmean(running):.1f}, {100 * fmean(own):.1f} ({len(own)} cells)")
        if steps:
            print(f"  an inner step is {fmean(steps):.1e} of the gates' weights, at most {max(steps):.1e}")


if __name__ == "__main__":
    main(*sys.argv[1:])
