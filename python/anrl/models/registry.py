"""The networks by name."""

import difflib
import importlib
import typing
from typing import TYPE_CHECKING, Any

from anrl.errors import ConfigError
from anrl.models.options import ANRLNetOptions, BackboneOptions, MiniFASNetOptions, ModelOptions

if TYPE_CHECKING:
    from anrl.models.base import Model

MODELS: dict[str, type[ModelOptions]] = {
    "anrl": ANRLNetOptions,
    "minifasnet_v2": MiniFASNetOptions,
    "minifasnet_v1se": MiniFASNetOptions,
}
"""The networks of this package and the class of their options."""


def model_options(name: str) -> type[ModelOptions]:
    """Look up the class of a network's options.

    Args:
        name: A key of ``MODELS``; "timm/<model>"; or the import path of a constructor, such as
            "torchvision.models.resnet18": a class derived from ``nn.Module``, or a function whose annotation
            says that it returns one, so that a configuration from a stranger can call nothing else. Only the
            last two import a library.

    Raises:
        ConfigError: there is no such network, or its library is not installed. The message gives the nearest
            name.
    """
    if name in MODELS:
        return MODELS[name]
    if name.startswith("timm/"):
        _check_timm(name)
    elif "." in name:
        _check_import_path(name)
    else:
        raise ConfigError(
            f"no model {name!r}{_nearest(name, [*MODELS, *_timm_names()])}; there are {', '.join(MODELS)}, "
            "timm/<model>, and import paths such as torchvision.models.resnet18",
            key="model.name",
        )
    return BackboneOptions


def build_model(options: ModelOptions, in_channels: int) -> "Model":
    """Build a network, with random weights or those of ``options.weights``.

    Weights that come from elsewhere afterwards (a checkpoint) make the file unnecessary: pass
    ``dataclasses.replace(options, weights=None)`` then.

    Args:
        options: The network.
        in_channels: Channels of the data: 6 for RGB and HSV, 3 for one of them.

    Raises:
        ConfigError: an option does not fit the model or the data.
        DataError: the weights cannot be read, or belong to another architecture.
    """
    if isinstance(options, ANRLNetOptions):
        from anrl.models.anrl_net import ANRLNet

        return ANRLNet(in_channels, options.width, options.norm, options.gate)
    if options.in_channels not in (None, in_channels):
        raise ConfigError(
            f"the model is to take {options.in_channels} channels, and the data has {in_channels}; leave out "
            "this key, or change transform.color",
            key="model.in_channels",
        )
    if isinstance(options, MiniFASNetOptions):
        from anrl.models.minifasnet import MiniFASNet

        return MiniFASNet(options, in_channels)
    from anrl.models.backbone import Backbone

    return Backbone(options, in_channels)


def _check_timm(name: str) -> None:
    try:
        import timm
    except ImportError:
        raise ConfigError(
            f"{name!r} needs timm, which is not installed; run `pip install timm`", key="model.name"
        ) from None
    if not timm.is_model(name.removeprefix("timm/")):
        raise ConfigError(f"timm has no model {name!r}{_nearest(name, _timm_names())}", key="model.name")


def _check_import_path(name: str) -> None:
    path, _, last = name.rpartition(".")
    try:
        module = importlib.import_module(path)
    except (ImportError, ValueError) as error:
        raise ConfigError(f"cannot import {path!r} ({error}); is it installed?", key="model.name") from None
    if not _makes_module(getattr(module, last, None)):
        names = [f"{path}.{key}" for key in dir(module) if _makes_module(getattr(module, key))]
        raise ConfigError(
            f"{name!r} is no class derived from torch.nn.Module, and no function annotated to return one"
            f"{_nearest(name, names)}",
            key="model.name",
        )


def _makes_module(constructor: Any) -> bool:
    from torch import nn

    if not isinstance(constructor, type) and callable(constructor):
        try:
            constructor = typing.get_type_hints(constructor).get("return")
        except (NameError, TypeError):
            return False
    return isinstance(constructor, type) and issubclass(constructor, nn.Module)


def _timm_names() -> list[str]:
    try:
        import timm
    except ImportError:
        return []
    return [f"timm/{name}" for name in timm.list_models()]


def _nearest(name: str, names: list[str]) -> str:
    last = name.rpartition("/")[2]
    exact = [known for known in names if known.rpartition("/")[2] == last]
    near = exact or difflib.get_close_matches(name, names, 1)
    return f"; did you mean {near[0]}?" if near else ""
