"""First convolutions for inputs of more or fewer channels than three."""

from typing import Any

import torch
from torch import Tensor, nn

from anrl.errors import ConfigError
from anrl.nn import evaluation_mode


@torch.no_grad()
def adapt_input(model: nn.Module, in_channels: int, image_size: int = 224) -> None:
    """Let a model of RGB images take ``in_channels`` channels.

    In every convolution that sees the image itself, channel c gets the weights of channel c mod 3, times
    3 / in_channels. With six channels, RGB and HSV, the HSV half starts from the weights of the RGB half and
    all weights are halved, so that activations keep their size.

    Args:
        model: The model, changed in place; its weights are loaded already.
        in_channels: Channels of the input.
        image_size: The side of an image that the model can take, in pixels.

    Raises:
        ConfigError: no convolution sees the image itself.
    """
    if in_channels == 3:
        return
    image = torch.zeros(1, 3, image_size, image_size)
    first: list[nn.Conv2d] = []

    def collect(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        if isinstance(module, nn.Conv2d) and module.groups == 1 and arguments[0] is image:
            first.append(module)

    hooks = [module.register_forward_pre_hook(collect) for module in model.modules()]
    with evaluation_mode(model):
        model(image)
    for hook in hooks:
        hook.remove()
    if not first:
        raise ConfigError(
            f"no convolution of the model sees the image itself, so none can take {in_channels} channels; "
            "use images of 3 channels (transform.color=rgb)",
            key="model.in_channels",
        )
    for convolution in first:
        convolution.weight = nn.Parameter(widened(convolution.weight, in_channels))
        convolution.in_channels = in_channels


def widened(weight: Tensor, in_channels: int) -> Tensor:
    """Weights for ``in_channels`` channels from those for three: (O, 3, k, k) → (O, in_channels, k, k)."""
    return weight[:, [channel % 3 for channel in range(in_channels)]] * (3 / in_channels)
