"""A benchmark of simulated captures: real face photographs, simulated cameras and attacks.

It replaces O, C, I and M where those cannot be handed out: four domains with cameras, light, printers and
screens of their own, which texture tells apart and brightness or color does not. ``faces`` reads photographs,
``shape`` models their depth, ``camera`` takes pictures, ``attacks`` prints and replays them, ``domains`` has
the settings of the four domains, ``build`` writes the files.
"""

from typing import TYPE_CHECKING

from anrl.lazy import lazy_names
from anrl.synth.names import DOMAIN_NAMES

if TYPE_CHECKING:
    from anrl.synth.build import LIST_NAME, synthesize
    from anrl.synth.domains import DOMAINS
    from anrl.synth.faces import Face, demo_faces, read_faces

_HOMES = {
    "DOMAINS": "domains",
    "Face": "faces",
    "LIST_NAME": "build",
    "demo_faces": "faces",
    "read_faces": "faces",
    "synthesize": "build",
}

__all__ = ["DOMAINS", "DOMAIN_NAMES", "LIST_NAME", "Face", "demo_faces", "read_faces", "synthesize"]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
