"""A simulated camera: from a scene in linear light to an 8-bit picture."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

Floats = NDArray[np.float32]
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Camera:
    """Settings of a simulated camera: lens, sensor, automatic tone control and JPEG compression."""

    resolution: int
    """Side of the picture in pixels."""
    blur: float
    """Standard deviation of the lens blur in picture pixels."""
    noise: float
    """Standard deviation of the sensor noise at full exposure, as a fraction of full scale."""
    white_balance: tuple[float, float, float]
    """Gains of red, green and blue that remain after white balancing."""
    brightness: float
    """Mean of the picture that the automatic tone control sets, in [0, 1]."""
    contrast: float
    """Standard deviation of the picture's luma that the tone control sets, in [0, 1]."""
    color: float
    """Mean distance of a pixel from gray that the tone control sets, in [0, 1]."""
    jpeg_quality: int
    """Quality of the stored JPEG file."""

    def another(self, generator: np.random.Generator) -> "Camera":
        """Draw another camera of the same domain, with more or less noise, blur and compression."""
        noise, blur, quality = generator.standard_normal(3)
        return replace(
            self,
            noise=self.noise * float(np.exp(0.4 * noise)),
            blur=self.blur * float(np.exp(0.2 * blur)),
            jpeg_quality=int(np.clip(self.jpeg_quality + 10 * quality, 40, 97)),
        )

    def capture(self, scene: Floats, generator: np.random.Generator) -> NDArray[np.uint8]:
        """Take a picture of a scene.

        Args:
            scene: (S, S, 3) in linear light.
            generator: Source of noise and of the errors of automatic exposure and white balance.

        Returns:
            (resolution, resolution, 3), RGB in display values.
        """
        scale = scene.shape[0] / self.resolution
        # The pixel itself integrates over its area; the lens blurs more.
        sigma = np.hypot(self.blur, 0.35) * scale
        light = ndimage.gaussian_filter(scene, (sigma, sigma, 0), mode="nearest")
        light = _sample(light, self.resolution)
        light = light * np.float32(0.2 / max(float(light.mean()), 1e-3))
        deviation = self.noise * np.sqrt(np.clip(light, 0.02, 1))
        light = light + deviation * generator.standard_normal(light.shape, np.float32)
        picture = np.clip(light, 0, 1) ** np.float32(1 / 2.2)
        return to_8_bit(self._develop(picture, generator))

    def _develop(self, picture: Floats, generator: np.random.Generator) -> Floats:
        """Set brightness, contrast and color automatically, nearly independent of the scene's own."""
        brightness, contrast, color = (
            aim * generator.lognormal(0, 0.12) for aim in (self.brightness, self.contrast, self.color)
        )
        gray = picture @ LUMA
        chroma = picture - gray[..., None]
        gray = (gray - gray.mean()) * np.float32(contrast / max(float(gray.std()), 1e-3)) + np.float32(
            brightness
        )
        chroma = chroma * np.float32(color / max(float(np.abs(chroma).mean()), 1e-3))
        cast = np.array(self.white_balance, np.float32) * generator.normal(1, 0.03, 3).astype(np.float32)
        return (gray[..., None] + chroma) * cast


def to_8_bit(picture: Floats) -> NDArray[np.uint8]:
    """Quantize [0, 1] to 0..255."""
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)


def resize(picture: Floats, height: int, width: int) -> Floats:
    """Resize (H, W, C) by bicubic interpolation."""
    channels = [
        np.asarray(Image.fromarray(c).resize((width, height), Image.Resampling.BICUBIC))
        for c in np.moveaxis(picture.astype(np.float32), -1, 0)
    ]
    return np.stack(channels, -1)


def _sample(light: Floats, resolution: int) -> Floats:
    """Sample a scene on the pixel grid, with bilinear interpolation."""
    size = light.shape[0]
    at = (np.arange(resolution) + 0.5) * size / resolution - 0.5
    low = np.clip(np.floor(at).astype(int), 0, size - 2)
    weight = (at - low).astype(np.float32)
    rows = light[low] * (1 - weight)[:, None, None] + light[low + 1] * weight[:, None, None]
    return rows[:, low] * (1 - weight)[:, None] + rows[:, low + 1] * weight[:, None]
