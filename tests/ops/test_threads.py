"""Contexts of one thread do not concern another."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef

from anrl.nn import AdaptiveNorm2d
from anrl.ops import recompute_norms, references_only


def runs_kernels():
    y = AdaptiveNorm2d(3)(torch.randn(2, 3, 4, 4))
    return "AdaptiveNorm" in y.grad_fn.name()


def keeps_the_norms_result():
    norm, convolution = AdaptiveNorm2d(3), torch.nn.Conv2d(3, 3, 3)
    y = norm(torch.randn(2, 3, 8, 8, requires_grad=True))
    result = convolution(y)
    storage = StorageWeakRef(y.untyped_storage())
    del y
    return result.requires_grad and not storage.expired()


@pytest.mark.parametrize(
    "context, is_unaffected", [(references_only, runs_kernels), (recompute_norms, keeps_the_norms_result)]
)
def test_another_thread_is_not_affected(context, is_unaffected):
    assert is_unaffected()
    with ThreadPoolExecutor(1) as pool:
        with context():
            assert not is_unaffected()
            assert pool.submit(is_unaffected).result(60)
            assert not is_unaffected()
        assert is_unaffected()


@pytest.mark.parametrize("context", [references_only, recompute_norms])
def test_leaving_the_context_in_one_thread_keeps_it_in_another(context):
    is_unaffected = {references_only: runs_kernels, recompute_norms: keeps_the_norms_result}[context]
    inside, left = Barrier(2, timeout=60), Barrier(2, timeout=60)

    def leave():
        with context():
            inside.wait()
        left.wait()
        return is_unaffected()

    def stay():
        with context():
            inside.wait()
            left.wait()
            return is_unaffected()

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.submit(leave), pool.submit(stay)
        assert first.result(60) and not second.result(60)
