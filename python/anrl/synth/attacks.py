"""Presentation attack instruments: pictures printed on paper or replayed on a screen.

Both take a picture in display values (S, S, 3) in [0, 1] and return a scene in linear light for the camera.
Lengths are in scene pixels.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import ndimage

from anrl.synth.camera import Floats


@dataclass(frozen=True)
class Print:
    """A printed photograph."""

    screen: Literal["halftone", "dither", "lines"]
    """Screening of tones: rotated dots, dispersed dots, or lines."""
    pitch: float
    """Distance between dots or lines."""
    contrast: float
    """Visibility of the dots or lines, in [0, 1]."""
    black: float
    """Reflectance of the darkest ink."""
    paper: tuple[float, float, float]
    """Reflectance of the paper in red, green and blue."""
    gloss: float
    """Strength of the specular highlight."""
    curl: float
    """Largest displacement by the curl of the paper."""

    def present(self, picture: Floats, generator: np.random.Generator) -> Floats:
        """Print the picture and hold it before the camera."""
        size = picture.shape[0]
        y, x = np.mgrid[0:size, 0:size].astype(np.float32)
        tone = picture ** np.float32(2.2)
        pitch = self.pitch * generator.uniform(0.9, 1.1)
        inked = np.empty_like(tone)
        first = generator.uniform(0, np.pi / 2)
        for channel in range(3):
            threshold = self._screen(x, y, pitch, first + channel * np.pi / 12, generator)
            # A soft threshold: ink bleeds.
            dots = 1 / (1 + np.exp(-(tone[..., channel] - threshold) * 7))
            inked[..., channel] = (1 - self.contrast) * tone[..., channel] + self.contrast * dots
        paper = np.array(self.paper, np.float32)
        scene = self.black + (paper - self.black) * inked
        scene = (
            scene
            * (1 + 0.03 * ndimage.gaussian_filter(generator.standard_normal((size, size)), 0.8))[..., None]
        )
        bend, phase = self.curl * generator.uniform(0.5, 1.5), generator.uniform(0, 2 * np.pi)
        angle = generator.uniform(0, np.pi)
        along = (np.cos(angle) * x + np.sin(angle) * y) * (2 * np.pi / (1.3 * size)) + phase
        where = [y + bend * np.sin(along) * np.sin(angle), x + bend * np.sin(along) * np.cos(angle)]
        scene = np.stack(
            [ndimage.map_coordinates(scene[..., c], where, order=1, mode="nearest") for c in range(3)], -1
        )
        light = 1 + 0.03 * bend * np.cos(along)
        light = light + self.gloss * _spot(x, y, size, generator)
        return (scene * light[..., None]).astype(np.float32)

    def _screen(
        self, x: Floats, y: Floats, pitch: float, angle: float, generator: np.random.Generator
    ) -> Floats:
        """Thresholds in [0, 1]."""
        if self.screen == "dither":
            noise = generator.standard_normal(x.shape).astype(np.float32)
            # Blue noise: no low frequencies, grain of the size of the pitch.
            grain = ndimage.gaussian_filter(noise, pitch / 5) - ndimage.gaussian_filter(noise, pitch / 2)
            return np.clip(0.5 + 0.25 * grain / grain.std(), 0, 1)
        u = (np.cos(angle) * x + np.sin(angle) * y) * np.float32(2 * np.pi / pitch)
        v = (np.cos(angle) * y - np.sin(angle) * x) * np.float32(2 * np.pi / pitch)
        waves = np.cos(u) if self.screen == "lines" else (np.cos(u) + np.cos(v)) / 2
        return 0.5 + 0.45 * waves


@dataclass(frozen=True)
class Replay:
    """A photograph replayed on a screen."""

    pitch: float
    """Distance between screen pixels."""
    contrast: float
    """Darkness of the gaps between screen pixels, in [0, 1]."""
    moire: float
    """Amplitude of the color fringes between screen and sensor."""
    glow: float
    """Light of a black screen, as a fraction of a white screen's."""
    white: tuple[float, float, float]
    """Color of the white screen."""
    reflection: float
    """Strength of reflections on the glass."""
    bezel: float
    """Probability that an edge of the screen is in the picture."""

    def present(self, picture: Floats, generator: np.random.Generator) -> Floats:
        """Show the picture and hold the screen before the camera."""
        size = picture.shape[0]
        y, x = np.mgrid[0:size, 0:size].astype(np.float32)
        angle = generator.normal(0, 0.06)
        u = np.cos(angle) * x + np.sin(angle) * y
        v = np.cos(angle) * y - np.sin(angle) * x
        pitch = self.pitch * generator.uniform(0.93, 1.07)
        emitted = self.glow + (1 - self.glow) * picture ** np.float32(2.2)
        phases = generator.uniform(0, 2 * np.pi, 3)
        beat = generator.uniform(0.03, 0.09)
        direction = generator.uniform(0, np.pi)
        fringe = 2 * np.pi * beat * (np.cos(direction) * x + np.sin(direction) * y)
        scene = np.empty_like(emitted)
        for channel in range(3):
            # The three colors of a screen pixel lie side by side.
            columns = 0.5 + 0.5 * np.cos(2 * np.pi * (u / pitch - channel / 3))
            rows = 0.5 + 0.5 * np.cos(2 * np.pi * v / pitch)
            grid = 1 - self.contrast * (1 - columns * (0.4 + 0.6 * rows))
            fringes = 1 + self.moire * np.cos(fringe + phases[channel])
            scene[..., channel] = emitted[..., channel] * grid * fringes * self.white[channel]
        scene = scene + self.reflection * _spot(x, y, size, generator)[..., None]
        for axis in (0, 1):
            if generator.random() < self.bezel:
                width = int(generator.uniform(0.02, 0.07) * size)
                edge = slice(0, width) if generator.random() < 0.5 else slice(size - width, size)
                scene[edge if axis == 0 else slice(None), edge if axis == 1 else slice(None)] = 0.01
        return scene.astype(np.float32)


def _spot(x: Floats, y: Floats, size: int, generator: np.random.Generator) -> Floats:
    """A soft elongated highlight somewhere in the picture, at most 1."""
    cx, cy = generator.uniform(0, size, 2)
    angle = generator.uniform(0, np.pi)
    long, short = size * generator.uniform(0.25, 0.6), size * generator.uniform(0.08, 0.25)
    u = (np.cos(angle) * (x - cx) + np.sin(angle) * (y - cy)) / long
    v = (np.cos(angle) * (y - cy) - np.sin(angle) * (x - cx)) / short
    return np.exp(-(u**2) - v**2)
