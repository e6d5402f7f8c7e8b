"""The evaluation transform in plain torch: what an exported graph does to 8-bit pixels before the network."""

import torch
from torch import Tensor, nn

from anrl.data import Transform

_COLORS = {"rgb": [0, 1, 2], "hsv": [3, 4, 5], "rgb_hsv": [0, 1, 2, 3, 4, 5]}


class Preprocessing(nn.Module):
    """Cropping, color conversion, resizing and normalization of RGB images in integer arithmetic.

    The result is that of :class:`anrl.data.Transform` without augmentation, to the bit: HSV as OpenCV's 8-bit
    conversion, resizing as its INTER_LINEAR in 11-bit fixed point. Written in operators that every exporter
    of torch translates, of any batch and image size; it costs the same for images of any size.

    Args:
        transform: The transform to repeat; its augmentations are left out, and its crop to landmarks is the
            caller's: see ``box``.
    """

    def __init__(self, transform: Transform) -> None:
        super().__init__()
        self.size = transform.image_size
        self.channels = _COLORS[transform.color]
        values = torch.arange(256, dtype=torch.float64)
        for name, over in (("of_value", 255 << 12), ("of_chroma", 30 << 12)):
            reciprocals = torch.where(values > 0, torch.round(over / values.clamp(min=1)), 0).int()
            self.register_buffer(f"reciprocals_{name}", reciprocals, persistent=False)
        for name, setting in (("mean", transform.mean), ("std", transform.std)):
            per_channel = torch.tensor(setting, dtype=torch.float32).expand(len(self.channels))
            self.register_buffer(name, per_channel[:, None, None], persistent=False)

    reciprocals_of_value: Tensor
    reciprocals_of_chroma: Tensor
    mean: Tensor
    std: Tensor

    def forward(self, image: Tensor, box: Tensor | None = None) -> Tensor:
        """Compute the network's input.

        Args:
            image: (N, H, W, 3), uint8, RGB.
            box: The parts to keep, (N, 4), int64: left, top, right, bottom in pixels, right and bottom
                exclusive. They are cut to the image. By default the whole images.

        Returns:
            (N, channels, S, S), float32.
        """
        levels = self.levels(image, box)
        return (levels.float() - self.mean * 255) * (1 / (self.std * 255))

    def levels(self, image: Tensor, box: Tensor | None = None) -> Tensor:
        """Compute the 8-bit levels before normalization, (N, channels, S, S), int32; see :meth:`forward`."""
        count, height, width, _ = image.shape
        if box is None:
            sides = [torch.full((count,), side, device=image.device) for side in (0, 0, width, height)]
        else:
            left, top = box[:, 0].clamp(0, width - 1), box[:, 1].clamp(0, height - 1)
            right, bottom = box[:, 2].clamp(max=width), box[:, 3].clamp(max=height)
            sides = [left, top, torch.maximum(right, left + 1), torch.maximum(bottom, top + 1)]
        left, top, right, bottom = sides
        columns, column_weights = self._taps(left, right - left, clamp_fraction=True)
        rows, row_weights = self._taps(top, bottom - top, clamp_fraction=False)
        sample = torch.arange(count, device=image.device)[:, None, None]
        sums = []
        for row in rows:
            pixels = [self._colors(image[sample, row[:, :, None], column[:, None, :]]) for column in columns]
            first, second = (weight[:, None, :, None] for weight in column_weights)
            sums.append(pixels[0] * first + pixels[1] * second)
        upper, lower = (
            (weight[:, :, None, None] * (row >> 4)) >> 16
            for weight, row in zip(row_weights, sums, strict=True)
        )
        return ((upper + lower + 2) >> 2).clamp(max=255).permute(0, 3, 1, 2)

    def _taps(
        self, start: Tensor, length: Tensor, clamp_fraction: bool
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Indices and weights, of 2048, of the two pixels that each output pixel reads: (N, S) each."""
        scale = 1.0 / (self.size / length.double())
        places = torch.arange(self.size, dtype=torch.float64, device=start.device) + 0.5
        position = (places * scale[:, None] - 0.5).float()
        floor = torch.floor(position)
        fraction = position - floor
        left, last = floor.long(), (length - 1)[:, None]
        if clamp_fraction:
            fraction = torch.where((left < 0) | (left >= last), torch.zeros_like(fraction), fraction)
            left = torch.minimum(left.clamp(min=0), last)
        indices = [torch.minimum((left + side).clamp(min=0), last) + start[:, None] for side in (0, 1)]
        weights = [torch.round(weight * 2048).int() for weight in (1 - fraction, fraction)]
        return (indices[0], indices[1]), (weights[0], weights[1])

    def _colors(self, pixels: Tensor) -> Tensor:
        """Convert RGB (…, 3) to the channels of the network, (…, channels), int32."""
        rgb = pixels.int()
        if self.channels == _COLORS["rgb"]:
            return rgb
        hsv = self.hsv(rgb)
        return hsv if self.channels == _COLORS["hsv"] else torch.cat([rgb, hsv], -1)

    def hsv(self, rgb: Tensor) -> Tensor:
        """Convert RGB (…, 3), int32, to OpenCV's 8-bit HSV (…, 3), int32, H in 0..179."""
        red, green, blue = rgb.unbind(-1)
        value = rgb.amax(-1)
        chroma = value - rgb.amin(-1)
        saturation = (chroma * self.reciprocals_of_value[value.long()] + (1 << 11)) >> 12
        hue = torch.where(
            value == red,
            green - blue,
            torch.where(value == green, blue - red + 2 * chroma, red - green + 4 * chroma),
        )
        # 64 · 2^12 keeps the sum positive: ONNX shifts unsigned numbers only.
        hue = ((hue * self.reciprocals_of_chroma[chroma.long()] + (1 << 11) + (64 << 12)) >> 12) - 64
        return torch.stack([torch.where(hue < 0, hue + 180, hue), saturation, value], -1)
