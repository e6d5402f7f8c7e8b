"""Custom operators ``torch.ops.anrl.*``: functional, without autograd, on every device.

On the CPU the Rust kernels serve float16, bfloat16, float32 and float64, contiguous or channels-last. All
else runs the references here in plain torch, which are also the oracle in tests of the kernels. Statistics
and coefficients are (N, C), one value for each plane: float32 for the half types, else in the type of x.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from anrl import _anrl

KERNEL_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

_library: Any = torch.library.Library("anrl", "DEF")  # type: ignore[no-untyped-call]


class _State(threading.local):
    references_only = False


_state = _State()


@contextmanager
def references_only() -> Iterator[None]:
    """Run the references in plain torch instead of the kernels within the block, in this thread."""
    before, _state.references_only = _state.references_only, True
    try:
        yield
    finally:
        _state.references_only = before


def references_wanted() -> bool:
    """Whether to run the references: by :func:`references_only`, or because only plain torch can be followed.

    That is so in forward-mode differentiation, in ``torch.jit.trace`` and in the export to ONNX, which know
    no operators of ours.
    """
    if _state.references_only:
        return True
    if torch.compiler.is_compiling():
        return torch.onnx.is_in_onnx_export()
    return forward_ad._current_level >= 0 or torch._C._get_tracing_state() is not None


def _keys(tensor: Tensor) -> int:
    return torch._C._dispatch_keys(tensor).raw_repr()


with torch.inference_mode():
    _inference = torch.empty(0)
_PLAIN_KEYS = frozenset((_keys(torch.empty(0)), _keys(_inference)))
"""What torch dispatches dense tensors on the CPU by: none that is negated, zero without storage, sparse, of
another library, batched by ``vmap``, or wrapped otherwise."""
_PLAIN_TYPES = (Tensor, torch.nn.Parameter)


def is_plain(tensor: Tensor) -> bool:
    """Whether a tensor is an ordinary strided one on the CPU, of no other class, with memory of its own."""
    return type(tensor) in _PLAIN_TYPES and _keys(tensor) in _PLAIN_KEYS and tensor.data_ptr() != 0


def kernels_serve(*tensors: Tensor) -> bool:
    """Whether a Rust kernel may be called directly: on plain tensors of its types, without any tracing.

    Raises:
        RuntimeError: a tensor's storage was freed.
    """
    if (
        references_wanted()
        or torch.compiler.is_compiling()
        or torch._C._are_functorch_transforms_active()
        or torch._C._len_torch_dispatch_stack()
    ):
        return False
    keys = torch._C._dispatch_keys
    for tensor in tensors:
        # As in `is_plain`; a call for every tensor would cost as much as a small kernel.
        if type(tensor) not in _PLAIN_TYPES or keys(tensor).raw_repr() not in _PLAIN_KEYS:
            return False
        if tensor.dtype not in KERNEL_DTYPES:
            return False
        if not tensor.data_ptr():
            _check_memory(tensor)
            return False
    return True


def _check_memory(tensor: Tensor) -> None:
    # Torch's own operators, the references, would read where nothing is.
    if tensor.numel():
        raise RuntimeError(f"a tensor of size {tuple(tensor.shape)} has no memory: its storage was freed")


def without_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Context in which autocast leaves types alone; there is none for tensors without values."""
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)


def is_traced() -> bool:
    """Whether ``torch.jit.trace`` runs, or an exporter that works by it."""
    return not torch.compiler.is_compiling() and torch._C._get_tracing_state() is not None


def sizes(x: Tensor) -> Sequence[int]:
    """The shape of x for checks: while ``torch.jit.trace`` runs, without a part in the trace."""
    if not is_traced():
        return x.shape
    state = torch._C._get_tracing_state()
    pause: Callable[[Any], None] = torch._C._set_tracing_state  # type: ignore[attr-defined]  # not in its stub
    pause(None)
    try:
        return tuple(x.shape)
    finally:
        pause(state)


def coefficient_dtype(dtype: torch.dtype) -> torch.dtype:
    """Type of statistics and coefficients for elements of a type."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def per_plane_view(values: Tensor, x: Tensor) -> Tensor:
    """View (N, C) as (N, C, 1, ...), to broadcast against x."""
    return values.reshape(values.shape + (1,) * (x.dim() - 2))


def _wide(x: Tensor) -> Tensor:
    return x.to(coefficient_dtype(x.dtype))


def is_channels_last(x: Tensor) -> bool:
    """Whether x is dense with its channels last, and not contiguous besides."""
    form = {4: torch.channels_last, 5: torch.channels_last_3d}.get(x.dim())
    return form is not None and not x.is_contiguous() and x.is_contiguous(memory_format=form)


def dense(tensor: Tensor, channels_last: bool) -> Tensor:
    """Copy a tensor to the layout, contiguous or channels-last, unless it has it."""
    if not channels_last:
        return tensor.contiguous()
    return tensor.contiguous(
        memory_format=torch.channels_last if tensor.dim() == 4 else torch.channels_last_3d
    )


def instance_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the mean and biased variance of every plane."""
    variance, mean = torch.var_mean(_wide(x).flatten(2), dim=2, correction=0)
    return mean, variance


def scale_shift(x: Tensor, scale: Tensor, shift: Tensor, relu: bool) -> Tensor:
    """Compute ``scale * x + shift``, clamped below at zero if ``relu``."""
    y = torch.addcmul(per_plane_view(shift, x), per_plane_view(scale, x), _wide(x))
    return (torch.relu(y) if relu else y).to(x.dtype)


def _masked(dy: Tensor, x: Tensor, scale: Tensor, shift: Tensor, relu: bool) -> Tensor:
    """Mask ``dy`` by the forward ReLU."""
    if not relu:
        return _wide(dy)
    return _wide(dy).masked_fill(per_plane_view(scale, x) * _wide(x) + per_plane_view(shift, x) <= 0, 0)


def scale_shift_sums(
    dy: Tensor, x: Tensor, scale: Tensor, shift: Tensor, relu: bool
) -> tuple[Tensor, Tensor]:
    """Sum g and g·x over every plane; g is ``dy`` where y > 0 (everywhere without ``relu``)."""
    masked = _masked(dy, x, scale, shift, relu)
    return masked.flatten(2).sum(2), (masked * _wide(x)).flatten(2).sum(2)


def scale_shift_gradient(
    dy: Tensor, x: Tensor, scale: Tensor, shift: Tensor, slope: Tensor, offset: Tensor, relu: bool
) -> Tensor:
    """Compute ``scale * g + slope * x + offset``, with g as in :func:`scale_shift_sums`."""
    masked = _masked(dy, x, scale, shift, relu)
    dx = per_plane_view(scale, x) * masked + (per_plane_view(slope, x) * _wide(x) + per_plane_view(offset, x))
    return dx.to(x.dtype)


def scale_shift_double_sums(
    ddx: Tensor, dy: Tensor, x: Tensor, scale: Tensor, shift: Tensor, relu: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Sum ddx·g, ddx·x and ddx over every plane, with g as in :func:`scale_shift_sums`."""
    u = _wide(ddx)
    terms = (u * _masked(dy, x, scale, shift, relu), u * _wide(x), u)
    a, b, c = (term.flatten(2).sum(2) for term in terms)
    return a, b, c


def scale_shift_double_gradient(
    ddx: Tensor,
    dy: Tensor,
    x: Tensor,
    scale: Tensor,
    shift: Tensor,
    slope: Tensor,
    sum_x: Tensor,
    sum_1: Tensor,
    curve: Tensor,
    offset: Tensor,
    relu: bool,
) -> tuple[Tensor, Tensor]:
    """Pull ddx back to dy and x through :func:`scale_shift_gradient` and :func:`scale_shift_sums`."""
    u, wide_x = _wide(ddx), _wide(x)
    unmasked = per_plane_view(scale, x) * u + (per_plane_view(sum_x, x) * wide_x + per_plane_view(sum_1, x))
    to_dy = _masked(unmasked, x, scale, shift, relu)
    to_x = (per_plane_view(slope, x) * u + per_plane_view(sum_x, x) * _masked(dy, x, scale, shift, relu)) + (
        per_plane_view(curve, x) * wide_x + per_plane_view(offset, x)
    )
    return to_dy.to(x.dtype), to_x.to(x.dtype)


def _cpu(num_maps: int, reference: Callable[..., Any], kernel: Callable[..., Any]) -> Callable[..., Any]:
    """Call the Rust kernel where it serves, else its reference; ``num_maps`` arguments have x's shape."""

    def call(*arguments: Any) -> Any:
        x = arguments[num_maps - 1]
        for a in arguments:
            if not isinstance(a, Tensor):
                continue
            if a.dtype not in KERNEL_DTYPES or _keys(a) not in _PLAIN_KEYS:
                return reference(*arguments)
            if not a.data_ptr():
                _check_memory(a)
                return reference(*arguments)
        channels_last = is_channels_last(x)
        tensors = [dense(t, channels_last) for t in arguments[:num_maps]]
        rest = [t.contiguous() if isinstance(t, Tensor) else t for t in arguments[num_maps:]]
        return kernel(*tensors, *rest)

    return call


def _define(
    schema: str,
    num_maps: int,
    reference: Callable[..., Any],
    kernel: Callable[..., Any],
    fake: Callable[..., Any],
) -> None:
    name = schema.split("(")[0]
    _library.define(schema, tags=(torch.Tag.pt2_compliant_tag,))
    _library.impl(name, _cpu(num_maps, reference, kernel), "CPU")
    _library.impl(name, reference, "CompositeExplicitAutograd")
    torch.library.register_fake(f"anrl::{name}", fake, lib=_library)

    def batched(info: Any, dims: tuple[int | None, ...], *arguments: Any) -> tuple[Any, Any]:
        # A batch dimension in front is more samples: every operator works plane by plane.
        moved = [
            (a.movedim(d, 0) if d is not None else a.expand(info.batch_size, *a.shape))
            if isinstance(a, Tensor)
            else a
            for a, d in zip(arguments, dims, strict=True)
        ]
        results = getattr(torch.ops.anrl, name)(
            *(a.flatten(0, 1) if isinstance(a, Tensor) else a for a in moved)
        )
        if isinstance(results, Tensor):
            return results.reshape(info.batch_size, -1, *results.shape[1:]), 0
        return tuple(r.reshape(info.batch_size, -1, *r.shape[1:]) for r in results), (0,) * len(results)

    torch.library.register_vmap(f"anrl::{name}", batched, lib=_library)


def _planes(x: Tensor) -> Tensor:
    """Allocate an (N, C) array for x."""
    return x.new_empty(x.shape[:2], dtype=coefficient_dtype(x.dtype))


def _like(x: Tensor) -> Tensor:
    """Allocate a result as the kernels do: x's shape and type, in its dense layout."""
    return torch.empty_like(dense(x, is_channels_last(x)))


_define(
    "instance_moments(Tensor x) -> (Tensor, Tensor)",
    1,
    instance_moments,
    _anrl.instance_moments,
    lambda x: (_planes(x), _planes(x)),
)
_define(
    "scale_shift(Tensor x, Tensor scale, Tensor shift, bool relu) -> Tensor",
    1,
    scale_shift,
    _anrl.scale_shift,
    lambda x, *_: _like(x),
)
_define(
    "scale_shift_sums(Tensor dy, Tensor x, Tensor scale, Tensor shift, bool relu) -> (Tensor, Tensor)",
    2,
    scale_shift_sums,
    _anrl.scale_shift_sums,
    lambda dy, x, *_: (_planes(x), _planes(x)),
)
_define(
    "scale_shift_gradient(Tensor dy, Tensor x, Tensor scale, Tensor shift, Tensor slope, Tensor offset, "
    "bool relu) -> Tensor",
    2,
    scale_shift_gradient,
    lambda dy, x, *rest: _anrl.scale_shift_gradient(dy, x, rest[:4], rest[4]),
    lambda dy, x, *_: _like(x),
)
_define(
    "scale_shift_double_sums(Tensor ddx, Tensor dy, Tensor x, Tensor scale, Tensor shift, bool relu) "
    "-> (Tensor, Tensor, Tensor)",
    3,
    scale_shift_double_sums,
    _anrl.scale_shift_double_sums,
    lambda ddx, dy, x, *_: (_planes(x), _planes(x), _planes(x)),
)
_define(
    "scale_shift_double_gradient(Tensor ddx, Tensor dy, Tensor x, Tensor scale, Tensor shift, Tensor slope, "
    "Tensor sum_x, Tensor sum_1, Tensor curve, Tensor offset, bool relu) -> (Tensor, Tensor)",
    3,
    scale_shift_double_gradient,
    lambda ddx, dy, x, *rest: _anrl.scale_shift_double_gradient(ddx, dy, x, rest[:7], rest[7]),
    lambda ddx, dy, x, *_: (_like(x), _like(x)),
)
