"""Networks: ANRL's own, any timm or torchvision model as a backbone, and MiniFASNet."""

from typing import TYPE_CHECKING

from anrl.lazy import lazy_names
from anrl.models.options import ANRLNetOptions, BackboneOptions, MiniFASNetOptions
from anrl.models.registry import build_model, model_options

if TYPE_CHECKING:
    from anrl.models.anrl_net import ANRLNet
    from anrl.models.backbone import Backbone
    from anrl.models.base import Model
    from anrl.models.conv_block import ConvBlock
    from anrl.models.minifasnet import MiniFASNet
    from anrl.models.output import ModelOutput
    from anrl.models.tface import anrl_to_tface, tface_to_anrl
    from anrl.models.weights import read_weights

# Imported on first use, so that the options (a part of the configuration) load without torch.
_HOMES = {
    "ANRLNet": "anrl_net",
    "Backbone": "backbone",
    "ConvBlock": "conv_block",
    "MiniFASNet": "minifasnet",
    "Model": "base",
    "ModelOutput": "output",
    "anrl_to_tface": "tface",
    "read_weights": "weights",
    "tface_to_anrl": "tface",
}

__all__ = [
    "ANRLNet",
    "ANRLNetOptions",
    "Backbone",
    "BackboneOptions",
    "ConvBlock",
    "MiniFASNet",
    "MiniFASNetOptions",
    "Model",
    "ModelOutput",
    "anrl_to_tface",
    "build_model",
    "model_options",
    "read_weights",
    "tface_to_anrl",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
