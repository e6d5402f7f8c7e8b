"""Models of timm, torchvision or other libraries as feature extractors."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from anrl.errors import ConfigError
from anrl.models.base import Model
from anrl.models.heads import DepthEstimator, PooledClassifier
from anrl.models.input_channels import adapt_input
from anrl.models.norm import convert_norm
from anrl.models.options import BackboneOptions
from anrl.models.registry import model_options
from anrl.models.weights import load_weights, read_weights
from anrl.nn import evaluation_mode

_PROBE_SIZE = 224
"""Side of the image, in pixels, by which a model's maps are measured; the size that most are made for."""


class Backbone(Model):
    """A model of another library up to one of its feature maps, with a classifier and a depth estimator.

    The maps are those of timm's ``features_only=True``; for a constructor known by its import path, the
    outputs of the model's children (``model.named_children()``) that are maps (N, D, h, w) of more than one
    pixel and do not come from pooling. The model must call its children one after the other, as
    torchvision's ResNet, MobileNet, EfficientNet, ConvNeXt, DenseNet, RegNet and VGG do; this is checked.

    The classifier averages the map over its pixels and has one linear layer. The depth estimator has three
    convolutions and keeps the map's resolution.

    ``nn.Hardsigmoid`` is replaced by a form that torch can differentiate twice, for the meta step.

    Weights are loaded first, the first convolutions adapted to the input second
    (:func:`anrl.models.input_channels.adapt_input`), and normalization converted last
    (:func:`anrl.models.norm.convert_norm`).

    Args:
        options: The model; ``weights`` are read here. Nothing is downloaded unless they are "pretrained".
        in_channels: Channels of the input.

    Raises:
        ConfigError: there is no such model, it has no such feature map, or an option does not fit it.
        DataError: the weights cannot be read, or belong to another architecture.
    """

    def __init__(self, options: BackboneOptions, in_channels: int = 3) -> None:
        super().__init__()
        model_options(options.name)
        pretrained = options.weights == "pretrained"
        make = _timm_trunk if options.name.startswith("timm/") else _sequential_trunk
        self.trunk = make(options, pretrained)
        if options.weights is not None and not pretrained:
            tensors = _of_trunk(self.trunk, read_weights(options.weights))
            load_weights(self.trunk, tensors, options.weights)
        _replace_hardsigmoid(self.trunk)
        adapt_input(self.trunk, in_channels, _PROBE_SIZE)
        convert_norm(self.trunk, options.norm, options.gate)
        with torch.no_grad(), evaluation_mode(self.trunk):
            features = self.extract(torch.zeros(1, in_channels, _PROBE_SIZE, _PROBE_SIZE))
        if features.dim() != 4:
            raise ConfigError(
                f"the features of {options.name} are not maps (N, D, h, w), but {tuple(features.shape)}",
                key="model.name",
            )
        self.num_features = features.shape[1]
        self.classifier = PooledClassifier(self.num_features)
        self.depth_estimator = DepthEstimator([self.num_features, 128, 64, 1])

    def extract(self, x: Tensor) -> Tensor:
        """Compute the feature map: (N, in_channels, H, W) → (N, num_features, h, w)."""
        features: Any = self.trunk(x)
        result: Tensor = features if isinstance(features, Tensor) else features[-1]
        return result

    def classify(self, features: Tensor) -> Tensor:
        """Compute logits from the feature map: (N, num_features, h, w) → (N, 2)."""
        logits: Tensor = self.classifier(features)
        return logits


class Hardsigmoid(nn.Module):
    """``relu6(x + 3) / 6``, with the second derivative that ``nn.Hardsigmoid`` lacks."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape → the same shape, in [0, 1]."""
        return functional.relu6(x + 3) / 6


def _replace_hardsigmoid(model: nn.Module) -> None:
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.Hardsigmoid):
            parent, _, last = name.rpartition(".")
            model.get_submodule(parent).register_module(last, Hardsigmoid())


def _timm_trunk(options: BackboneOptions, pretrained: bool) -> nn.Module:
    import timm

    try:
        trunk: nn.Module = timm.create_model(
            options.name.removeprefix("timm/"),
            pretrained=pretrained,
            features_only=True,
            out_indices=(options.out_index,),
        )
    except (AssertionError, IndexError) as error:
        raise ConfigError(
            f"{options.name} has no such feature map ({error})", key="model.out_index"
        ) from None
    except (AttributeError, RuntimeError, TypeError) as error:
        raise ConfigError(
            f"timm cannot build {options.name} as a feature extractor ({error})", key="model.name"
        ) from None
    return trunk


def _sequential_trunk(options: BackboneOptions, pretrained: bool) -> nn.Module:
    path, _, last = options.name.rpartition(".")
    make: Callable[..., Any] = getattr(importlib.import_module(path), last)
    try:
        model = make(weights="DEFAULT") if pretrained else make()
    except TypeError as error:
        raise ConfigError(f"{options.name} cannot be called so ({error})", key="model.name") from None
    if not isinstance(model, nn.Module):
        raise ConfigError(f"{options.name} makes no torch.nn.Module", key="model.name")
    return _truncated(model, options)


@torch.no_grad()
def _truncated(model: nn.Module, options: BackboneOptions) -> nn.Sequential:
    """The children of a model, in the order in which it calls them, up to a feature map."""
    called: list[tuple[str, nn.Module, Any]] = []

    def record(name: str) -> Callable[[nn.Module, Any, Any], None]:
        # A copy, because what follows may work in place.
        return lambda module, _, output: called.append(
            (name, module, output.clone() if isinstance(output, Tensor) else output)
        )

    hooks = [child.register_forward_hook(record(name)) for name, child in model.named_children()]
    image = torch.rand(1, 3, _PROBE_SIZE, _PROBE_SIZE, generator=torch.Generator().manual_seed(0))
    with evaluation_mode(model):
        model(image)
        for hook in hooks:
            hook.remove()
        maps = [
            position
            for position, (_, module, output) in enumerate(called)
            if isinstance(output, Tensor)
            and output.dim() == 4
            and output.shape[2:].numel() > 1
            and "pool" not in type(module).__name__.lower()
        ]
        if not -len(maps) <= options.out_index < len(maps):
            raise ConfigError(
                f"{options.out_index} of the {len(maps)} feature maps of {options.name}",
                key="model.out_index",
            )
        end = maps[options.out_index]
        trunk = nn.Sequential()
        for name, module, _ in called[: end + 1]:
            if name not in dict(trunk.named_children()):
                trunk.add_module(name, module)
        trunk.train(model.training)
        try:
            with evaluation_mode(trunk):
                is_chain = len(trunk) == end + 1 and torch.equal(trunk(image), called[end][2])
        except (RuntimeError, TypeError):
            is_chain = False
    if not is_chain:
        raise ConfigError(
            f"{options.name} does not call its children one after the other, so it cannot be cut at a map; "
            "use timm/<model>, or a constructor of a model that does",
            key="model.name",
        )
    return trunk


def _of_trunk(trunk: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a whole model under the names of its trunk, without those of layers after it.

    timm's feature extractors write ``stages_0`` for ``stages.0``.
    """
    names = {name.replace(".", "_"): name for name in trunk.state_dict()}
    layers = {name.replace(".", "_") for name, _ in trunk.named_modules()} - {""}
    renamed = {}
    for name, tensor in tensors.items():
        parts = name.split(".")
        parents = {"_".join(parts[:depth]) for depth in range(1, len(parts))}
        flat = name.replace(".", "_")
        if flat in names or parents & layers:
            renamed[names.get(flat, name)] = tensor
    return renamed
