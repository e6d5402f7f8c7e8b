"""Settings of the four domains: camera, light, skin tone and attack instruments.

In each domain attacks also differ from live captures in brightness, contrast and color, each up in two
domains and down in two: a detector that learns those cues fails on the unseen domain. Sensors differ in
noise, and every clip has its own camera, so that local textures alone transfer only in part.
"""

from dataclasses import dataclass

from anrl.synth.attacks import Print, Replay
from anrl.synth.camera import Camera
from anrl.synth.names import DomainName


@dataclass(frozen=True)
class DomainModel:
    """Settings of one domain's captures."""

    name: DomainName
    """Name of the domain and of its folder."""
    camera: Camera
    """Mean settings of the cameras; each clip draws its own."""
    light: tuple[float, float]
    """Direction of the light: right, up (see :func:`anrl.synth.shape.shading`)."""
    ambient: float
    """Fraction of ambient light, in [0, 1]."""
    skin: tuple[float, float, float]
    """Color of skin and hair under this light, relative to gray."""
    prints: tuple[Print, ...]
    """Print attacks, used in turn."""
    replays: tuple[Replay, ...]
    """Replay attacks, used in turn."""
    attack_brightness: float
    """Mean brightness of attacks, relative to live captures."""
    attack_contrast: float
    """Contrast of attacks, relative to live captures."""
    attack_color: float
    """Colorfulness of attacks, relative to live captures."""


DOMAINS = (
    DomainModel(
        name="sim_office",
        camera=Camera(112, 0.45, 0.03, (1.05, 1.0, 0.92), 0.42, 0.19, 0.03, 88),
        light=(0.3, 0.5),
        ambient=0.45,
        skin=(1.0, 0.74, 0.6),
        prints=(
            Print("halftone", 4.4, 0.55, 0.05, (0.92, 0.9, 0.86), 0.15, 1.5),
            Print("lines", 4.0, 0.4, 0.06, (0.9, 0.9, 0.88), 0.1, 2.5),
        ),
        replays=(
            Replay(3.2, 0.55, 0.10, 0.03, (0.95, 1.0, 1.08), 0.12, 0.3),
            Replay(3.8, 0.45, 0.06, 0.05, (1.0, 1.0, 1.0), 0.08, 0.5),
        ),
        attack_brightness=1.15,
        attack_contrast=1.15,
        attack_color=1.25,
    ),
    DomainModel(
        name="sim_home",
        camera=Camera(96, 0.7, 0.09, (1.15, 1.0, 0.8), 0.36, 0.16, 0.045, 75),
        light=(-0.6, 0.2),
        ambient=0.3,
        skin=(1.0, 0.7, 0.55),
        prints=(
            Print("dither", 4.6, 0.6, 0.07, (0.95, 0.93, 0.9), 0.3, 3.0),
            Print("halftone", 5.0, 0.5, 0.04, (0.85, 0.83, 0.76), 0.05, 2.0),
        ),
        replays=(
            Replay(4.0, 0.6, 0.08, 0.02, (0.92, 1.0, 1.12), 0.25, 0.4),
            Replay(3.5, 0.5, 0.12, 0.06, (1.05, 1.0, 0.95), 0.1, 0.2),
        ),
        attack_brightness=1.15,
        attack_contrast=0.87,
        attack_color=0.8,
    ),
    DomainModel(
        name="sim_street",
        camera=Camera(128, 0.5, 0.05, (0.93, 1.0, 1.1), 0.5, 0.22, 0.035, 92),
        light=(0.1, 0.9),
        ambient=0.6,
        skin=(1.0, 0.8, 0.68),
        prints=(
            Print("halftone", 3.8, 0.5, 0.08, (0.8, 0.79, 0.74), 0.2, 2.0),
            Print("dither", 4.0, 0.55, 0.05, (0.94, 0.94, 0.94), 0.4, 1.0),
        ),
        replays=(
            Replay(2.9, 0.6, 0.12, 0.08, (0.97, 1.0, 1.05), 0.35, 0.2),
            Replay(3.4, 0.5, 0.07, 0.04, (0.9, 1.0, 1.1), 0.2, 0.6),
        ),
        attack_brightness=0.87,
        attack_contrast=1.15,
        attack_color=0.8,
    ),
    DomainModel(
        name="sim_kiosk",
        camera=Camera(104, 0.6, 0.07, (0.98, 1.0, 1.02), 0.4, 0.17, 0.025, 82),
        light=(0.0, -0.3),
        ambient=0.5,
        skin=(1.0, 0.76, 0.64),
        prints=(
            Print("lines", 4.6, 0.5, 0.05, (0.93, 0.92, 0.9), 0.35, 1.5),
            Print("dither", 4.3, 0.6, 0.08, (0.88, 0.87, 0.83), 0.1, 3.0),
        ),
        replays=(
            Replay(3.6, 0.55, 0.09, 0.03, (1.0, 1.0, 1.0), 0.15, 0.4),
            Replay(3.1, 0.6, 0.10, 0.02, (0.94, 1.0, 1.1), 0.3, 0.3),
        ),
        attack_brightness=0.87,
        attack_contrast=0.87,
        attack_color=1.25,
    ),
)
"""The four domains, in the order of :data:`anrl.synth.DOMAIN_NAMES`."""
