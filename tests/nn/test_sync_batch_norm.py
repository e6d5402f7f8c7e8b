"""Batch statistics shared between processes: two ranks must equal one process on the joined batch."""

import copy

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from anrl.nn import GATES, AdaptiveNorm2d, convert_sync_adaptive_norm
from support.close import assert_close


def make_model(gate):
    torch.manual_seed(0)
    model = nn.Sequential(
        AdaptiveNorm2d(3, gate=gate, activation="relu"), nn.Conv2d(3, 4, 3), AdaptiveNorm2d(4, gate=gate)
    ).double()
    for parameter in model.parameters():
        nn.init.uniform_(parameter, -0.8, 0.8)
    return model


def step(model, x):
    """A second-order step: the gradient of a loss of the result and of its gradient."""
    parameters = list(model.parameters())
    x = x.detach().requires_grad_()
    loss = model(x).sin().sum()
    first = torch.autograd.grad(loss, [x, *parameters], create_graph=True)
    # A sum over samples, so that what the ranks find adds up.
    second = torch.autograd.grad(first[0].sin().sum(), [x, *parameters], materialize_grads=True)
    return [t.detach() for t in (*first, *second)]


def rank(number, port, gate, batches, results):
    torch.set_num_threads(1)
    address = f"tcp://127.0.0.1:{port}"
    dist.init_process_group("gloo", init_method=address, rank=number, world_size=len(batches))
    model = convert_sync_adaptive_norm(make_model(gate))
    derivatives = step(model, batches[number])
    results[number] = (derivatives, model.state_dict())
    dist.destroy_process_group()


def free_port():
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.mark.parametrize("gate, sizes", [(gate, (3, 2)) for gate in GATES] + [("1layer", (4, 0))])
def test_two_ranks_equal_one_process(gate, sizes):
    torch.manual_seed(1)
    x = torch.randn(sum(sizes), 3, 7, 6, dtype=torch.double) * 2 + 5
    model = make_model(gate)
    expected = step(model, x)
    with mp.Manager() as manager:
        results = manager.dict()
        mp.start_processes(rank, (free_port(), gate, x.split(sizes), results), nprocs=2, start_method="spawn")
        by_rank = [results[0], results[1]]
    count = 1 + len(list(model.parameters()))
    for i, want in enumerate(expected):
        ranks = [result[i] for result, _ in by_rank]
        # Gradients of samples lie side by side, those of parameters add up.
        got = torch.cat(ranks) if i % count == 0 else sum(ranks)
        assert_close(got, want, 1e-9, absolute=1e-11)
    for _, state in by_rank:
        for name, value in model.state_dict().items():
            assert_close(state[name].double(), value.double(), 1e-10, name)


def test_alone_nothing_changes():
    model = make_model("dual")
    shared = convert_sync_adaptive_norm(copy.deepcopy(model))
    assert shared[0].synchronized and "synchronized=True" in repr(shared)
    x = torch.randn(2, 3, 5, 5, dtype=torch.double)
    for a, b in zip(step(shared, x), step(model, x), strict=True):
        assert torch.equal(a, b)
