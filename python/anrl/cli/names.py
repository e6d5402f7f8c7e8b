"""Names for the help texts, from tables that import neither torch nor omegaconf."""

from pathlib import Path

from anrl.methods.variants import VARIANTS

PROTOCOL_NAMES = sorted(file.stem for file in Path(__file__).parent.parent.glob("config/protocols/*.yaml"))
"""The protocols that come with the package, one YAML file each."""

VARIANT_NAMES = list(VARIANTS)
"""The variants of ``anrl train`` and ``anrl protocol``."""
