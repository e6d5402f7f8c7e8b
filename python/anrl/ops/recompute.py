"""Recomputation of adaptive normalization in the backward pass, to save memory."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.multiprocessing import reductions

from anrl.ops.operators import is_plain

_StorageWeakRef: Any = reductions.StorageWeakRef  # torch's own is untyped


class _Recipe(NamedTuple):
    """How to compute a tensor again."""

    compute: Callable[[Sequence[Tensor]], Tensor]
    inputs: Sequence[Tensor]
    versions: Sequence[int]
    """The versions of ``inputs``."""

    def run(self) -> Tensor:
        for tensor, version in zip(self.inputs, self.versions, strict=True):
            _check_version(tensor, version)
        return self.compute(self.inputs)


class _Result(NamedTuple):
    storage: Any
    version: int
    """Of the result; an operation in place raises it, and then the recipe is that of another tensor."""
    dtype: torch.dtype
    recipe: _Recipe


class _Kept(NamedTuple):
    """A tensor kept as it is."""

    tensor: Tensor
    version: int


class _Recomputed(NamedTuple):
    recipe: _Recipe
    shape: torch.Size
    stride: tuple[int, ...]


class _State(threading.local):
    results: dict[int, _Result] | None = None
    """Within :func:`recompute_norms`: the results of adaptive normalization, by their storage."""


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
    other devices; see :func:`anrl.backend_info`. A result that is changed in place (by
    ``nn.ReLU(inplace=True)`` or ``y += x``) is kept as it then is, so nothing is saved there.

    Raises:
        RuntimeError: in the backward pass, if a tensor that it needs has been changed in place, as without
            this block.
    """
    if _state.results is not None:
        yield
        return
    _state.results = {}
    try:
        with torch.autograd.graph.saved_tensors_hooks(_pack, _unpack):
            yield
    finally:
        _state.results = None


def remember(result: Tensor, compute: Callable[[Sequence[Tensor]], Tensor], inputs: Sequence[Tensor]) -> None:
    """Keep the recomputation of a result, ``compute(inputs)``, within :func:`recompute_norms`."""
    if _state.results is not None:
        inputs = [t.detach() for t in inputs]
        _remember(result, _Recipe(compute, inputs, [t._version for t in inputs]))


def _remember(result: Tensor, recipe: _Recipe) -> None:
    if _state.results is None:
        return
    for address, known in list(_state.results.items()):
        if known.storage.expired():
            del _state.results[address]
    storage = _StorageWeakRef(result.untyped_storage())
    _state.results[storage.cdata] = _Result(storage, result._version, result.dtype, recipe)


def _pack(tensor: Tensor) -> Tensor | _Kept | _Recomputed:
    if torch._C._functorch.is_functorch_wrapped_tensor(tensor) or tensor.is_inference():
        return tensor
    kept = _Kept(tensor, tensor._version)
    if _state.results is None or not is_plain(tensor):
        return kept
    known = _state.results.get(tensor.untyped_storage()._cdata)
    if known is None or known.storage.expired():
        return kept
    is_same = known.version == tensor._version and known.dtype == tensor.dtype
    is_whole = tensor.numel() * tensor.element_size() == tensor.untyped_storage().nbytes()
    if not is_same or not is_whole or tensor.storage_offset():
        return kept
    return _Recomputed(known.recipe, tensor.shape, tensor.stride())


def _unpack(packed: Tensor | _Kept | _Recomputed) -> Tensor:
    if isinstance(packed, Tensor):
        return packed
    if isinstance(packed, _Kept):
        _check_version(packed.tensor, packed.version)
        return packed.tensor
    result = packed.recipe.run()
    _remember(result, packed.recipe)
    return result.as_strided(packed.shape, packed.stride)


def _check_version(tensor: Tensor, version: int) -> None:
    # With hooks, autograd itself does not check.
    if tensor._version != version:
        raise RuntimeError(
            "one of the variables needed for gradient computation has been modified by an inplace operation: "
            f"a tensor of size {tuple(tensor.shape)} is at version {tensor._version}, not {version}"
        )
