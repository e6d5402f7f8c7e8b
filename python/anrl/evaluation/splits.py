"""Source domains, split by subject into a training part and a validation part."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from anrl.config.schema import Config, DomainConfig
from anrl.data import Domain
from anrl.errors import ConfigError


@dataclass(frozen=True)
class Split:
    """Training and validation part of a source domain; no subject is in both."""

    train: Domain
    validation: Domain


def split_sources(config: Config) -> list[Split]:
    """Open the source domains and split each by subject.

    Raises:
        ConfigError: two of them have the same name.
        DataError: a pack cannot be read, or no readable sample of a class is left, or a part of a domain
            would lack a class.
    """
    domains = open_domains(config.sources, config)
    names = [domain.name for domain in domains]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two domains are called {name}; set name to tell them apart", key="sources")
    if config.on_error == "skip":
        domains = [_readable(domain) for domain in domains]
    return [Split(*domain.split_validation(config.validation_fraction, config.seed)) for domain in domains]


def _readable(domain: Domain) -> Domain:
    readable, problems = domain.readable()
    for problem in problems:
        warnings.warn(f"{problem}; the sample is left out", stacklevel=2)
    return readable


def open_domains(domains: Sequence[DomainConfig], config: Config) -> list[Domain]:
    """Open the packs of some of a configuration's domains."""
    return [domain.open(config.data) for domain in domains]
