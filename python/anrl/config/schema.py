"""The configuration of a training run: typed, with every default in one place.

The sections ``method``, ``model`` and ``transform`` are the options of their own classes: ``Options`` of the
method's class (:mod:`anrl.methods`), :func:`anrl.models.model_options`, and :class:`anrl.data.Transform`.
"""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from omegaconf import MISSING, OmegaConf

from anrl.config.plain import check_plain
from anrl.data import Domain, Transform
from anrl.errors import ConfigError
from anrl.methods.anrl import ANRLOptions
from anrl.models import ANRLNetOptions

LARGEST_IMAGE = 1024
"""Largest side of the network's input in pixels."""
WIDEST = 16.0
"""Largest factor on the channels of ANRL's own network; it has a billion weights then."""


@dataclass
class DomainConfig:
    """A domain."""

    path: str = MISSING
    """Its pack; if relative, in the folder ``data`` of the configuration."""
    lists: list[str] = field(default_factory=list)
    """List files, for packs of the official layout; if relative, in the same folder."""
    depth_rule: str | None = None
    """Paths of the depth maps of such packs; see :func:`anrl.data.read_list`."""
    name: str | None = None
    """Its name; by default the pack's."""

    def open(self, data: str = ".") -> Domain:
        """Open the pack; relative paths start at the folder ``data``."""
        root = Path(data)
        lists = [root / file for file in self.lists]
        return Domain.open(root / self.path, lists, name=self.name, depth_rule=self.depth_rule)


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
    max_grad_norm: float | None = None
    """Norm that gradients are clipped to."""
    gradient_accumulation_steps: int = 1
    """Batches whose gradients are averaged for a step."""
    ema_decay: float = 0.0
    """Decay per step of a running average of the weights, which is then evaluated and used; 0 for none."""


@dataclass
class SchedulerConfig:
    """Learning rate schedule; the default is that of IADG (CVPR 2023): a tenth every 10 epochs."""

    name: str | None = "StepLR"
    """A class of ``torch.optim.lr_scheduler``, or null. ``ReduceLROnPlateau`` is given the AUC on validation
    videos."""
    options: dict[str, Any] = field(default_factory=dict)
    """Arguments of the class; those of StepLR are ``step_size`` 10 and ``gamma`` 0.1 by default."""
    interval: Literal["epoch", "step"] = "epoch"
    """When the scheduler steps."""


def check_image_size(size: int) -> None:
    """Refuse images that no training could hold, before anything is built for them.

    Raises:
        ConfigError: the side is too long.
    """
    if size > LARGEST_IMAGE:
        raise ConfigError(f"{size} is more than {LARGEST_IMAGE}", key="transform.image_size")


@dataclass
class Config:
    """A training run."""

    sources: list[DomainConfig] = field(default_factory=list)
    """The source domains, at least two."""
    targets: list[DomainConfig] = field(default_factory=list)
    """The unseen domains, which ``anrl eval`` evaluates; training does not open them unless ``selection``
    says so."""
    data: str = "."
    """The folder that relative paths of domains start at."""
    output_dir: str = "runs/train"
    """The folder for checkpoints, log and configuration."""
    seed: int = 0
    device: str = "auto"
    """A torch device, or "auto": CUDA if there is one, else the CPU."""
    epochs: int = 50
    batch_size: int = 10
    """Samples of each domain in a batch, half bona fide and half attack; of all processes together."""
    validation_fraction: float = 0.1
    """Fraction of every source domain's subjects that is kept for validation and for the threshold."""
    selection: Literal["source", "target"] = "source"
    """Data that choose the best checkpoint, by AUC of videos: validation subjects of the sources, or the
    targets. The latter is dishonest, as it looks at what is to be evaluated; it is here to see how much that
    flatters."""
    patience: int | None = None
    """Epochs without a better checkpoint after which training stops."""
    resume: bool = True
    """Whether to go on from ``output_dir`` if it holds an unfinished run."""
    save_interval: int = 200
    """Steps between checkpoints within an epoch."""
    precision: Literal["float32", "bfloat16", "float64"] = "float32"
    """"bfloat16" is torch's autocast; weights stay float32."""
    channels_last: bool = True
    """Memory format of images and weights; faster, by half on CPUs."""
    recompute: bool = True
    """Whether to save memory with :func:`anrl.nn.recompute_norms`."""
    on_error: Literal["raise", "skip"] = "raise"
    """"skip" reads all samples before training and leaves those out, with a warning each, that cannot be
    read."""
    sync_statistics: bool = False
    """Whether batch statistics are those of all processes; see
    :func:`anrl.nn.convert_sync_adaptive_norm`."""
    logger: Literal["none", "tensorboard", "wandb", "trackio"] = "none"
    """Logging service, beside ``log.jsonl``."""
    remark: str = ""
    """A sentence that stands on every page and table of the results: that a run was a quick try, perhaps."""
    transform: Transform = field(default_factory=Transform)
    method: Any = field(default_factory=ANRLOptions)
    """The options of a method, chosen by ``name``, a key of :data:`anrl.methods.METHODS`."""
    model: Any = field(default_factory=ANRLNetOptions)
    """The options of a network, chosen by ``name``; see :func:`anrl.models.model_options`."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    scheduler: SchedulerConfig = field(default_factory=SchedulerConfig)

    def check(self) -> None:
        """Check values and their combinations.

        Raises:
            ConfigError: a value does not fit; the message names its key.
        """
        check_plain(to_mapping(self))
        if len(self.sources) < 2:
            raise ConfigError(
                f"{len(self.sources)} given; domain generalization needs at least 2 source domains",
                key="sources",
            )
        for domain in [*self.sources, *self.targets]:
            if "/" in (domain.name or ""):
                raise ConfigError(f"{domain.name} is to name folders too; leave out the slash", key="name")
        self.method.check(len(self.sources))
        if self.selection == "target" and not self.targets:
            raise ConfigError("'target' needs the unseen domains under targets", key="selection")
        in_channels = getattr(self.model, "in_channels", None)
        if in_channels not in (None, self.transform.channels):
            raise ConfigError(
                f"{in_channels}, but transform.color={self.transform.color} gives {self.transform.channels} "
                "channels; rgb_hsv has 6, rgb and hsv have 3",
                key="model.in_channels",
            )
        if self.batch_size < 2 or self.batch_size % 2:
            raise ConfigError(f"{self.batch_size} is not even and positive", key="batch_size")
        if not 0 < self.validation_fraction < 1:
            raise ConfigError(f"{self.validation_fraction} is not between 0 and 1", key="validation_fraction")
        if not 0 <= self.optimizer.ema_decay < 1:
            raise ConfigError(f"{self.optimizer.ema_decay} is not in [0, 1)", key="optimizer.ema_decay")
        if not 0 <= self.seed < 2**63:
            raise ConfigError(f"{self.seed} is not in [0, 2^63)", key="seed")
        check_image_size(self.transform.image_size)
        width = getattr(self.model, "width", 1.0)
        if not 0 < width <= WIDEST:
            raise ConfigError(
                f"{width} is not positive and at most {WIDEST}; 1.0 is the published network",
                key="model.width",
            )
        positive = {
            "epochs": self.epochs,
            "save_interval": self.save_interval,
            "patience": self.patience,
            "optimizer.gradient_accumulation_steps": self.optimizer.gradient_accumulation_steps,
            "optimizer.max_grad_norm": self.optimizer.max_grad_norm,
        }
        for key, value in positive.items():
            if value is not None and value <= 0:
                raise ConfigError(f"{value} is not positive", key=key)


def with_data(config: Config, data: str | Path) -> Config:
    """Look for the packs of a configuration in another folder.

    Relative paths start there; a file at an absolute path that is gone is looked for there by its name.
    """

    def moved(path: str) -> str:
        return path if not Path(path).is_absolute() or Path(path).exists() else Path(path).name

    def in_folder(domains: list[DomainConfig]) -> list[DomainConfig]:
        return [replace(d, path=moved(d.path), lists=[moved(file) for file in d.lists]) for d in domains]

    return replace(
        config, data=str(data), sources=in_folder(config.sources), targets=in_folder(config.targets)
    )


def to_yaml(config: Config) -> str:
    """Write the resolved configuration as YAML."""
    return OmegaConf.to_yaml(OmegaConf.create(to_mapping(config)))


def to_mapping(settings: Any) -> dict[str, Any]:
    """Convert a configuration, or a part of it, to plain values."""
    return asdict(settings)
