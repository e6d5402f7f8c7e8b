"""The methods by name."""

import inspect

from anrl.config import Config
from anrl.errors import ConfigError
from anrl.methods.anrl import ANRL
from anrl.methods.base import Method
from anrl.methods.mmd import MMD
from anrl.methods.rfm import RFM
from anrl.methods.ssdg import SSDG
from anrl.models import ANRLNet

METHODS: dict[str, type[Method]] = {"anrl": ANRL, "mmd": MMD, "rfm": RFM, "ssdg": SSDG}
"""By the names they have in a configuration."""


def make_method(config: Config, model: ANRLNet) -> Method:
    """The method that a configuration names.

    Raises:
        ConfigError: there is none of that name, or it has no such option.
    """
    chosen = METHODS.get(config.method.name)
    if chosen is None:
        raise ConfigError(f"method.name: no method {config.method.name}; there are {', '.join(METHODS)}")
    known = [*inspect.signature(chosen).parameters][2:]
    for option in config.method.options:
        if option not in known:
            raise ConfigError(
                f"method.options: {config.method.name} has no option {option}"
                + (f"; there are {', '.join(known)}" if known else "")
            )
    return chosen(config, model, **config.method.options)
