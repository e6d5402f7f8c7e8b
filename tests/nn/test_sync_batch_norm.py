"""Batch statistics shared between processes: two ranks must equal one process on the joined batch."""

import copy
from datetime import timedelta

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


class BatchNormAct2d(nn.BatchNorm2d):
    """As timm has it: dropout and an activation after batch normalization."""

    def __init__(self, num_features):
        super().__init__(num_features)
        self.drop, self.act = nn.Identity(), nn.SiLU()

    def forward(self, x):
        return self.act(self.drop(super().forward(x)))


FORMS = {
    "plain": (lambda: nn.BatchNorm2d(3), (5, 3, 4, 4)),
    "no affine": (lambda: nn.BatchNorm2d(3, affine=False), (5, 3, 4, 4)),
    "no bias": (lambda: nn.BatchNorm2d(3, bias=False), (5, 3, 4, 4)),
    "no running statistics": (lambda: nn.BatchNorm2d(3, track_running_stats=False), (5, 3, 4, 4)),
    "cumulative": (lambda: nn.BatchNorm2d(3, momentum=None), (5, 3, 4, 4)),
    "1d": (lambda: nn.BatchNorm1d(3), (5, 3, 4)),
    "1d without length": (lambda: nn.BatchNorm1d(3), (5, 3)),
    "3d": (lambda: nn.BatchNorm3d(3), (5, 3, 2, 3, 2)),
    "with activation": (lambda: BatchNormAct2d(3), (5, 3, 4, 4)),
    "adaptive": (lambda: AdaptiveNorm2d(3), (5, 3, 4, 4)),
    "adaptive over one pixel": (lambda: AdaptiveNorm2d(3), (5, 3, 1, 1)),
    "adaptive without running statistics": (
        lambda: AdaptiveNorm2d(3, track_running_stats=False),
        (5, 3, 4, 4),
    ),
}


def results_of_every_form(shared, part):
    results = {}
    for name, (make, shape) in FORMS.items():
        torch.manual_seed(2)
        layer = make().double()
        layer = convert_sync_adaptive_norm(layer) if shared else layer
        x = torch.randn(shape, dtype=torch.double) * 2 + torch.arange(5.0).view(-1, *(1,) * (len(shape) - 1))
        y = layer(x[part])
        results[name] = y.detach(), {k: v.double() for k, v in layer.state_dict().items()}
    return results


def rank_of_every_form(number, port, results):
    torch.set_num_threads(1)
    address = f"tcp://127.0.0.1:{port}"
    timeout = timedelta(seconds=60)
    dist.init_process_group("gloo", init_method=address, rank=number, world_size=2, timeout=timeout)
    results[number] = results_of_every_form(True, (slice(0, 3), slice(3, 5))[number])
    if number == 0:
        # The other process does not take part.
        for make, shape in FORMS.values():
            convert_sync_adaptive_norm(make()).eval()(torch.randn(shape))
    dist.destroy_process_group()


def test_every_form_is_shared_in_training_and_alone_in_evaluation():
    expected = results_of_every_form(False, slice(None))
    with mp.Manager() as manager:
        results = manager.dict()
        mp.start_processes(rank_of_every_form, (free_port(), results), nprocs=2, start_method="spawn")
        by_rank = [results[0], results[1]]
    for name, (y, state) in expected.items():
        assert_close(torch.cat([by_rank[0][name][0], by_rank[1][name][0]]), y, 1e-9, name)
        for rank_results in by_rank:
            for key, value in state.items():
                assert_close(rank_results[name][1][key], value, 1e-9, f"{name}: {key}", absolute=1e-12)
