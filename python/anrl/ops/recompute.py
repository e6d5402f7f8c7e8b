"""Not keeping the results of adaptive normalization for the backward pass, but computing them again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing import reductions

Recipe = Callable[[], Tensor]

_StorageWeakRef: Any = reductions.StorageWeakRef  # torch's own is untyped

# While results are recomputed: the storage of each result and how to compute it anew.
_recipes: dict[int, tuple[Any, Recipe]] | None = None


@contextmanager
def recompute_norms() -> Iterator[None]:
    """Saves memory in training: within the block no graph keeps the result of an adaptive normalization.

    The operation that follows, a convolution for instance, keeps its input for its derivative; here the
    normalization is run again instead when that input is wanted, from its own input, which is kept anyway.
    That is two passes over memory for about half of the memory of a chain of convolutions and
    normalizations. Results are the same to the bit, and derivatives of any order work. The backward pass may
    run outside of the block; for a gradient with ``create_graph=True`` it should run inside, too. Only the
    kernels' results are recomputed, not those of other devices; see :func:`anrl.backend_info`.
    """
    global _recipes
    if _recipes is not None:
        yield
        return
    _recipes = {}
    try:
        with torch.autograd.graph.saved_tensors_hooks(_pack, _unpack):
            yield
    finally:
        _recipes = None


def remember(result: Tensor, recipe: Recipe) -> None:
    """Notes how a result can be computed anew, if anyone wants to know."""
    if _recipes is None:
        return
    for place, (storage, _) in list(_recipes.items()):
        if storage.expired():
            del _recipes[place]
    storage = _StorageWeakRef(result.untyped_storage())
    _recipes[storage.cdata] = storage, recipe


def _pack(tensor: Tensor) -> Tensor | Recipe:
    if _recipes is None or type(tensor) is not Tensor:
        return tensor
    storage, recipe = _recipes.get(tensor.untyped_storage()._cdata, (None, None))
    if storage is None or recipe is None or storage.expired() or tensor.storage_offset():
        return tensor
    shape, stride = tensor.shape, tensor.stride()
    if tensor.numel() * tensor.element_size() != tensor.untyped_storage().nbytes():
        return tensor
    return lambda: recipe().as_strided(shape, stride)


def _unpack(kept: Tensor | Recipe) -> Tensor:
    if isinstance(kept, Tensor):
        return kept
    result = kept()
    remember(result, kept)
    return result
