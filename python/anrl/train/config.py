"""The configuration of a training run: typed, with every default in one place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from anrl.data import Domain, Transform


class ConfigError(ValueError):
    """A configuration that cannot be used; the message names the key and says what to do."""


@dataclass
class SourceConfig:
    """A source domain."""

    path: str = MISSING
    """Its pack."""
    lists: list[str] = field(default_factory=list)
    """List files, for packs of the official layout."""
    depth_rule: str | None = None
    """Where depth maps lie, for such packs; see :func:`anrl.data.read_list`."""
    name: str | None = None
    """Its name; by default the pack's."""

    def open(self) -> Domain:
        """Opens the pack."""
        return Domain.open(self.path, self.lists, name=self.name, depth_rule=self.depth_rule)


@dataclass
class ModelConfig:
    """The network; see :class:`anrl.models.ANRLNet`."""

    width: float = 1.0
    norm: Literal["adaptive", "batch", "instance"] = "adaptive"
    gate: Literal["1layer", "2layer", "static", "dual"] = "1layer"


@dataclass
class LossConfig:
    """Weights of the losses, and the calibration; the defaults are the official code's but for ``init``."""

    classification: float = 1.0
    depth: float = 0.1
    inter_domain: float = 0.001
    inter_class: float = 0.001
    momentum: float = 0.9
    init: Literal["first", "ones"] = "first"
    margin: float | None = None


@dataclass
class MetaConfig:
    """The meta step; see :func:`anrl.train.meta_step`."""

    enabled: bool = True
    """If false, all domains are forwarded together and their losses added."""
    train_domains: int = 2
    """How many domains are meta-train in a step; the others are meta-test."""
    inner_lr: float = 1e-4
    first_order: bool = False
    detach_base: bool = False


@dataclass
class OptimizerConfig:
    """Adam with step decay.

    The settings of the ANRL paper are not public; these are the nearest public ones of the same code base
    (IADG, CVPR 2023).
    """

    lr: float = 1e-4
    weight_decay: float = 1e-5
    decay_every: int = 10
    """Epochs between decays."""
    decay: float = 0.1
    """Factor of a decay."""
    ema: float = 0.0
    """Decay per step of a running average of the weights, which is then judged and used; 0 for none."""


@dataclass
class Config:
    """A training run."""

    sources: list[SourceConfig] = field(default_factory=list)
    """The source domains, at least two."""
    out: str = "runs/train"
    """The folder for checkpoints, log and configuration."""
    seed: int = 0
    device: str = "auto"
    """A torch device, or "auto": CUDA if there is one, else the CPU."""
    epochs: int = 50
    batch_size: int = 10
    """Samples of each domain in a batch, half bona fide and half attack."""
    held_out: float = 0.1
    """Share of every source domain's subjects kept for validation and for the threshold."""
    resume: bool = True
    """Whether to go on from ``out`` if it holds an unfinished run."""
    transform: Transform = field(default_factory=Transform)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    meta: MetaConfig = field(default_factory=MetaConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)


def load_config(
    source: str | Path | Mapping[str, Any] | None = None, overrides: Sequence[str] = ()
) -> Config:
    """Merges defaults, a YAML file or a mapping, and ``key=value`` overrides.

    Raises:
        ConfigError: the file cannot be read, or a key or value is wrong; the message names it.
    """
    where = f"{source}: " if isinstance(source, str | Path) else ""
    try:
        given = OmegaConf.create()
        if isinstance(source, str | Path):
            loaded = OmegaConf.load(source)
            if not OmegaConf.is_dict(loaded):
                raise ConfigError(f"{where}expected `key: value` lines")
            given.merge_with(loaded)
        elif source is not None:
            given.merge_with(OmegaConf.create(dict(source)))
        for override in overrides:
            if "=" not in override:
                raise ConfigError(f"expected key=value, got {override!r}")
        given.merge_with(OmegaConf.from_dotlist(list(overrides)))
        config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), given))
    except OmegaConfBaseException as error:
        key = f"{error.full_key}: " if getattr(error, "full_key", None) else ""
        raise ConfigError(f"{where}{key}{str(error).splitlines()[0]}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where}{error}") from None
    except ConfigError:
        raise
    except Exception as error:  # YAML syntax, or the Transform's own checks
        raise ConfigError(f"{where}{' '.join(str(error).split())}") from None
    assert isinstance(config, Config)
    _check(config)
    return config


def to_yaml(config: Config) -> str:
    """The resolved configuration as YAML."""
    return OmegaConf.to_yaml(OmegaConf.structured(config))


def _check(config: Config) -> None:
    if len(config.sources) < 2:
        raise ConfigError(
            f"sources: {len(config.sources)} given; domain generalization needs at least 2 source domains"
        )
    if config.meta.enabled and not 1 <= config.meta.train_domains < len(config.sources):
        raise ConfigError(
            f"meta.train_domains: {config.meta.train_domains} of {len(config.sources)} domains; at least one "
            "must be left for meta-test"
        )
    if config.batch_size < 2 or config.batch_size % 2:
        raise ConfigError(f"batch_size: {config.batch_size} is not even and positive")
    if not 0 < config.held_out < 1:
        raise ConfigError(f"held_out: {config.held_out} is not between 0 and 1")
    if config.epochs < 1:
        raise ConfigError(f"epochs: {config.epochs} is not positive")
    if not 0 <= config.optimizer.ema < 1:
        raise ConfigError(f"optimizer.ema: {config.optimizer.ema} is not in [0, 1)")
    if config.model.width <= 0:
        raise ConfigError(f"model.width: {config.model.width} is not positive")
