"""Leave-one-domain-out protocol: every domain unseen in turn, with several methods and seeds."""

import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from anrl.config import Config, load_config
from anrl.config.plain import parse_plain_yaml
from anrl.config.schema import DomainConfig, to_mapping, to_yaml, with_data
from anrl.errors import ConfigError, DataError, Interrupted
from anrl.evaluation import RunFolder, evaluate, open_domains, read_scores, split_sources, write_scores
from anrl.evaluation.provenance import trained_on
from anrl.evaluation.score import scores_of
from anrl.methods.registry import METHODS, find_method
from anrl.metrics import Evaluation, evaluate_scores
from anrl.output_folder import claim, locked, writing
from anrl.progress import Progress
from anrl.training import train

FORMAT = "anrl-protocol-2"
"""Version of the layout of a protocol's folder, in its file ``format.txt``."""
_CELLS = "cells"


@dataclass(frozen=True)
class Cell:
    """One training of a method and its evaluation on the unseen domain."""

    unseen: str
    """Name of the domain that is not trained on."""
    method: str
    """A key of ``anrl.methods.METHODS``."""
    seed: int

    def folder(self, out: Path) -> Path:
        """Folder of the cell in the protocol's folder ``out``."""
        return out / _CELLS / self.unseen / self.method / str(self.seed)


def titles() -> dict[str, str]:
    """Titles of all methods in tables, by name."""
    return {name: method.title for name, method in METHODS.items()}


class LeaveOneDomainOut:
    """Leave-one-domain-out protocol: every domain unseen in turn, with each method and seed.

    Results are kept in ``out``, a folder for each cell; a cell that is done is not run again, and one that
    was interrupted goes on.

    Args:
        config: A training configuration; its sources and targets together are the domains.
        methods: Keys of ``anrl.methods.METHODS``.
        seeds: Seeds of initial weights, order and validation subjects.
        out: Folder of the protocol.
        unseen: The domains to leave out in turn; all by default.

    Raises:
        ConfigError: a method or domain is unknown, names repeat, or ``out`` holds a protocol of another
            configuration or version of anrl.
    """

    def __init__(
        self,
        config: Config,
        methods: Sequence[str],
        seeds: Sequence[int],
        out: str | Path,
        unseen: Sequence[str] = (),
    ) -> None:
        self.config, self.out = config, Path(out)
        self.domains = {_name(source): source for source in [*config.sources, *config.targets]}
        if len(self.domains) != len(config.sources) + len(config.targets):
            raise ConfigError("sources, targets: domains need names of their own; set name")
        if len(self.domains) < 3:
            raise ConfigError(f"sources, targets: {len(self.domains)} domains; leaving one out needs 3")
        for name in methods:
            find_method(name)
        for name in unseen:
            if name not in self.domains:
                raise ConfigError(f"no domain {name}; there are {', '.join(self.domains)}", key="unseen")
        for seed in seeds:
            replace(config, seed=seed).check()
        self.methods, self.seeds = list(methods), list(seeds)
        self.unseen = list(unseen) or list(self.domains)
        _check_format(self.out)
        self._keep_config()

    @staticmethod
    def is_folder(path: str | Path) -> bool:
        """Whether a folder is that of a protocol."""
        return (Path(path) / _CELLS).is_dir()

    @classmethod
    def open(cls, out: str | Path) -> "LeaveOneDomainOut":
        """Open the protocol in a folder, with the methods, seeds and domains of the cells that were begun.

        Raises:
            ConfigError: the folder has no protocol.
        """
        out = Path(out)
        _check_format(out)
        begun = [folder.relative_to(out).parts[1:] for folder in (out / _CELLS).glob("*/*/*")]
        if not begun:
            raise ConfigError(f"{out}: no cells of a protocol; name the folder that anrl protocol wrote")
        unseen, methods, seeds = (set(part) for part in zip(*begun, strict=True))
        config = _read_config(_config_file(out))
        names = [_name(source) for source in [*config.sources, *config.targets] if _name(source) in unseen]
        return cls(config, [m for m in titles() if m in methods], sorted(map(int, seeds)), out, names)

    def move_data(self, data: str | Path) -> None:
        """Look for the packs in another folder; see :func:`anrl.config.schema.with_data`."""
        self.config = with_data(self.config, data)
        self.domains = {_name(source): source for source in [*self.config.sources, *self.config.targets]}

    def cells(self) -> list[Cell]:
        """List all cells in the order they run: all domains and methods of a seed, then the next seed."""
        return [Cell(u, m, s) for s in self.seeds for u in self.unseen for m in self.methods]

    def run(self, progress: Progress | None = None) -> dict[Cell, str]:
        """Run the cells that are not done yet.

        Args:
            progress: Told the number of cells done, of all, and about the training of the current one.

        Returns:
            The cells that failed, and why. The others were run nevertheless.

        Raises:
            ConfigError: another process runs the protocol in this folder.
            DataError: the folder cannot be written to.
            Interrupted: Ctrl-C; the same call goes on from there.
        """
        failures = {}
        cells = self.cells()
        with locked(self.out), writing(self.out):
            for number, cell in enumerate(cells):
                if self._is_done(cell):
                    continue
                failure = self.failure_file(cell)
                failure.parent.mkdir(parents=True, exist_ok=True)
                try:
                    self._run_cell(cell, _cell_progress(progress, cell, number, len(cells)))
                    failure.unlink(missing_ok=True)
                except Interrupted:
                    raise
                except Exception as error:
                    failures[cell] = f"{type(error).__name__}: {error}"
                    failure.write_text(traceback.format_exc())
        return failures

    def run_folder(self, cell: Cell) -> RunFolder:
        """Folder of a cell's training; classical baselines have none."""
        return RunFolder(cell.folder(self.out) / "run")

    def failure_file(self, cell: Cell) -> Path:
        """File with the traceback of a cell that failed."""
        return cell.folder(self.out) / "failed.txt"

    def result(self, cell: Cell) -> Evaluation | None:
        """Evaluation of a cell on its unseen domain, or None if it is not done.

        The threshold is the equal-error threshold on validation subjects of the source domains.
        """
        if not self._is_done(cell):
            return None
        validation, unseen = (read_scores(file) for file in self._score_files(cell))
        return evaluate_scores({cell.unseen: unseen}, validation)

    def results(self) -> dict[Cell, Evaluation]:
        """Evaluations of the cells that are done."""
        results = {cell: self.result(cell) for cell in self.cells()}
        return {cell: result for cell, result in results.items() if result is not None}

    def _score_files(self, cell: Cell) -> tuple[Path, Path]:
        """Score files of a cell: validation, unseen domain."""
        folder = cell.folder(self.out)
        return folder / "validation.csv", folder / "evaluation.csv"

    def _is_done(self, cell: Cell) -> bool:
        return all(file.exists() for file in self._score_files(cell))

    def cell_config(self, cell: Cell) -> Config:
        """Training configuration of a cell."""
        settings: dict[str, Any] = to_mapping(self.config) | {
            "sources": [to_mapping(d) for name, d in self.domains.items() if name != cell.unseen],
            "targets": [to_mapping(self.domains[cell.unseen])],
            "seed": cell.seed,
            "resume": True,
        }
        method = None if METHODS[cell.method].is_classical else cell.method
        return load_config(settings, [f"output_dir={self.run_folder(cell)}"], method)

    def _run_cell(self, cell: Cell, progress: Progress | None) -> None:
        config, (validation_file, unseen_file) = self.cell_config(cell), self._score_files(cell)
        (target,) = open_domains(config.targets, config)
        if (source := trained_on(target, config)) is not None:
            raise ConfigError(f"{cell.unseen} would not be unseen: it is {source}", key="sources, targets")
        if (method := METHODS[cell.method]).is_classical:
            splits = split_sources(config)
            classical = method.load()([split.train for split in splits])
            parts = [split.validation for split in splits]
            write_scores(validation_file, [(d, scores_of(d, classical.score(d))) for d in parts])
            write_scores(unseen_file, [(target, scores_of(target, classical.score(target)))])
            return
        train(config, progress)
        run = self.run_folder(cell)
        frames = evaluate(run, target, device=config.device).frames
        assert frames is not None
        validation_file.write_text(run.validation_scores.read_text())
        write_scores(unseen_file, [(target, frames.scores)])

    def _keep_config(self) -> None:
        """Store the configuration, and refuse another one."""
        file = _config_file(self.out)
        text = to_yaml(self.config)
        if file.exists() and _read_config(file) != self.config:
            raise ConfigError(
                f"{file}: belongs to a protocol with another configuration; choose another folder or remove "
                "it"
            )
        if file.exists() and file.read_text() == text:
            return  # a report of a folder that is read only writes nothing
        if not file.exists():
            claim(self.out, [file.name, _format_file(self.out).name])
        with writing(self.out):
            file.write_text(text)
            _format_file(self.out).write_text(f"{FORMAT}\n")


def _read_config(file: Path) -> Config:
    """Read a stored configuration as plain values."""
    try:
        return load_config(parse_plain_yaml(file.read_text()))
    except (OSError, UnicodeDecodeError, ConfigError) as error:
        raise DataError(f"no configuration of a protocol ({error})", path=str(file)) from None


def _config_file(out: Path) -> Path:
    return out / "config.yaml"


def _format_file(out: Path) -> Path:
    return out / "format.txt"


def _check_format(out: Path) -> None:
    """Refuse the folder of another version."""
    if not _config_file(out).exists() and not (out / _CELLS).exists():
        return
    file = _format_file(out)
    version = file.read_text().strip() if file.exists() else "an older format"
    if version != FORMAT:
        raise ConfigError(
            f"{out}: the protocol's folder is of {version}, not {FORMAT} (or of no protocol); choose another "
            "folder and run the protocol there"
        )


def _cell_progress(progress: Progress | None, cell: Cell, number: int, cells: int) -> Progress | None:
    """Progress of a cell's training as a part of the protocol's."""
    if progress is None:
        return None
    title = f"{titles()[cell.method]}, {cell.unseen} unseen, seed {cell.seed}"
    progress(number, cells, title)

    def training_progress(done: int, total: int, message: str = "") -> None:
        progress(number, cells, f"{title}: step {done} of {total}  {message}")

    return training_progress


def _name(source: DomainConfig) -> str:
    return source.name or Path(source.path).stem
