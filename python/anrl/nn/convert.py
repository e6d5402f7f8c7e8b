"""Conversion of models with batch normalization to adaptive or synchronized normalization."""

import warnings
from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from anrl.nn.adaptive_norm import AdaptiveNorm, AdaptiveNorm2d, AdaptiveNorm3d
from anrl.nn.modes import evaluation_mode
from anrl.nn.sync_batch_norm import SyncBatchNorm1d, SyncBatchNorm2d, SyncBatchNorm3d, SyncBatchNormAct2d

Model = TypeVar("Model", bound=nn.Module)

_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
_COUNTERPARTS: dict[type[nn.Module], type[AdaptiveNorm]] = {
    nn.BatchNorm2d: AdaptiveNorm2d,
    nn.BatchNorm3d: AdaptiveNorm3d,
    nn.SyncBatchNorm: AdaptiveNorm2d,
    SyncBatchNorm2d: AdaptiveNorm2d,
    SyncBatchNorm3d: AdaptiveNorm3d,
}
_SYNCHRONIZED: dict[type[nn.Module], type[SyncBatchNorm1d | SyncBatchNorm2d | SyncBatchNorm3d]] = {
    kind: new
    for new, old in (
        (SyncBatchNorm1d, nn.BatchNorm1d),
        (SyncBatchNorm2d, nn.BatchNorm2d),
        (SyncBatchNorm3d, nn.BatchNorm3d),
    )
    for kind in (old, new)
}


class AdaptiveNormAct2d(AdaptiveNorm2d):
    """Adaptive normalization, dropout, activation: what timm's ``BatchNormAct2d`` becomes."""

    drop: nn.Module
    act: nn.Module

    def _normalize(self, x: Tensor) -> Tensor:
        y: Tensor = self.act(self.drop(super()._normalize(x)))
        return y


def convert_adaptive_norm(
    model: Model,
    gate: str = "1layer",
    *,
    skip: Collection[str] = (),
    example_input: Tensor | tuple[Any, ...] | None = None,
) -> Model | AdaptiveNorm:
    """Replace the batch normalization layers of a model by adaptive ones.

    ``BatchNorm2d``, ``BatchNorm3d``, ``SyncBatchNorm`` and timm's ``BatchNormAct2d`` are replaced; the new
    layers hold the old ones' parameters and running statistics, under the same names. The instance branch
    starts with the same scale and shift; gates are new. ``BatchNorm1d`` stays, as its inputs often have no
    spatial dimension.

    Over planes of one pixel, as behind global pooling, an adaptive layer is its batch branch alone, so its
    gate never learns anything. With ``example_input`` such layers keep their batch normalization, and a
    warning names them.

    Args:
        model: The model, changed in place.
        gate: A key of ``anrl.nn.GATES``.
        skip: Names of layers to leave as they are, or of modules with such layers, as in
            ``model.named_modules()``.
        example_input: Input, or a tuple of inputs, of the size that the model will see. The model runs on it
            once, in evaluation mode.

    Returns:
        The model, or the new layer if the model is a batch normalization itself.

    Raises:
        TypeError: the model has a layer of a class derived from batch normalization that is not known here,
            or one whose number of channels is not known yet. Nothing is changed then.
        ValueError: ``gate`` is unknown, or the model has no module of a name in ``skip``.
    """
    unknown = sorted(set(skip) - dict(model.named_modules(remove_duplicate=False)).keys())
    if unknown:
        raise ValueError(f"skip names {', '.join(unknown)}, but the model has no such module")
    skipped = {module for name in skip for module in model.get_submodule(name).modules()}
    old: dict[nn.Module, str] = {
        module: name
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm)
        and not isinstance(module, nn.BatchNorm1d | AdaptiveNorm)
        and module not in skipped
    }
    made = {module: _adaptive(name, cast(_BatchNorm, module), gate) for module, name in old.items()}
    if example_input is not None:
        kept = _over_single_pixels(model, old, example_input)
        if kept:
            warnings.warn(
                "these layers keep their batch normalization, because instance normalization would erase "
                f"planes of one pixel: {', '.join(old[module] or 'the model' for module in kept)}",
                stacklevel=2,
            )
        made = {module: new for module, new in made.items() if module not in kept}
    _replace(model, made)
    return made.get(model, model)


@torch.no_grad()
def _over_single_pixels(
    model: nn.Module, layers: Iterable[nn.Module], example_input: Tensor | tuple[Any, ...]
) -> list[nn.Module]:
    """The layers that see planes of one pixel."""
    single: list[nn.Module] = []

    def look(layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        if inputs[0].shape[2:].numel() == 1 and layer not in single:
            single.append(layer)

    hooks = [layer.register_forward_pre_hook(look) for layer in layers]
    try:
        with evaluation_mode(model):
            model(*example_input if isinstance(example_input, tuple) else (example_input,))
    finally:
        for hook in hooks:
            hook.remove()
    return single


def convert_sync_adaptive_norm(model: Model, process_group: dist.ProcessGroup | None = None) -> Model:
    """Share the batch statistics of a model's normalization layers between processes.

    In training, adaptive normalization (its batch branch) and batch normalization (``BatchNorm1d``,
    ``BatchNorm2d`` and ``BatchNorm3d``, which become :class:`anrl.nn.SyncBatchNorm2d` and its like, and
    timm's ``BatchNormAct2d``) then normalize by the samples of all processes, of which some may have fewer
    than others, or none. Gradients are those of the sum of all processes' losses, to any order of
    differentiation, on every backend that can all-reduce. In evaluation processes do not communicate. Where
    no process group is initialized nothing changes. ``nn.SyncBatchNorm``, which shares by itself, stays.

    Args:
        model: The model, changed in place.
        process_group: The processes to share with; all by default.

    Returns:
        The model, or the new layer if the model is a batch normalization itself.

    Raises:
        TypeError: the model has a layer of a class derived from batch normalization that is not known here,
            or one whose number of channels is not known yet. Nothing is changed then.
    """
    made: dict[nn.Module, nn.Module] = {}
    adaptive: list[AdaptiveNorm] = []
    for name, module in model.named_modules():
        if isinstance(module, AdaptiveNorm):
            adaptive.append(module)
        elif isinstance(module, _BatchNorm) and not isinstance(module, nn.SyncBatchNorm):
            made[module] = _synchronized(name, module, process_group)
    for module in adaptive:
        module.synchronized, module.process_group = True, process_group
    _replace(model, made)
    return made.get(model, model)  # type: ignore[return-value]  # a batch normalization becomes another


def _synchronized(name: str, old: _BatchNorm, process_group: dist.ProcessGroup | None) -> nn.Module:
    layer = SyncBatchNormAct2d if _is_with_activation(old) else _SYNCHRONIZED.get(type(old))
    if layer is None:
        raise _unknown(name, old)
    new = layer(old.num_features, old.eps, old.momentum, old.affine, old.track_running_stats)
    new.process_group = process_group
    new.weight, new.bias = old.weight, old.bias
    for buffer in _BUFFERS:
        setattr(new, buffer, getattr(old, buffer))
    if isinstance(new, SyncBatchNormAct2d):
        new.drop, new.act = cast(nn.Module, old.drop), cast(nn.Module, old.act)
    return new.train(old.training)


def _replace(model: nn.Module, made: Mapping[nn.Module, nn.Module]) -> None:
    for path, module in list(model.named_modules(remove_duplicate=False)):
        if path and module in made:
            parent, _, name = path.rpartition(".")
            model.get_submodule(parent).register_module(name, made[module])


def _is_with_activation(module: nn.Module) -> bool:
    is_timms = type(module).__name__ == "BatchNormAct2d" and isinstance(module, nn.BatchNorm2d)
    return is_timms or type(module) is SyncBatchNormAct2d


def _unknown(name: str, old: nn.Module) -> TypeError:
    return TypeError(
        f"{name or 'the model'} is a {type(old).__module__}.{type(old).__qualname__}, which may do more "
        "than batch normalization (or, if lazy, has no number of channels yet); replace it by "
        "nn.BatchNorm2d, or by anrl.nn.AdaptiveNorm2d, first"
    )


def _adaptive(name: str, old: _BatchNorm, gate: str) -> AdaptiveNorm:
    layer = AdaptiveNormAct2d if _is_with_activation(old) else _COUNTERPARTS.get(type(old))
    if layer is None:
        raise _unknown(name, old)
    sample = next((t for t in (old.weight, old.running_mean) if t is not None), None)
    new = layer(
        old.num_features,
        eps=old.eps,
        momentum=old.momentum,
        affine=old.affine,
        track_running_stats=old.track_running_stats,
        gate=gate,
        device=sample.device if sample is not None else None,
        dtype=sample.dtype if sample is not None else None,
        bias=old.bias is not None,
    )
    for parameter in ("weight", "bias"):
        value = getattr(old, parameter)
        setattr(new, parameter, value)
        if value is not None:
            copy = nn.Parameter(value.detach().clone(), requires_grad=value.requires_grad)
            setattr(new, f"instance_{parameter}", copy)
    for buffer in _BUFFERS:
        setattr(new, buffer, getattr(old, buffer))
    if isinstance(new, AdaptiveNormAct2d):
        new.drop, new.act = cast(nn.Module, old.drop), cast(nn.Module, old.act)
        if isinstance(new.drop, nn.Identity) and type(new.act) is nn.ReLU:
            new.activation, new.act = "relu", nn.Identity()
    if isinstance(old, nn.SyncBatchNorm | SyncBatchNorm2d | SyncBatchNorm3d):
        new.synchronized, new.process_group = True, old.process_group
    return new.train(old.training)
