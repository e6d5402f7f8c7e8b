"""The configuration of a training run: typed, with every default in one place."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException

from anrl.data import Domain, Transform
from anrl.errors import ConfigError
from anrl.methods.variants import VARIANTS
from anrl.nn import GATES

PROTOCOLS = Path(__file__).with_name("protocols")
"""The protocols that come with the package, one YAML file each."""


@dataclass
class SourceConfig:
    """A domain."""

    path: str = MISSING
    """Its pack; if relative, in the folder ``data`` of the configuration."""
    lists: list[str] = field(default_factory=list)
    """List files, for packs of the official layout; if relative, in the same folder."""
    depth_rule: str | None = None
    """Where depth maps lie, for such packs; see :func:`anrl.data.read_list`."""
    name: str | None = None
    """Its name; by default the pack's."""

    def open(self, data: str = ".") -> Domain:
        """Opens the pack; relative paths start at the folder ``data``."""
        root = Path(data)
        lists = [root / file for file in self.lists]
        return Domain.open(root / self.path, lists, name=self.name, depth_rule=self.depth_rule)


@dataclass
class MethodConfig:
    """What is trained; see :mod:`anrl.methods`."""

    name: str = "anrl"
    """A key of ``anrl.methods.METHODS``."""
    options: dict[str, Any] = field(default_factory=dict)
    """Further arguments of the method."""


@dataclass
class ModelConfig:
    """The network; see :class:`anrl.models.ANRLNet`."""

    width: float = 1.0
    norm: Literal["adaptive", "batch", "instance"] = "adaptive"
    gate: str = "1layer"
    """A key of ``anrl.nn.GATES``."""


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
    """The meta step; see :func:`anrl.methods.meta_step`."""

    enabled: bool = True
    """If false, all domains are forwarded together and their losses added."""
    train_domains: int = 2
    """How many domains are meta-train in a step; the others are meta-test."""
    inner_lr: float = 1e-4
    first_order: bool = False
    detach_base: bool = False
    statistics: Literal["domain", "joint"] = "domain"


@dataclass
class OptimizerConfig:
    """An optimizer of torch, and what is done around its steps.

    The settings of the ANRL paper are not public; these are the nearest public ones of the same code base
    (IADG, CVPR 2023).
    """

    name: str = "Adam"
    """A class of ``torch.optim``."""
    lr: float = 1e-4
    weight_decay: float = 1e-5
    options: dict[str, Any] = field(default_factory=dict)
    """Further arguments of the class."""
    clip_norm: float | None = None
    """The norm that gradients are cut down to."""
    accumulate: int = 1
    """Batches whose gradients are averaged for a step."""
    ema: float = 0.0
    """Decay per step of a running average of the weights, which is then judged and used; 0 for none."""


@dataclass
class SchedulerConfig:
    """How the learning rate changes; the default is that of IADG (CVPR 2023): a tenth every 10 epochs."""

    name: str | None = "StepLR"
    """A class of ``torch.optim.lr_scheduler``, or null. ``ReduceLROnPlateau`` is told the AUC on held-out
    source videos."""
    options: dict[str, Any] = field(default_factory=dict)
    """Arguments of the class; those of StepLR are ``step_size`` 10 and ``gamma`` 0.1 by default."""
    every: Literal["epoch", "step"] = "epoch"
    """When it moves."""


@dataclass
class Config:
    """A training run."""

    sources: list[SourceConfig] = field(default_factory=list)
    """The source domains, at least two."""
    targets: list[SourceConfig] = field(default_factory=list)
    """The unseen domains, which ``anrl eval`` judges; training does not open them unless ``selection`` says
    so."""
    data: str = "."
    """The folder that relative paths of domains start at."""
    out: str = "runs/train"
    """The folder for checkpoints, log and configuration."""
    seed: int = 0
    device: str = "auto"
    """A torch device, or "auto": CUDA if there is one, else the CPU."""
    epochs: int = 50
    batch_size: int = 10
    """Samples of each domain in a batch, half bona fide and half attack; of all processes together."""
    held_out: float = 0.1
    """Share of every source domain's subjects kept for validation and for the threshold."""
    selection: Literal["source", "target"] = "source"
    """What chooses the best checkpoint: AUC on held-out source videos, or on the targets' videos. The latter
    is dishonest, as it looks at what is to be judged; it is here to see how much that flatters."""
    patience: int | None = None
    """Epochs without a better checkpoint after which training stops."""
    resume: bool = True
    """Whether to go on from ``out`` if it holds an unfinished run."""
    save_every: int = 200
    """Steps between checkpoints within an epoch."""
    precision: Literal["float32", "bfloat16", "float64"] = "float32"
    """"bfloat16" is torch's autocast; weights stay float32."""
    channels_last: bool = True
    """Memory format of images and weights; faster, by half on CPUs."""
    recompute: bool = True
    """Whether to save memory with :func:`anrl.nn.recompute_norms`."""
    sync_statistics: bool = False
    """Whether batch statistics are those of all processes; see
    :func:`anrl.nn.convert_sync_adaptive_norm`."""
    logger: Literal["none", "tensorboard", "wandb", "trackio"] = "none"
    """Where to log to beside ``log.jsonl``."""
    transform: Transform = field(default_factory=Transform)
    method: MethodConfig = field(default_factory=MethodConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    meta: MetaConfig = field(default_factory=MetaConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    scheduler: SchedulerConfig = field(default_factory=SchedulerConfig)


def load_config(
    source: str | Path | Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    variant: str = "anrl",
) -> Config:
    """Merges defaults, a YAML file or a mapping, a variant, and ``key=value`` overrides.

    Args:
        source: A YAML file, the name of a shipped protocol ("OCM2I", …; see :func:`protocol_names`), or a
            mapping.
        overrides: "key=value" with dots in the key, for example "optimizer.lr=1e-3".
        variant: A key of ``anrl.training.VARIANTS``; one but "anrl" also gets an ``out`` of its own.

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
        _apply(given, variant)
        for override in overrides:
            key, equals, value = override.partition("=")
            if not equals:
                raise ConfigError(f"expected key=value, got {override!r}")
            OmegaConf.update(given, key, OmegaConf.from_dotlist([f"value={value}"]).value)
        config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), given))
    except ConfigKeyError as error:
        raise ConfigError(f"{where}{error.full_key}: no such key{_nearest(str(error.full_key))}") from None
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
    if config.scheduler.name == "StepLR":
        config.scheduler.options = {"step_size": 10, "gamma": 0.1} | config.scheduler.options
    _check(config)
    return config


def _apply(given: DictConfig, variant: str) -> None:
    if variant not in VARIANTS:
        raise ConfigError(f"variant: no variant {variant}; there are {', '.join(VARIANTS)}")
    given.merge_with(OmegaConf.create(VARIANTS[variant].settings))
    if variant != "anrl":
        given.out = f"{given.get('out', Config.out)}-{variant}"


def protocol_names() -> list[str]:
    """The names of the protocols that come with the package."""
    return sorted(file.stem for file in PROTOCOLS.glob("*.yaml"))


def to_yaml(config: Config) -> str:
    """The resolved configuration as YAML."""
    return OmegaConf.to_yaml(OmegaConf.structured(config))


def to_mapping(settings: Any) -> dict[str, Any]:
    """A configuration, or a part of it, as plain values."""
    found = OmegaConf.to_container(OmegaConf.structured(settings))
    assert isinstance(found, dict)
    return {str(key): value for key, value in found.items()}


def _file(source: str | Path) -> Path:
    if str(source) in protocol_names() and not Path(source).exists():
        return PROTOCOLS / f"{source}.yaml"
    if not Path(source).exists():
        raise ConfigError(
            f"{source}: no such file, and no protocol of that name ({', '.join(protocol_names())})"
        )
    return Path(source)


def _keys(settings: Any, prefix: str = "") -> Iterator[str]:
    for f in fields(settings):
        yield prefix + f.name
        if is_dataclass(value := getattr(settings, f.name)):
            yield from _keys(value, f"{prefix}{f.name}.")


def _nearest(key: str) -> str:
    """What may have been meant by an unknown key: one with the same last part, or one spelled alike."""
    known = [*_keys(Config()), *(f"sources.{f.name}" for f in fields(SourceConfig))]
    path = re.sub(r"\[\d+\]|\.\d+", "", key)
    parent, _, last = path.rpartition(".")
    beside = [k for k in known if k.rpartition(".")[0] == parent]
    near = [k for k in known if k.split(".")[-1] == last]
    for some in (beside, known):
        alike = difflib.get_close_matches(last, [k.split(".")[-1] for k in some], 1)
        near = near or [k for k in some if k.split(".")[-1] in alike]
    return f"; did you mean {near[0]}?" if near else f"; those there are: {', '.join(beside or known)}"


def _check(config: Config) -> None:
    if len(config.sources) < 2:
        raise ConfigError(
            f"sources: {len(config.sources)} given; domain generalization needs at least 2 source domains"
        )
    for domain in [*config.sources, *config.targets]:
        if "/" in (domain.name or ""):
            raise ConfigError(f"name: {domain.name} is to name folders too; leave out the slash")
    if config.meta.enabled and not 1 <= config.meta.train_domains < len(config.sources):
        raise ConfigError(
            f"meta.train_domains: {config.meta.train_domains} of {len(config.sources)} domains; at least one "
            "must be left for meta-test"
        )
    if config.model.gate not in GATES:
        raise ConfigError(f"model.gate: no gate {config.model.gate}; there are {', '.join(GATES)}")
    if config.selection == "target" and not config.targets:
        raise ConfigError("selection: 'target' needs the unseen domains under targets")
    if config.batch_size < 2 or config.batch_size % 2:
        raise ConfigError(f"batch_size: {config.batch_size} is not even and positive")
    if not 0 < config.held_out < 1:
        raise ConfigError(f"held_out: {config.held_out} is not between 0 and 1")
    if not 0 <= config.optimizer.ema < 1:
        raise ConfigError(f"optimizer.ema: {config.optimizer.ema} is not in [0, 1)")
    positive = {
        "epochs": config.epochs,
        "save_every": config.save_every,
        "patience": config.patience,
        "model.width": config.model.width,
        "optimizer.accumulate": config.optimizer.accumulate,
        "optimizer.clip_norm": config.optimizer.clip_norm,
    }
    for key, value in positive.items():
        if value is not None and value <= 0:
            raise ConfigError(f"{key}: {value} is not positive")
