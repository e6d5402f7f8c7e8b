"""Configurations from YAML files, mappings, ``key=value`` overrides and the registry of methods."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException

from anrl.config.protocols import protocol_file, protocol_names
from anrl.config.schema import Config, DomainConfig, check_image_size
from anrl.errors import ConfigError
from anrl.methods.registry import MethodEntry, find_method
from anrl.models import model_options


def load_config(
    source: str | Path | Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    method: str | None = None,
) -> Config:
    """Merge defaults, a YAML file or a mapping, a method, and ``key=value`` overrides.

    Args:
        source: A YAML file, the name of a shipped protocol ("OCM2I", …; see :func:`protocol_names`), or a
            mapping.
        overrides: "key=value" with dots in the key, for example "optimizer.lr=1e-3".
        method: A key of ``anrl.methods.METHODS``; takes the place of the file's method and keeps those of its
            options that the new one has, too. One but "anrl" also gets an ``output_dir`` of its own.

    Raises:
        ConfigError: the file cannot be read, or a key or value is wrong; the message names it.
    """
    where = f"{source}: " if isinstance(source, str | Path) else ""
    try:
        given = OmegaConf.create()
        if isinstance(source, str | Path):
            loaded = OmegaConf.load(_file(source))
            if not OmegaConf.is_dict(loaded):
                raise ConfigError(f"{where}expected `key: value` lines")
            given.merge_with(loaded)
        elif source is not None:
            given.merge_with(OmegaConf.create(dict(source)))
        if method is not None:
            _choose_method(given, method)
        for override in overrides:
            key, equals, value = override.partition("=")
            if not equals:
                raise ConfigError(f"expected key=value, got {override!r}")
            parsed = OmegaConf.to_container(OmegaConf.from_dotlist([f"value={value}"]))
            assert isinstance(parsed, dict)
            OmegaConf.update(given, key, parsed["value"])
        config = _resolve(given)
    except ConfigKeyError as error:
        hint = _nearest(str(error.full_key), _schemas(given))
        raise ConfigError(f"{where}{error.full_key}: no such key{hint}") from None
    except OmegaConfBaseException as error:
        key = f"{error.full_key}: " if getattr(error, "full_key", None) else ""
        raise ConfigError(f"{where}{key}{str(error).splitlines()[0]}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where}{error}") from None
    except ConfigError:
        raise
    except Exception as error:  # YAML syntax, or the Transform's own checks
        raise ConfigError(f"{where}{' '.join(str(error).split())}") from None
    if config.scheduler.name == "StepLR":
        config.scheduler.options = {"step_size": 10, "gamma": 0.1} | config.scheduler.options
    config.check()
    return config


def _resolve(given: DictConfig) -> Config:
    """Merge settings into the schema; the names of method and model decide the schemas of their sections."""
    entry = _entry(given)
    schema = OmegaConf.structured(Config)
    schema.method = OmegaConf.structured(entry.load().Options)
    defaults = OmegaConf.create({"method": dict(entry.options), "model": dict(entry.model)})
    model_name = str(_section(given, "model").get("name", "anrl"))
    schema.model = OmegaConf.structured(model_options(model_name))
    if (channels := _section(given, "model").get("in_channels")) is not None:
        defaults.transform = {"color": {3: "rgb", 6: "rgb_hsv"}.get(channels, "rgb_hsv")}
    merged = OmegaConf.merge(schema, defaults, given)
    check_image_size(merged.transform.image_size)
    config = OmegaConf.to_object(merged)
    assert isinstance(config, Config)
    return config


def _section(given: DictConfig, key: str) -> Any:
    section = given.get(key, {})
    if not OmegaConf.is_dict(section) and not isinstance(section, Mapping):
        raise ConfigError(f"expected options, as in {{name: anrl}}, not {section!r}", key=key)
    return section


def _entry(given: DictConfig) -> MethodEntry:
    entry = find_method(str(_section(given, "method").get("name", "anrl")))
    if entry.is_classical:
        raise ConfigError(f"{entry.title} is not trained in epochs; anrl protocol fits it", key="method.name")
    return entry


def _schemas(given: DictConfig) -> dict[str, type]:
    """Options classes of the sections that have a name."""
    try:
        model = model_options(str(_section(given, "model").get("name", "anrl")))
        return {"method": _entry(given).load().Options, "model": model}
    except ConfigError:
        return {"method": type(Config().method), "model": type(Config().model)}


def _choose_method(given: DictConfig, method: str) -> None:
    entry = find_method(method)
    known = {f.name for f in fields(entry.load().Options)} if not entry.is_classical else set()
    section = _section(given, "method")
    kept = {key: section[key] for key in section if key in known}
    given.method = OmegaConf.create(kept | dict(entry.options) | {"name": method})
    given.merge_with(OmegaConf.create({"model": dict(entry.model)}) if entry.model else {})
    if method != "anrl":
        given.output_dir = f"{given.get('output_dir', Config.output_dir)}-{method}"


def _file(source: str | Path) -> Path:
    if str(source) in protocol_names() and not Path(source).exists():
        return protocol_file(str(source))
    if not Path(source).exists():
        raise ConfigError(
            f"{source}: no such file, and no protocol of that name ({', '.join(protocol_names())})"
        )
    return Path(source)


def _keys(settings: Any, prefix: str = "") -> Iterator[str]:
    for f in fields(settings):
        yield prefix + f.name
        if is_dataclass(value := getattr(settings, f.name, None)):
            yield from _keys(value, f"{prefix}{f.name}.")


def _nearest(key: str, schemas: Mapping[str, type]) -> str:
    """The key that may have been meant by an unknown one: the same last part, or one spelled alike."""
    known = [k for k in _keys(Config()) if k.partition(".")[0] not in schemas or k in schemas]
    known += [f"{section}.{f.name}" for section, options in schemas.items() for f in fields(options)]
    known += [f"sources.{f.name}" for f in fields(DomainConfig)]
    path = re.sub(r"\[\d+\]|\.\d+", "", key)
    parent, _, last = path.rpartition(".")
    beside = [k for k in known if k.rpartition(".")[0] == parent]
    near = [k for k in known if k.split(".")[-1] == last]
    for some, likeness in ((beside, 0.6), (known, 0.8)):
        alike = difflib.get_close_matches(last, [k.split(".")[-1] for k in some], 1, likeness)
        near = near or [k for k in some if k.split(".")[-1] in alike]
    return f"; did you mean {near[0]}?" if near else f"; those there are: {', '.join(beside or known)}"
