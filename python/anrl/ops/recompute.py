"""Recomputation of adaptive normalization in the backward pass, to save memory."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing import reductions

Recipe = Callable[[], Tensor]

_StorageWeakRef: Any = reductions.StorageWeakRef  # torch's own is untyped


class _State(threading.local):
    recipes: dict[int, tuple[Any, Recipe]] | None = None
    """Within :func:`recompute_norms`: the storage of each result, and its recomputation."""


_state = _State()


@contextmanager
def recompute_norms() -> Iterator[None]:
    """Save memory in training: within the block no graph keeps the result of an adaptive normalization.

    An operation such as a convolution keeps its input for its derivative. If that input is the result of an
    adaptive normalization, the normalization is run again in the backward pass instead, from its own input,
    which is kept anyway. This costs two passes over memory and saves about half of the memory of a chain of
    convolutions and normalizations. Results are the same to the bit, and derivatives of any order work. The
    backward pass may run outside of the block; for a gradient with ``create_graph=True`` it should run
    inside, too. The block concerns its own thread. Only the kernels' results are recomputed, not those of
    other devices; see :func:`anrl.backend_info`.
    """
    if _state.recipes is not None:
        yield
        return
    _state.recipes = {}
    try:
        with torch.autograd.graph.saved_tensors_hooks(_pack, _unpack):
            yield
    finally:
        _state.recipes = None


def remember(result: Tensor, recipe: Recipe) -> None:
    """Keep the recomputation of a result, within :func:`recompute_norms`."""
    if _state.recipes is None:
        return
    for address, (storage, _) in list(_state.recipes.items()):
        if storage.expired():
            del _state.recipes[address]
    storage = _StorageWeakRef(result.untyped_storage())
    _state.recipes[storage.cdata] = storage, recipe


def _pack(tensor: Tensor) -> Tensor | Recipe:
    if _state.recipes is None or type(tensor) is not Tensor:
        return tensor
    storage, recipe = _state.recipes.get(tensor.untyped_storage()._cdata, (None, None))
    if storage is None or recipe is None or storage.expired() or tensor.storage_offset():
        return tensor
    shape, stride = tensor.shape, tensor.stride()
    if tensor.numel() * tensor.element_size() != tensor.untyped_storage().nbytes():
        return tensor
    return lambda: recipe().as_strided(shape, stride)


def _unpack(packed: Tensor | Recipe) -> Tensor:
    if isinstance(packed, Tensor):
        return packed
    result = packed()
    remember(result, packed)
    return result
