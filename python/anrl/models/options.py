"""Options of the networks: the key ``model`` of the configuration, and the constructors' argument.

This module imports no torch, so that a configuration is checked quickly.
"""

from dataclasses import dataclass
from typing import Literal

Gate = Literal["1layer", "2layer", "static", "dual"]
"""A gate of adaptive normalization; a key of ``anrl.nn.GATES``."""


@dataclass(frozen=True)
class ANRLNetOptions:
    """ANRL's own network; see :class:`anrl.models.ANRLNet`."""

    name: str = "anrl"
    width: float = 1.0
    """Factor on every number of channels; 1.0 is the published network."""
    norm: Literal["adaptive", "batch", "instance"] = "adaptive"
    """Normalization of the feature extractor."""
    gate: Gate = "1layer"
    """The gate of ``norm=adaptive``."""


@dataclass(frozen=True)
class BackboneOptions:
    """A model of timm, or of a constructor known by its import path; see :class:`anrl.models.Backbone`."""

    name: str
    """"timm/<model>", or an import path such as "torchvision.models.resnet18"."""
    norm: Literal["adaptive", "batch", "instance", "keep"] = "adaptive"
    """The replacement of the model's batch normalization. "batch" leaves it, and "keep" leaves any other
    normalization too."""
    gate: Gate = "1layer"
    """The gate of ``norm=adaptive``."""
    weights: str | None = None
    """A file (safetensors, or a state dict saved by ``torch.save``), or "pretrained" to download the
    library's own weights; by default the weights are random."""
    in_channels: int | None = None
    """Channels of the input; those of the data by default, and an error if the data has others."""
    out_index: int = -1
    """The feature map that the heads use, counted as in a list of the model's maps; the last by default."""


@dataclass(frozen=True)
class MiniFASNetOptions:
    """A network of Silent-Face; see :class:`anrl.models.MiniFASNet`."""

    name: str
    """"minifasnet_v2" or "minifasnet_v1se"."""
    norm: Literal["keep", "adaptive", "batch", "instance"] = "keep"
    """The replacement of batch normalization where maps have more than one pixel; "keep" and "batch" leave
    it."""
    gate: Gate = "1layer"
    """The gate of ``norm=adaptive``."""
    weights: str | None = None
    """A file with the published weights (or others of these names); by default the weights are random."""
    in_channels: int | None = None
    """Channels of the input; those of the data by default, and an error if the data has others."""


ModelOptions = ANRLNetOptions | BackboneOptions | MiniFASNetOptions
