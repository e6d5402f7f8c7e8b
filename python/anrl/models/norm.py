"""Conversion of the batch normalization of a whole model."""

from torch import nn

from anrl.errors import ConfigError
from anrl.nn import convert_adaptive_norm


def convert_norm(model: nn.Module, norm: str, gate: str = "1layer") -> None:
    """Convert the 2D batch normalization layers of a model in place.

    The new layers start with the scale and shift of the old ones.

    Args:
        model: The model.
        norm: "adaptive": by :func:`anrl.nn.convert_adaptive_norm`; "instance": to ``nn.InstanceNorm2d``;
            "batch": no change, but the model must have batch normalization; "keep": no change to any model.
        gate: The gate of "adaptive".

    Raises:
        ConfigError: the model has no batch normalization to convert, or one of a class derived from it that
            is not known here.
        ValueError: ``norm`` or ``gate`` is unknown.
    """
    if norm not in ("adaptive", "batch", "instance", "keep"):
        raise ValueError(f"norm must be 'adaptive', 'batch', 'instance' or 'keep', not {norm!r}")
    if norm == "keep":
        return
    names = [name for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)]
    if not names:
        raise ConfigError(
            f"the model has no batch normalization that {norm!r} could replace; set model.norm=keep "
            "to train it with its own normalization",
            key="model.norm",
        )
    if norm == "adaptive":
        try:
            convert_adaptive_norm(model, gate)
        except TypeError as error:
            raise ConfigError(str(error), key="model.norm") from None
    elif norm == "instance":
        for name in names:
            parent, _, last = name.rpartition(".")
            model.get_submodule(parent).register_module(last, _instance(name, model.get_submodule(name)))


def _instance(name: str, old: nn.Module) -> nn.Module:
    assert isinstance(old, nn.BatchNorm2d)
    new = nn.InstanceNorm2d(old.num_features, eps=old.eps, affine=old.affine)
    if old.affine:
        new.weight, new.bias = old.weight, old.bias
    if type(old) is nn.BatchNorm2d:
        return new
    if type(old).__name__ == "BatchNormAct2d":
        return nn.Sequential(new, old.drop, old.act)  # type: ignore[arg-type]  # modules of timm's layer
    raise ConfigError(
        f"{name} is a {type(old).__module__}.{type(old).__qualname__}, which does more than batch "
        "normalization; set model.norm to keep or batch",
        key="model.norm",
    )
