"""The training loop."""

import copy
import math
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from torch import nn

from anrl.checkpoint import Checkpoint
from anrl.config import Config
from anrl.config.schema import to_yaml
from anrl.data import Batch, DomainBatch, DomainLoader
from anrl.device import keep_freed_memory, pick_device
from anrl.distributed import Ranks, is_lost, join_ranks
from anrl.errors import ConfigError, DataError, Interrupted, ProcessLostError
from anrl.evaluation.run_folder import RunFolder
from anrl.evaluation.score_files import write_scores
from anrl.evaluation.splits import split_sources
from anrl.methods.meta_learning import DomainLosses
from anrl.methods.registry import find_method
from anrl.models import build_model
from anrl.nn import convert_sync_adaptive_norm, recompute_norms
from anrl.output_folder import claim, locked
from anrl.progress import Progress
from anrl.training.loggers import Log, open_log
from anrl.training.optimizers import (
    check_length,
    make_optimizer,
    make_scheduler,
    step_optimizer,
    step_scheduler,
    update_average,
)
from anrl.training.state import State, restore
from anrl.training.validation import Validation, validate


def train(config: Config, progress: Progress | None = None) -> Path:
    """Train a network and return the path of its best checkpoint.

    Writes to ``config.output_dir`` (see :class:`anrl.RunFolder`): the resolved configuration, the log (a line
    for every step and every epoch), the last checkpoint, the best one (highest AUC on validation videos of
    the sources, the latest among equals) and its scores on these videos. The unseen domains play no part in
    any of them, unless ``config.selection`` says so.

    In a script that ``torchrun`` started, all processes train one network together: each takes its part of
    every batch, and the first one writes. ``config.output_dir`` must be a folder that all of them see.

    Raises:
        ConfigError: the configuration does not fit what is in ``config.output_dir``, the number of processes
            or the memory, another process trains in ``config.output_dir`` or it cannot be written to, or the
            device is missing.
        DataError: a pack or a sample cannot be read, or a checkpoint cannot be written.
        FloatingPointError: a loss or a gradient is not finite, and ``failed.safetensors`` is the state
            before; or a score on validation data is not.
        Interrupted: Ctrl-C or SIGTERM; the same call goes on where it stopped.
        ProcessLostError: another process of the job ended; the same call goes on from the last checkpoint.
    """
    with join_ranks() as ranks, _stop_signals(ranks) as stop:
        try:
            trainer = Trainer(config, ranks, stop, progress if ranks.is_first else None)
            trainer.setup()
            with trainer.folder():
                trainer.resume()
                best = trainer.fit()
        except RuntimeError as error:
            if ranks.world_size == 1 or not is_lost(error):
                raise
            raise ProcessLostError(
                f"another process of the job ended ({' '.join(str(error).split())[:200]}); what it printed "
                f"tells why. The same command goes on from the last checkpoint in {config.output_dir}"
            ) from error
    if stop.is_set():
        raise Interrupted(f"stopped after the last step; {best} and everything else is there")
    return best


class Trainer:
    """A training run of one process: :meth:`setup`, then in :meth:`folder` :meth:`resume` and :meth:`fit`.

    Args:
        config: The run.
        ranks: The processes that train together.
        stop: Set by a signal; the run saves and stops after the step.
        progress: Told after every step.
    """

    def __init__(
        self, config: Config, ranks: Ranks, stop: threading.Event, progress: Progress | None = None
    ) -> None:
        if config.batch_size % (2 * ranks.world_size):
            raise ConfigError(
                f"{config.batch_size} cannot be divided among {ranks.world_size} processes, each with as "
                f"many bona fide samples as attacks; take a multiple of {2 * ranks.world_size}",
                key="batch_size",
            )
        self.config, self.ranks, self.stop, self.progress = config, ranks, stop, progress
        self.run = RunFolder(config.output_dir)
        self.device = pick_device(config.device, ranks)
        self.dtype = torch.float64 if config.precision == "float64" else torch.float32
        self.memory_format = torch.channels_last if config.channels_last else torch.contiguous_format
        self.mean_gate: float | None = None

    def setup(self) -> None:
        """Open the data, and build method, optimizer and loader."""
        config, ranks = self.config, self.ranks
        _check_memory(config, ranks)
        self.splits = split_sources(config)
        if self.device.type == "cpu":
            keep_freed_memory()
        self.state = self._initial_state()
        self.loader = DomainLoader(
            [split.train for split in self.splits],
            config.batch_size // ranks.world_size,
            config.transform,
            config.seed,
            rank=ranks.rank,
            world_size=ranks.world_size,
            pin_memory=self.device.type == "cuda",
        )
        accumulation = config.optimizer.gradient_accumulation_steps
        self.steps_per_epoch = math.ceil(len(self.loader) / accumulation)
        self.before = [buffer.clone() for buffer in self.state.method.buffers()]

    @contextmanager
    def folder(self) -> Iterator[None]:
        """Keep the folder of the run for this job; only its first process writes there."""
        with ExitStack() as stack:
            reason = ""
            if self.ranks.is_first:
                try:
                    stack.enter_context(locked(self.run.path))
                    if not self.run.last.exists():
                        claim(self.run.path, (file.name for file in self.run.files))
                except (ConfigError, DataError) as error:
                    reason = str(error)
            (reason, *_) = self.ranks.gather_texts([reason])
            if reason:
                raise ConfigError(reason, key="output_dir")
            try:
                yield
            except OSError as error:
                raise ConfigError(
                    f"{error.filename or self.run.path} cannot be written "
                    f"({error.strerror or type(error).__name__}); make room, or choose another folder",
                    key="output_dir",
                ) from None

    def resume(self) -> None:
        """Restore an unfinished run, if there is one."""
        config, ranks = self.config, self.ranks
        if self.run.last.exists():
            _resume(config, self.run.last, self.state)
            if self.state.progress.step > self.steps_per_epoch:
                raise DataError(
                    f"progress: step: {self.state.progress.step}, and an epoch has {self.steps_per_epoch}",
                    path=str(self.run.last),
                )
        by_step = config.scheduler.interval == "step"
        check_length(self.state.scheduler, config.epochs * (self.steps_per_epoch if by_step else 1))
        if len(set(ranks.gather_texts([str(self.steps_done)]))) > 1:
            raise ConfigError(
                f"not all processes see {self.run.last}; choose a folder that they share", key="output_dir"
            )

    def _initial_state(self) -> State:
        config = self.config
        torch.manual_seed(config.seed)
        model = build_model(config.model, config.transform.channels)
        method = find_method(config.method.name).load()(
            config.method, model, len(config.sources), config.seed
        )
        if config.sync_statistics:
            convert_sync_adaptive_norm(method.model)
        method.to(self.device, self.dtype)
        method.model.to(memory_format=self.memory_format)
        optimizer = make_optimizer(config.optimizer, method.parameters())
        scheduler = make_scheduler(config.scheduler, optimizer)
        average = copy.deepcopy(method.model).eval() if config.optimizer.ema_decay else None
        return State(method, average, optimizer, scheduler)

    def fit(self) -> Path:
        """Train epochs, each with its validation, and return the best checkpoint's path."""
        config, state = self.config, self.state
        progress = state.progress
        with self._open_log() as log:
            while progress.epoch < config.epochs and not self._out_of_patience():
                speed = self._epoch(log)
                validation = validate(config, self._evaluated(), self.splits, self.device, self.ranks)
                progress.thresholds, self.mean_gate = validation.thresholds, validation.mean_gate
                if state.scheduler is not None and config.scheduler.interval == "epoch":
                    step_scheduler(state.scheduler, validation.validation_auc)
                log({"epoch": progress.epoch} | validation.entry() | speed, self.steps_done)
                if validation.selection_auc > progress.best_auc:
                    progress.best_epoch = progress.epoch
                progress.epoch, progress.step = progress.epoch + 1, 0
                if validation.selection_auc >= progress.best_auc:
                    progress.best_auc = validation.selection_auc
                    self._save_best(validation)
                self.save(self.run.last)
        self.ranks.wait()  # until the first one has written
        return self.run.best

    def save(self, path: Path) -> None:
        """Write a checkpoint, in the first process."""
        if self.ranks.is_first:
            self.state.save(path, self.config)

    def _epoch(self, log: Log) -> dict[str, float]:
        """Take the remaining steps of an epoch; return their speed."""
        config, progress = self.config, self.state.progress
        accumulation = config.optimizer.gradient_accumulation_steps
        images, waited, started = 0, 0.0, time.monotonic()
        # Stays empty if a run is resumed between an epoch's last step and its end.
        speed: dict[str, float] = {}
        self.state.method.train()
        batches = self.loader.epoch(progress.epoch, progress.step * accumulation)
        while True:
            asked = time.monotonic()
            group = list(islice(batches, accumulation))
            waited += time.monotonic() - asked
            if not group:
                break
            first = progress.epoch * len(self.loader) + progress.step * accumulation
            entry, stopped = self._step(group, first)
            progress.step += 1
            images += sum(batch.label.numel() for batch in group) * self.ranks.world_size
            speed = {
                "images_per_second": images / (time.monotonic() - started),
                "loader_wait": waited / (time.monotonic() - started),
            }
            done, total = self.steps_done, config.epochs * self.steps_per_epoch
            log({"step": done - 1, "epoch": progress.epoch} | entry, done)
            if self.progress is not None:
                self.progress(done, total, _line(entry, self.mean_gate, speed))
            if stopped or (self.ranks.world_size == 1 and self.stop.is_set()):
                self.save(self.run.last)
                raise Interrupted(f"stopped at step {done} of {total}; {self.run.last} has everything so far")
            if progress.step % config.save_interval == 0:
                self.save(self.run.last)
        return speed

    def _step(self, group: Sequence[Batch], first: int) -> tuple[dict[str, Any], bool]:
        """Take an optimizer step; return its entry in the log, and whether to stop."""
        config, state = self.config, self.state
        state.optimizer.zero_grad()
        self._copy_buffers(list(state.method.buffers()), self.before)
        computed = []
        for number, batch in enumerate(group, first):
            _seed(config.seed, number, self.ranks.rank)
            with self._precision(), recompute_norms() if config.recompute else nullcontext():
                loss, domains = state.method(self._domain_batches(batch), number)
            (loss / len(group)).backward()
            by_name = {name: [getattr(d, name) for d in domains] for name in DomainLosses._fields}
            computed.append(
                {name: torch.stack(values) for name, values in by_name.items()} | {"loss": loss.detach()}
            )
        mean = {name: torch.stack([c[name] for c in computed]).mean(0).to(self.dtype) for name in computed[0]}
        stop = mean["loss"].new_tensor(float(self.stop.is_set()))
        gradients = [p.grad for p in state.method.parameters() if p.grad is not None]
        buffers = [b for b in state.method.buffers() if b.is_floating_point()]
        self.ranks.average_([*gradients, *buffers, *mean.values(), stop])
        norm = nn.utils.get_total_norm(gradients)
        total_loss = float(mean.pop("loss"))
        if not math.isfinite(total_loss) or not math.isfinite(float(norm)):
            self._fail(group, total_loss, float(norm))
        rate = state.optimizer.param_groups[0]["lr"]
        if config.optimizer.max_grad_norm is not None:
            nn.utils.clip_grads_with_norm_(state.method.parameters(), config.optimizer.max_grad_norm, norm)
        step_optimizer(state.optimizer)
        if state.average is not None:
            update_average(state.average, state.method.model, config.optimizer.ema_decay, self.steps_done)
        if state.scheduler is not None and config.scheduler.interval == "step":
            step_scheduler(state.scheduler)
        names = [split.train.name for split in self.splits]
        entry: dict[str, Any] = {"lr": rate, "loss": total_loss, "gradient_norm": float(norm)}
        entry |= {name: float(by_domain.mean()) for name, by_domain in mean.items()}
        entry["accuracy_by_domain"] = dict(zip(names, mean["accuracy"].tolist(), strict=True))
        return entry, bool(stop)

    @staticmethod
    @torch.no_grad()
    def _copy_buffers(buffers: Sequence[torch.Tensor], to: Sequence[torch.Tensor]) -> None:
        for buffer, copied in zip(buffers, to, strict=True):
            copied.copy_(buffer)

    def _domain_batches(self, batch: Batch) -> list[DomainBatch]:
        normalize = self.config.transform.normalize
        return [
            DomainBatch(
                normalize(part.image).to(self.dtype).contiguous(memory_format=self.memory_format),
                part.label,
                part.depth.to(self.dtype),
                part.has_depth,
            )
            for part in batch.to(self.device, non_blocking=True).domains()
        ]

    def _precision(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16")

    def _evaluated(self) -> nn.Module:
        return self.state.average or self.state.method.model

    @property
    def steps_done(self) -> int:
        """Optimizer steps since the start of training."""
        return self.state.progress.epoch * self.steps_per_epoch + self.state.progress.step

    def _out_of_patience(self) -> bool:
        progress, patience = self.state.progress, self.config.patience
        return patience is not None and progress.epoch > progress.best_epoch + patience

    def _save_best(self, validation: Validation) -> None:
        self.save(self.run.best)
        if self.ranks.is_first:
            domains = [split.validation for split in self.splits]
            parts = list(zip(domains, validation.scores, strict=True))
            write_scores(self.run.validation_scores, parts)

    @contextmanager
    def _open_log(self) -> Iterator[Log]:
        if not self.ranks.is_first:
            yield lambda entry, step: None
            return
        self.run.config.write_text(to_yaml(self.config))
        with open_log(self.config, self.steps_done, self.state.progress.epoch) as log:
            yield log

    def _fail(self, group: Sequence[Batch], loss: float, norm: float) -> NoReturn:
        keys = [
            split.train.records[i].path
            for batch in group
            for k, split in enumerate(self.splits)
            for i in batch.index[:, k].tolist()
        ]
        keys = self.ranks.gather_texts(keys)
        # Statistics and centers change in the forward pass.
        self._copy_buffers(self.before, list(self.state.method.buffers()))
        self.save(self.run.failed)
        what = f"the loss is {loss}" if not math.isfinite(loss) else f"the norm of the gradient is {norm}"
        raise FloatingPointError(
            f"{what} at step {self.steps_done}; a lower optimizer.lr or optimizer.max_grad_norm may help. "
            f"{self.run.failed} has the state before it. Samples of the step: {', '.join(keys)}"
        )


def _check_memory(config: Config, ranks: Ranks) -> None:
    """Refuse batches that cannot fit, which would take minutes to fail."""
    size = config.transform.image_size
    samples = len(config.sources) * (config.batch_size // ranks.world_size)
    needed = 4 * samples * config.transform.channels * size**2
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if 4 * needed > memory:
        raise ConfigError(
            f"{config.batch_size} samples of {len(config.sources)} domains at {size} x {size} pixels are "
            f"{needed / 1e9:.3g} GB a batch, and this machine has {memory / 1e9:.3g} GB; take fewer",
            key="batch_size",
        )


def _resume(config: Config, last: Path, state: State) -> None:
    if not config.resume:
        raise ConfigError(
            f"{last} is there already; choose another folder or set resume=true", key="output_dir"
        )
    checkpoint = Checkpoint.read(last)

    # Where a run stands and runs, for how long and who hears of it may change on the way; anything else would
    # mix two runs.
    def essential(c: Config) -> Config:
        targets = c.targets if c.selection == "target" else []
        c = replace(c, data="", output_dir="", device="", targets=targets, logger="none")
        return replace(c, epochs=1, patience=None, save_interval=1, resume=True)

    if essential(checkpoint.config) != essential(config):
        raise ConfigError(
            f"{last} belongs to a run with another configuration; choose another folder or remove it",
            key="output_dir",
        )
    restore(checkpoint, state)


def _seed(seed: int, number: int, rank: int) -> None:
    """Whatever torch draws in a step depends on the step only, so a resumed run draws the same."""
    torch.manual_seed(int(np.random.SeedSequence([seed, number, rank]).generate_state(1)[0]))


def _line(entry: dict[str, Any], gate: float | None, speed: dict[str, float]) -> str:
    parts = "classification", "depth", "inter_domain", "inter_class"
    losses = " ".join(f"{entry[part]:.3g}" for part in parts)
    accuracies = "/".join(f"{100 * a:.0f}" for a in entry["accuracy_by_domain"].values())
    gates = f"gates {gate:.2f}  " if gate is not None else ""
    return (
        f"loss {entry['loss']:.3f} ({losses})  accuracy {accuracies} %  {gates}"
        f"{speed['images_per_second']:.0f} images/s"
    )


@contextmanager
def _stop_signals(ranks: Ranks) -> Iterator[threading.Event]:
    """Turn Ctrl-C and SIGTERM into an event, so that a step is finished and saved.

    A second signal kills, unless there are several processes: torchrun sends one of its own.
    """
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def handle(*_: object) -> None:
        event.set()
        if ranks.world_size == 1:
            restore()

    for number in before:
        signal.signal(number, handle)
    try:
        yield event
    finally:
        restore()
