"""Conversion of models with batch normalization to adaptive or synchronized normalization."""

from collections.abc import Mapping
from typing import TypeVar, cast

import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from anrl.nn.adaptive_norm import AdaptiveNorm, AdaptiveNorm2d, AdaptiveNorm3d
from anrl.nn.sync_batch_norm import SyncBatchNorm2d

Model = TypeVar("Model", bound=nn.Module)

_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
_COUNTERPARTS: dict[type[nn.Module], type[AdaptiveNorm]] = {
    nn.BatchNorm2d: AdaptiveNorm2d,
    nn.BatchNorm3d: AdaptiveNorm3d,
    nn.SyncBatchNorm: AdaptiveNorm2d,
}


class AdaptiveNormAct2d(AdaptiveNorm2d):
    """Adaptive normalization, dropout, activation: what timm's ``BatchNormAct2d`` becomes."""

    drop: nn.Module
    act: nn.Module

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, H, W)."""
        y: Tensor = self.act(self.drop(super().forward(x)))
        return y


def convert_adaptive_norm(model: Model, gate: str = "1layer") -> Model | AdaptiveNorm:
    """Replace the batch normalization layers of a model by adaptive ones.

    ``BatchNorm2d``, ``BatchNorm3d``, ``SyncBatchNorm`` and timm's ``BatchNormAct2d`` are replaced; the new
    layers hold the old ones' parameters and running statistics, under the same names. The instance branch
    starts with the same scale and shift; gates are new. ``BatchNorm1d`` stays, as its inputs often have no
    spatial dimension. In training every plane must have more than one pixel.

    Args:
        model: The model, changed in place.
        gate: A key of ``anrl.nn.GATES``.

    Returns:
        The model, or the new layer if the model is a batch normalization itself.

    Raises:
        TypeError: the model has a layer of a class derived from batch normalization that is not known here,
            or one whose number of channels is not known yet. Nothing is changed then.
        ValueError: ``gate`` is unknown.
    """
    made: dict[nn.Module, AdaptiveNorm] = {}
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm) and not isinstance(module, nn.BatchNorm1d):
            made[module] = _adaptive(name, module, gate)
    _replace(model, made)
    return made.get(model, model)


def convert_sync_adaptive_norm(model: Model, process_group: dist.ProcessGroup | None = None) -> Model:
    """Share the batch statistics of a model's normalization layers between processes.

    In training, adaptive normalization (its batch branch) and ``BatchNorm2d``, which becomes
    :class:`anrl.nn.SyncBatchNorm2d`, then normalize by the samples of all processes, of which some may have
    fewer than others, or none. Gradients are those of the sum of all processes' losses, to any order of
    differentiation, on every backend that can all-reduce. Where no process group is initialized nothing
    changes.

    Args:
        model: The model, changed in place.
        process_group: The processes to share with; all by default.

    Returns:
        The model.
    """
    made: dict[nn.Module, nn.Module] = {}
    for module in model.modules():
        if isinstance(module, AdaptiveNorm):
            module.synchronized, module.process_group = True, process_group
        elif type(module) is nn.BatchNorm2d:
            made[module] = _synchronized(module, process_group)
    _replace(model, made)
    return made.get(model, model)  # type: ignore[return-value]  # a batch normalization becomes another


def _synchronized(old: nn.BatchNorm2d, process_group: dist.ProcessGroup | None) -> SyncBatchNorm2d:
    new = SyncBatchNorm2d(old.num_features, old.eps, old.momentum, old.affine, old.track_running_stats)
    new.process_group = process_group
    new.weight, new.bias = old.weight, old.bias
    for buffer in _BUFFERS:
        setattr(new, buffer, getattr(old, buffer))
    return new.train(old.training)


def _replace(model: nn.Module, made: Mapping[nn.Module, nn.Module]) -> None:
    for path, module in list(model.named_modules(remove_duplicate=False)):
        if path and module in made:
            parent, _, name = path.rpartition(".")
            model.get_submodule(parent).register_module(name, made[module])


def _adaptive(name: str, old: _BatchNorm, gate: str) -> AdaptiveNorm:
    with_activation = type(old).__name__ == "BatchNormAct2d" and isinstance(old, nn.BatchNorm2d)
    layer = AdaptiveNormAct2d if with_activation else _COUNTERPARTS.get(type(old))
    if layer is None:
        raise TypeError(
            f"{name or 'the model'} is a {type(old).__module__}.{type(old).__qualname__}, which may do more "
            "than batch normalization (or, if lazy, has no number of channels yet); replace it by "
            "nn.BatchNorm2d, or by anrl.nn.AdaptiveNorm2d, first"
        )
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
    )
    if old.affine:
        new.weight, new.bias = old.weight, old.bias
        new.instance_weight, new.instance_bias = (
            nn.Parameter(p.detach().clone(), requires_grad=p.requires_grad) for p in (old.weight, old.bias)
        )
    for buffer in _BUFFERS:
        setattr(new, buffer, getattr(old, buffer))
    if isinstance(new, AdaptiveNormAct2d):
        new.drop, new.act = cast(nn.Module, old.drop), cast(nn.Module, old.act)
        if isinstance(new.drop, nn.Identity) and type(new.act) is nn.ReLU:
            new.activation, new.act = "relu", nn.Identity()
    if isinstance(old, nn.SyncBatchNorm):
        new.synchronized, new.process_group = True, old.process_group
    return new.train(old.training)
