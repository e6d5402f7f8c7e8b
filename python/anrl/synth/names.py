"""Names of the simulated domains, without the imports that simulating them takes."""

from typing import Literal, get_args

DomainName = Literal["sim_office", "sim_home", "sim_street", "sim_kiosk"]

DOMAIN_NAMES: tuple[str, ...] = get_args(DomainName)
"""In the order of :data:`anrl.synth.DOMAINS`."""
