"""Source domains, divided by subject into a part for training and a part for validation."""

from collections.abc import Sequence
from dataclasses import dataclass

from anrl.config.schema import Config, DomainConfig
from anrl.data import Domain
from anrl.errors import ConfigError


@dataclass(frozen=True)
class Split:
    """A source domain, divided by subject."""

    train: Domain
    validation: Domain


def split_sources(config: Config) -> list[Split]:
    """Opens the source domains and divides each by subject.

    Raises:
        ConfigError: two of them have the same name.
        DataError: a pack cannot be read, or a part of a domain would lack a class.
    """
    domains = open_domains(config.sources, config)
    names = [domain.name for domain in domains]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"sources: two domains are called {name}; set name to tell them apart")
    return [Split(*domain.hold_out(config.validation_fraction, config.seed)) for domain in domains]


def open_domains(domains: Sequence[DomainConfig], config: Config) -> list[Domain]:
    """Opens the packs of some of a configuration's domains."""
    return [domain.open(config.data) for domain in domains]
