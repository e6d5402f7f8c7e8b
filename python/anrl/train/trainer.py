"""The training loop."""

import copy
import json
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from anrl.data import Domain, DomainLoader
from anrl.evaluate import score_domain
from anrl.losses import DualCalibration
from anrl.metrics import Scores, auc, eer
from anrl.nn import recompute_norms
from anrl.train.allocator import keep_freed_memory
from anrl.train.checkpoint import Checkpoint, Progress, build_model, save_checkpoint
from anrl.train.config import Config, ConfigError, to_yaml
from anrl.train.meta_step import DomainBatch, DomainLosses, LossWeights, joint_step, meta_step


class Reporter(Protocol):
    """Hears how training goes."""

    def __call__(self, done: int, total: int, message: str) -> None:
        """Told after every step: steps done, steps in all, and a line about them."""


@dataclass(frozen=True)
class Split:
    """A source domain, divided by subject."""

    train: Domain
    held_out: Domain


class Interrupted(Exception):
    """Training was stopped by Ctrl-C; everything done so far is saved."""


def pick_device(name: str) -> torch.device:
    """The torch device of that name; "auto" is CUDA if there is one, else the CPU.

    Raises:
        ConfigError: there is no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device: {name!r} cannot be used here: {str(error).splitlines()[0]}") from None
    return device


def split_sources(config: Config) -> list[Split]:
    """Opens the source domains and divides each by subject."""
    return [Split(*source.open().hold_out(config.held_out, config.seed)) for source in config.sources]


def train(config: Config, report: Reporter | None = None) -> Path:
    """Trains a network and returns the path of its best checkpoint.

    Writes to ``config.out``: ``config.yaml`` (resolved), ``log.jsonl`` (one line a step and one an epoch),
    ``last.safetensors`` (to go on from) and ``best.safetensors`` (highest AUC on held-out source videos, the
    latest among equals). The unseen domain plays no part in any of them.

    Raises:
        ConfigError: the configuration does not fit what is in ``config.out``, or the device is missing.
        DataError: a pack or a sample cannot be read.
        FloatingPointError: the loss is not finite.
        Interrupted: Ctrl-C; the same call goes on where it stopped.
    """
    splits = split_sources(config)
    device = pick_device(config.device)
    torch.manual_seed(config.seed)
    if device.type == "cpu":
        keep_freed_memory()
    # Convolutions are faster so, on the CPU (by half) and on GPUs.
    model = build_model(config).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    calibration = DualCalibration(
        len(splits), model.num_features, config.loss.momentum, config.loss.init, config.loss.margin
    ).to(device)
    optimizer = torch.optim.Adam(
        model.parameters(), lr=config.optimizer.lr, weight_decay=config.optimizer.weight_decay
    )
    average = copy.deepcopy(model).eval() if config.optimizer.ema else None
    loader = DomainLoader([s.train for s in splits], config.batch_size, config.transform, config.seed)

    out = Path(config.out)
    out.mkdir(parents=True, exist_ok=True)
    progress = Progress()
    last, best = out / "last.safetensors", out / "best.safetensors"
    if last.exists():
        progress = _resume(config, last, model, calibration, optimizer, average)
    (out / "config.yaml").write_text(to_yaml(config))

    def save(path: Path) -> None:
        save_checkpoint(path, config, model, progress, calibration, optimizer, average)

    total = config.epochs * len(loader)
    started, images = time.monotonic(), 0
    with open(out / "log.jsonl", "a") as log, _ctrl_c() as interrupted:
        while progress.epoch < config.epochs:
            epoch, model_lr = progress.epoch, _learning_rate(config, progress.epoch)
            for group in optimizer.param_groups:
                group["lr"] = model_lr
            model.train()
            for batch in loader.epoch(epoch, progress.step):
                done = epoch * len(loader) + progress.step
                batches = [
                    DomainBatch(
                        config.transform.normalize(batch.image[:, k].to(device)).contiguous(
                            memory_format=torch.channels_last
                        ),
                        batch.label[:, k].to(device),
                        batch.depth[:, k].to(device),
                    )
                    for k in range(len(splits))
                ]
                with recompute_norms():
                    loss, losses = _step(config, model, calibration, batches, done)
                value = float(loss.detach())
                if not math.isfinite(value):
                    keys = [
                        s.train.records[i].path
                        for k, s in enumerate(splits)
                        for i in batch.index[:, k].tolist()
                    ]
                    raise FloatingPointError(
                        f"the loss is {value} at step {done}; a lower optimizer.lr may help. Samples of the "
                        f"step: {', '.join(keys)}"
                    )
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]  # torch's own is untyped
                optimizer.step()
                if average is not None:
                    _update(average, model, config.optimizer.ema, done)
                progress.step += 1
                images += batch.label.numel()
                _log(log, {"step": done, "epoch": epoch, "lr": model_lr, "loss": value} | losses)
                if report is not None:
                    speed = images / (time.monotonic() - started)
                    accuracy = f"accuracy {100 * losses['accuracy']:.0f} %"
                    report(done + 1, total, f"loss {value:.3f}  {accuracy}  {speed:.0f} images/s")
                if interrupted.is_set():
                    save(last)
                    raise Interrupted(f"stopped at step {done + 1} of {total}; {last} has everything so far")
            progress.epoch, progress.step = epoch + 1, 0
            frames = Scores.join(
                [score_domain(average or model, s.held_out, config.transform, device)[0] for s in splits]
            )
            videos = frames.by_video()
            progress.thresholds = {"frame": eer(frames)[1], "video": eer(videos)[1]}
            found = auc(videos)
            _log(log, {"epoch": epoch, "held_out_auc": found, "thresholds": progress.thresholds})
            if found >= progress.best_auc:
                progress.best_auc = found
                save(best)
            save(last)
    return best


def _resume(
    config: Config,
    last: Path,
    model: torch.nn.Module,
    calibration: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    average: torch.nn.Module | None,
) -> Progress:
    if not config.resume:
        raise ConfigError(f"out: {last} is there already; choose another folder or set resume=true")
    checkpoint = Checkpoint.read(last)
    # Where a run stands and runs, and for how long, may change on the way; anything else would mix two runs.
    same, wanted = (replace(c, out="", device="", epochs=1, resume=True) for c in (checkpoint.config, config))
    if same != wanted:
        raise ConfigError(
            f"out: {last} belongs to a run with another configuration; choose another folder or remove it"
        )
    checkpoint.load_into(model, "model")
    checkpoint.load_into(calibration, "calibration")
    if average is not None:
        checkpoint.load_into(average, "average")
    checkpoint.load_optimizer(optimizer)
    return checkpoint.progress


def _step(
    config: Config,
    model: Any,
    calibration: DualCalibration,
    batches: list[DomainBatch],
    step: int,
) -> tuple[torch.Tensor, dict[str, float]]:
    weights = LossWeights(
        config.loss.classification, config.loss.depth, config.loss.inter_domain, config.loss.inter_class
    )
    used = calibration if weights.inter_domain or weights.inter_class else None
    if config.meta.enabled:
        # Which domains are meta-train depends only on seed and step, so a resumed run draws the same.
        order = np.random.default_rng([config.seed, step]).permutation(len(batches)).tolist()
        cut = config.meta.train_domains
        loss, parts = meta_step(
            model,
            used,
            batches,
            meta_train=order[:cut],
            meta_test=order[cut:],
            inner_lr=config.meta.inner_lr,
            first_order=config.meta.first_order,
            detach_base=config.meta.detach_base,
            weights=weights,
        )
        domains = parts.train + parts.test
    else:
        loss, domains = joint_step(model, used, batches, weights)
    means = (torch.stack(values).mean() for values in zip(*domains, strict=True))
    return loss, {name: float(mean) for name, mean in zip(DomainLosses._fields, means, strict=True)}


@torch.no_grad()
def _update(average: torch.nn.Module, model: torch.nn.Module, decay: float, step: int) -> None:
    """Moves the average of the weights and running statistics; in the first steps it forgets faster."""
    decay = min(decay, (1 + step) / (10 + step))
    for mean, value in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - decay)
        else:
            mean.copy_(value)


def _learning_rate(config: Config, epoch: int) -> float:
    settings = config.optimizer
    return settings.lr * settings.decay ** (epoch // settings.decay_every)


def _log(stream: Any, entry: dict[str, Any]) -> None:
    stream.write(json.dumps(entry) + "\n")
    stream.flush()


@contextmanager
def _ctrl_c() -> Iterator[threading.Event]:
    """Turns the first Ctrl-C into an event, so that a step is finished and saved; a second one kills."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before: Callable[..., Any] | int | None = signal.getsignal(signal.SIGINT)

    def handle(*_: object) -> None:
        event.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, handle)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)
