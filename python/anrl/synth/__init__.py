"""A benchmark of simulated captures: real face photographs, simulated cameras and attacks.

It stands in for O, C, I and M where nobody can hand those out, and it is nothing more than that: four
domains with their own cameras, light, printers and screens, made to be told apart by texture and not by
brightness or colour. ``faces`` reads photographs, ``shape`` guesses their depth, ``camera`` takes pictures,
``attacks`` prints and replays them, ``domains`` says how the four domains differ, ``build`` writes the files.
"""

from anrl.synth.build import synthesize
from anrl.synth.domains import DOMAINS
from anrl.synth.faces import Face, demo_faces, read_faces

__all__ = ["DOMAINS", "Face", "demo_faces", "read_faces", "synthesize"]
