"""A small network in float64 and a batch for each domain."""

import torch

from anrl.data import DomainBatch
from anrl.models import ANRLNet


def small(gate="1layer", domains=3, norm="adaptive"):
    torch.manual_seed(0)
    model = ANRLNet(in_channels=3, width=0.05, norm=norm, gate=gate).double()
    label = torch.tensor([0, 0, 1, 1])
    batches = [
        DomainBatch(
            torch.randn(4, 3, 16, 16).double() + k,
            label,
            torch.rand(4, 2, 2).double() * (label == 0)[:, None, None],
        )
        for k in range(domains)
    ]
    return model, batches
