"""MiniFASNetV2 and MiniFASNetV1SE, the networks of Silent-Face (Minivision, 2020)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from anrl.errors import ConfigError
from anrl.models.base import Model
from anrl.models.heads import DepthEstimator
from anrl.models.input_channels import widened
from anrl.models.norm import convert_norm
from anrl.models.options import MiniFASNetOptions
from anrl.models.weights import load_weights, read_weights

IMAGE_SIZE = 80
"""Side of an input, in pixels."""


class _Variant(NamedTuple):
    """What the two networks differ in; widths are those left by the authors' pruning."""

    stage_widths: tuple[tuple[int, ...], ...]
    """Inner channels of the residual blocks of each stage."""
    squeeze: bool
    """Whether the last block of each stage has squeeze-and-excitation."""
    dropout: float


VARIANTS = {
    "minifasnet_v2": _Variant(((13, 13, 13, 13), (231, 52, 26, 77, 26, 26), (26, 26)), False, 0.2),
    "minifasnet_v1se": _Variant(((13, 26, 13, 52), (154, 52, 26, 52, 26, 26), (26, 26)), True, 0.75),
}


class MiniFASNet(Model):
    """A network of Silent-Face for face crops of 80 x 80 pixels, with a depth estimator added.

    The input is what :class:`anrl.data.Transform` makes with ``color="rgb"`` and mean and standard deviation
    0.5: RGB in [-1, 1]. The forward pass maps it to what the published weights were trained on, BGR in
    [0, 255]. With six channels the HSV half is scaled alike and keeps its order.

    Parameter names are the published ones, so the published weights load by name. The three classes of the
    last layer (attack, bona fide, attack) become two logits: z1 for bona fide and
    ``logsumexp(z0, z2)`` for attack, whose softmax is P(bona fide) of all three.

    Features are the last 5 x 5 map, (N, 128, 5, 5). ``norm`` converts the layers before it, but not those of
    squeeze-and-excitation, whose maps have one pixel.

    Args:
        options: "minifasnet_v2" (434,560 parameters without the depth estimator) or "minifasnet_v1se"
            (433,586), its normalization and weights.
        in_channels: Channels of the input; for other numbers than 3 the first convolution is made from that
            of three channels, as :func:`anrl.models.input_channels.adapt_input` says.

    Raises:
        ConfigError: there is no such network.
        DataError: the weights cannot be read, or belong to another architecture.
        ValueError: an input is not (N, in_channels, 80, 80).
    """

    num_features = 128

    def __init__(self, options: MiniFASNetOptions, in_channels: int = 3) -> None:
        super().__init__()
        if options.name not in VARIANTS:
            raise ConfigError(f"{options.name!r} is none of {', '.join(VARIANTS)}", key="model.name")
        if options.weights == "pretrained":
            raise ConfigError(
                f"{options.name} has no weights to download from here; give the .pth file from the "
                "repository of Silent-Face",
                key="model.weights",
            )
        variant = VARIANTS[options.name]
        stage_3, stage_4, stage_5 = variant.stage_widths
        self.in_channels = in_channels
        self.conv1 = ConvUnit(3, 32, 3, stride=2, padding=1)
        self.conv2_dw = ConvUnit(32, 32, 3, padding=1, groups=32)
        self.conv_23 = Bottleneck(32, 103, 64, stride=2)
        self.conv_3 = ResidualStage(64, stage_3, variant.squeeze)
        self.conv_34 = Bottleneck(64, 231, 128, stride=2)
        self.conv_4 = ResidualStage(128, stage_4, variant.squeeze)
        self.conv_45 = Bottleneck(128, 308, 128, stride=2)
        self.conv_5 = ResidualStage(128, stage_5, variant.squeeze)
        self.conv_6_sep = ConvUnit(128, 512, 1)
        self.conv_6_dw = ConvUnit(512, 512, 5, groups=512, activation=False)
        self.linear = nn.Linear(512, 128, bias=False)
        self.bn = nn.BatchNorm1d(128)
        self.drop = nn.Dropout(variant.dropout)
        self.prob = nn.Linear(128, 3, bias=False)
        if options.weights is not None:
            load_weights(self, read_weights(options.weights), options.weights)
        if in_channels != 3:
            first = self.conv1.conv
            first.weight = nn.Parameter(widened(first.weight.detach(), in_channels))
            first.in_channels = in_channels
        trunk = (self.conv1, self.conv2_dw, self.conv_23, self.conv_3)
        for part in (*trunk, self.conv_34, self.conv_4, self.conv_45, self.conv_5):
            for module in part.modules():
                if isinstance(module, ConvUnit):
                    convert_norm(module, options.norm, options.gate)
        self.depth_estimator = DepthEstimator([self.num_features, 32, 1])

    def extract(self, x: Tensor) -> Tensor:
        """Compute the last 5 x 5 map: (N, in_channels, 80, 80) → (N, 128, 5, 5)."""
        if x.dim() != 4 or x.shape[1:] != (self.in_channels, IMAGE_SIZE, IMAGE_SIZE):
            raise ValueError(
                f"expected (N, {self.in_channels}, {IMAGE_SIZE}, {IMAGE_SIZE}), got {tuple(x.shape)}; set "
                f"transform.image_size={IMAGE_SIZE}"
            )
        bgr = torch.cat([x[:, :3].flip(1), x[:, 3:]], 1)
        y = self.conv2_dw(self.conv1((bgr + 1) * 127.5))
        y = self.conv_3(self.conv_23(y))
        y = self.conv_4(self.conv_34(y))
        features: Tensor = self.conv_5(self.conv_45(y))
        return features

    def classify(self, features: Tensor) -> Tensor:
        """Compute logits from the feature map: (N, 128, 5, 5) → (N, 2)."""
        y = self.conv_6_dw(self.conv_6_sep(features)).flatten(1)
        z = self.prob(self.drop(self.bn(self.linear(y))))
        return torch.stack([z[:, 1], torch.logsumexp(z[:, ::2], 1)], 1)


class ConvUnit(nn.Module):
    """Convolution without bias, batch normalization, and PReLU unless ``activation`` is False."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
        activation: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=False
        )
        self.bn = nn.BatchNorm2d(out_channels)
        self.prelu = nn.PReLU(out_channels) if activation else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) → (N, out_channels, H', W')."""
        y: Tensor = self.prelu(self.bn(self.conv(x)))
        return y


class Bottleneck(nn.Module):
    """1x1 convolution to ``width`` channels, depthwise 3x3, linear 1x1."""

    def __init__(self, in_channels: int, width: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = ConvUnit(in_channels, width, 1)
        self.conv_dw = ConvUnit(width, width, 3, stride, padding=1, groups=width)
        self.project = ConvUnit(width, out_channels, 1, activation=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) → (N, out_channels, H / stride, W / stride), rounded up."""
        y: Tensor = self.project(self.conv_dw(self.conv(x)))
        return y


class SqueezeExcitation(nn.Module):
    """Scales in (0, 1) for all channels, computed from their means through a quarter of the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // 4, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels // 4)
        self.fc2 = nn.Conv2d(channels // 4, channels, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → the same shape."""
        squeezed = torch.relu(self.bn1(self.fc1(x.mean((2, 3), keepdim=True))))
        return x * torch.sigmoid(self.bn2(self.fc2(squeezed)))


class ResidualBlock(Bottleneck):
    """A bottleneck, with or without squeeze-and-excitation, added to its input."""

    def __init__(self, channels: int, width: int, squeeze: bool) -> None:
        super().__init__(channels, width, channels)
        self.se_module = SqueezeExcitation(channels) if squeeze else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → the same shape."""
        y: Tensor = x + self.se_module(super().forward(x))
        return y


class ResidualStage(nn.Module):
    """Residual blocks, of which the last one may have squeeze-and-excitation."""

    def __init__(self, channels: int, widths: tuple[int, ...], squeeze: bool) -> None:
        super().__init__()
        last = len(widths) - 1
        self.model = nn.Sequential(
            *(ResidualBlock(channels, width, squeeze and i == last) for i, width in enumerate(widths))
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → the same shape."""
        y: Tensor = self.model(x)
        return y
