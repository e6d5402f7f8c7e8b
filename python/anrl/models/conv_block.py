"""The unit all networks here are built of: convolution, normalization, ReLU."""

from torch import Tensor, nn

from anrl.nn import AdaptiveNorm2d


class ConvBlock(nn.Module):
    """3x3 convolution with bias, normalization, ReLU.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        norm: "adaptive", "batch" or "instance".
        gate: The gate of adaptive normalization.

    Raises:
        ValueError: ``norm`` or ``gate`` is unknown.
    """

    def __init__(
        self, in_channels: int, out_channels: int, norm: str = "batch", gate: str = "1layer"
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1)
        self.norm: nn.Module
        self.activation: nn.Module = nn.ReLU(inplace=True)
        if norm == "adaptive":
            self.norm = AdaptiveNorm2d(out_channels, gate=gate, activation="relu")
            self.activation = nn.Identity()
        elif norm == "batch":
            self.norm = nn.BatchNorm2d(out_channels)
        elif norm == "instance":
            self.norm = nn.InstanceNorm2d(out_channels, affine=True)
        else:
            raise ValueError(f"norm must be 'adaptive', 'batch' or 'instance', not {norm!r}")

    def forward(self, x: Tensor) -> Tensor:
        """(N, C_in, H, W) → (N, C_out, H, W)."""
        y: Tensor = self.activation(self.norm(self.conv(x)))
        return y
