"""Configurations in files that may come from strangers: YAML that holds values and nothing else."""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from anrl.errors import ConfigError

_MOST_CHARACTERS = 100_000
_DEEPEST = 12


def parse_plain_yaml(text: str) -> dict[str, Any]:
    """Parse YAML as plain values: no tags, no references, no interpolation, a bounded size and depth.

    Configurations in checkpoints and in folders of protocols are read so: "${oc.env:NAME}" there would put
    an environment variable of the reader into reports.

    Raises:
        ConfigError: the text is no mapping of that kind; the message names the key or the line.
    """
    if len(text) > _MOST_CHARACTERS:
        raise ConfigError(f"{len(text)} characters, and no configuration has more than {_MOST_CHARACTERS}")
    try:
        _check_events(text)
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"broken YAML: {' '.join(str(error).split())}") from None
    except ConfigError:
        raise
    except ValueError as error:  # a number or a date that is none
        raise ConfigError(f"broken YAML: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"expected `key: value` lines, not {_shown(values)}")
    for key, value in _leaves(values):
        if isinstance(value, str) and "${" in value:
            raise ConfigError(f"{_shown(value)} is an interpolation; only plain values are read", key=key)
    return {str(key): value for key, value in values.items()}


def check_plain(settings: Mapping[str, Any]) -> None:
    """Check that values can be stored and read again as they are.

    Raises:
        ConfigError: a text holds "${" or a NUL character, or a number is not finite; the message names the
            key.
    """
    for key, value in _leaves(settings):
        if isinstance(value, float) and not float("-inf") < value < float("inf"):
            raise ConfigError(f"{value} is not a finite number", key=key)
        if isinstance(value, str) and ("${" in value or "\0" in value):
            raise ConfigError(f"{_shown(value)} has '${{' or a NUL character: cannot be stored", key=key)


def _check_events(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        where = f"line {event.start_mark.line + 1}"
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise ConfigError(f"{where}: references (& and *) are not read here")
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise ConfigError(f"{where}: tags ({_shown(tag)}) are not read here")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST:
            raise ConfigError(f"{where}: nested more than {_DEEPEST} deep")


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Keys with dots, and values that are neither lists nor mappings; keys themselves are values, too."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            inner = f"{key}.{name}" if key else str(name)
            yield inner, name
            yield from _leaves(part, inner)
    elif isinstance(value, list | tuple):
        for number, part in enumerate(value):
            yield from _leaves(part, f"{key}[{number}]")
    else:
        yield key, value


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
