"""A smooth model of a face's shape, for depth maps and shading."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def face_depth(height: int, width: int) -> Floats:
    """Depth map of a face that fills the frame: (height, width), 0 = background, 1 = tip of the nose."""
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    head = np.sqrt(np.clip(1 - (x / 0.85) ** 2 - ((y - 0.02) / 0.98) ** 2, 0, None))
    nose = 0.22 * np.exp(-((x / 0.16) ** 2) - (np.clip(y - 0.18, -0.6, None) / 0.24) ** 2)
    brow = 0.05 * np.exp(-((x / 0.5) ** 2) - ((y + 0.25) / 0.1) ** 2)
    chin = 0.06 * np.exp(-((x / 0.25) ** 2) - ((y - 0.78) / 0.14) ** 2)
    depth = head * (0.85 + nose + brow + chin)
    return (depth / depth.max()).astype(np.float32)


def shading(depth: Floats, light: tuple[float, float], ambient: float) -> Floats:
    """Lambertian shading of a depth map: (H, W), 1 where the surface faces the light.

    Args:
        depth: (H, W) in [0, 1].
        light: Direction of the light, right and up: 0 = frontal, 1 = 45 degrees.
        ambient: Fraction of ambient light, in [0, 1].
    """
    dy, dx = np.gradient(depth * 0.5 * depth.shape[1])
    facing = (1 - dx * light[0] + dy * light[1]) / np.sqrt(1 + dx**2 + dy**2)
    facing = facing / np.sqrt(1 + light[0] ** 2 + light[1] ** 2)
    return (ambient + (1 - ambient) * np.clip(facing, 0, None)).astype(np.float32)
