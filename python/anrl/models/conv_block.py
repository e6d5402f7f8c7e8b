"""The unit that ANRL's network and the depth estimators are built of: convolution, normalization, ReLU."""

from torch import Tensor, nn

from anrl.nn import AdaptiveNorm2d, NormLayer, make_norm


class ConvBlock(nn.Module):
    """3x3 convolution with bias, normalization, ReLU.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        norm: "adaptive", "batch" or "instance"; or a class or partial that is called with ``out_channels``.
        gate: The gate of "adaptive".

    Raises:
        ValueError: ``norm`` or ``gate`` is unknown.
    """

    def __init__(
        self, in_channels: int, out_channels: int, norm: NormLayer = "batch", gate: str = "1layer"
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1)
        self.norm = make_norm(norm, out_channels, gate)
        self.activation: nn.Module = nn.ReLU(inplace=True)
        if isinstance(self.norm, AdaptiveNorm2d):
            self.norm.activation = "relu"
            self.activation = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C_in, H, W) → (N, C_out, H, W)."""
        y: Tensor = self.activation(self.norm(self.conv(x)))
        return y
