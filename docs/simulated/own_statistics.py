"""Cost of ANRL's meta step on the simulated benchmark: batch statistics, and the size of the inner step.

The meta step forwards every domain by itself, so in training the network normalizes each domain by that
domain's own statistics; afterwards it normalizes by running statistics. This script scores every unseen
domain both ways, in batches as in training (half bona fide, half attacks, which no deployed system has),
and measures how far one inner step moves the gates.

    python docs/simulated/own_statistics.py runs/protocol-simulated
"""

import sys
from dataclasses import replace
from statistics import fmean

import numpy as np
import torch

from anrl import Checkpoint, Config
from anrl.data import Domain, DomainBatch, DomainLoader, Transform
from anrl.evaluation import open_domains, score_domain
from anrl.experiments import LeaveOneDomainOut, titles
from anrl.methods.meta_learning import meta_step
from anrl.metrics import Scores, auc
from anrl.models import Model
from anrl.nn import gate_parameters

METHODS = ("anrl", "joint-statistics", "no-meta", "adaptive", "in", "bn")


def batches(domains: list[Domain], transform: Transform, size: int) -> DomainLoader:
    """Make batches as in training, without augmentation."""
    return DomainLoader(domains, size, replace(transform, flip_prob=0.0, jitter_prob=0.0), seed=0)


@torch.inference_mode()
def own_statistics(model: Model, domain: Domain, transform: Transform, size: int, running: Scores) -> Scores:
    """Score a domain with its own batch statistics; this changes the running statistics of the model.

    ``running`` has the domain's scores with running statistics, and what else is known of its samples.
    """
    score = np.full(len(domain), np.nan)
    model.train()
    for batch in batches([domain], transform, size):
        logits = model(transform.normalize(batch.image[:, 0])).logits
        score[batch.index[:, 0].numpy()] = logits.double().softmax(1)[:, 1].numpy()
    return replace(running, score=score)


def inner_step(model: Model, sources: list[Domain], config: Config) -> float:
    """Divide the length of an inner step by that of the gates' weights; the first sources are meta-train."""
    transform = config.transform
    batch = next(iter(batches(sources, transform, config.batch_size)))
    domains = [
        DomainBatch(transform.normalize(part.image), part.label, part.depth) for part in batch.domains()
    ]
    gates = list(gate_parameters(model.train()).values())
    meta_train = range(config.method.meta_train_domains)
    loss, _ = meta_step(model, None, domains, meta_train=meta_train, meta_test=(), inner_lr=0.0)
    step = torch.autograd.grad(loss, gates)
    lengths = [torch.nn.utils.get_total_norm(tensors) for tensors in (step, gates)]
    return config.method.inner_lr * float(lengths[0] / lengths[1])


def main(out: str) -> None:
    """Print a line for every method."""
    protocol = LeaveOneDomainOut.open(out)
    done = protocol.results()
    print("AUC, video level, mean over unseen domains and seeds: running statistics, own statistics")
    for method in (m for m in METHODS if m in protocol.methods):
        running, own, steps = [], [], []
        for cell in (cell for cell in done if cell.method == method):
            config = protocol.cell_config(cell)
            model, transform = Checkpoint.read(protocol.run_folder(cell).best).model(), config.transform
            (target,) = open_domains(config.targets, config)
            scores, _ = score_domain(model, target, transform, torch.device("cpu"))
            running.append(auc(scores.by_video()))
            own.append(auc(own_statistics(model, target, transform, config.batch_size, scores).by_video()))
            if method == "anrl":
                steps.append(inner_step(model, open_domains(config.sources, config), config))
        print(f"{titles()[method]}: {100 * fmean(running):.1f}, {100 * fmean(own):.1f} ({len(own)} cells)")
        if steps:
            print(f"  an inner step is {fmean(steps):.1e} of the gates' weights, at most {max(steps):.1e}")


if __name__ == "__main__":
    main(*sys.argv[1:])
