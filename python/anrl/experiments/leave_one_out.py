"""Leave one domain out: every domain unseen in turn, with several variants and seeds."""

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from anrl.checkpoint import Checkpoint
from anrl.config import Config, load_config
from anrl.config.schema import DomainConfig, to_mapping, to_yaml
from anrl.errors import ConfigError, Interrupted
from anrl.evaluation.run_folder import RunFolder
from anrl.evaluation.score import score_domain, scores_of
from anrl.evaluation.score_files import read_scores, write_scores
from anrl.evaluation.splits import open_domains, split_sources
from anrl.methods.registry import METHODS
from anrl.metrics import Judgement, Scores, find_threshold
from anrl.progress import Progress
from anrl.training import train
from anrl.training.device import pick_device


@dataclass(frozen=True)
class Cell:
    """One training and its judgement."""

    unseen: str
    """The domain that is not trained on."""
    variant: str
    """A key of ``anrl.methods.METHODS``."""
    seed: int

    def folder(self, out: Path) -> Path:
        """Where it is kept."""
        return out / "cells" / self.unseen / self.variant / str(self.seed)


@dataclass(frozen=True)
class CellResult:
    """What a cell's table entries are made of, at video level."""

    development: Scores
    """Held-out subjects of the source domains."""
    evaluation: Scores
    """The unseen domain."""

    @cached_property
    def measures(self) -> dict[str, float]:
        """HTER at the threshold from the sources, at the target's own equal-error threshold, and AUC."""
        judged = Judgement(self.evaluation, find_threshold(self.development, "eer"))
        return {
            "hter": judged.at_threshold.hter,
            "auc": judged.auc,
            "hter_at_target_eer": judged.at_own_eer.hter,
            "apcer": judged.at_threshold.apcer,
            "bpcer": judged.at_threshold.bpcer,
        }


def titles() -> dict[str, str]:
    """The names of all variants and baselines in a table."""
    return {name: method.title for name, method in METHODS.items()}


class LeaveOneDomainOut:
    """A protocol: every domain unseen in turn, with each variant and seed.

    Everything is kept in ``out``, a folder for each cell; a cell that is done is not run again, and one that
    was interrupted goes on.

    Args:
        config: A training configuration; its sources and targets together are the domains.
        variants: Keys of ``anrl.methods.METHODS``.
        seeds: Of initial weights, order and held-out subjects.
        out: The folder.
        unseen: The domains to leave out in turn; all by default.

    Raises:
        ConfigError: a variant or domain is unknown, names repeat, or ``out`` holds a protocol of another
            configuration.
    """

    def __init__(
        self,
        config: Config,
        variants: Sequence[str],
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
        for given, known, what in ((variants, titles(), "variant"), (unseen, self.domains, "domain")):
            for name in given:
                if name not in known:
                    raise ConfigError(f"no {what} {name}; there are {', '.join(known)}")
        self.variants, self.seeds = list(variants), list(seeds)
        self.unseen = list(unseen) or list(self.domains)
        self._keep_config()

    @classmethod
    def open(cls, out: str | Path) -> "LeaveOneDomainOut":
        """The protocol in a folder, with the variants, seeds and domains of the cells that were begun.

        Raises:
            ConfigError: there is none.
        """
        out = Path(out)
        begun = [folder.relative_to(out).parts[1:] for folder in (out / "cells").glob("*/*/*")]
        if not begun:
            raise ConfigError(f"{out}: no cells of a protocol; name the folder that anrl protocol wrote")
        unseen, variants, seeds = (set(part) for part in zip(*begun, strict=True))
        config = load_config(out / "config.yaml")
        names = [_name(source) for source in [*config.sources, *config.targets] if _name(source) in unseen]
        return cls(config, [v for v in titles() if v in variants], sorted(map(int, seeds)), out, names)

    def cells(self) -> list[Cell]:
        """All cells, in the order they run: a seed of everything before the next seed."""
        return [Cell(u, v, s) for s in self.seeds for u in self.unseen for v in self.variants]

    def run(self, report: Callable[[Cell, int, int], Progress] | None = None) -> dict[Cell, str]:
        """Runs the cells that are not done yet.

        Args:
            report: Called with each cell, the number of cells done and of all; returns what hears of its
                training.

        Returns:
            The cells that failed, and why. The others were run nevertheless.

        Raises:
            Interrupted: Ctrl-C; the same call goes on from there.
        """
        failed = {}
        cells = self.cells()
        for number, cell in enumerate(cells):
            if self._is_done(cell):
                continue
            folder = cell.folder(self.out)
            folder.mkdir(parents=True, exist_ok=True)
            try:
                self._run_cell(cell, report and report(cell, number, len(cells)))
                (folder / "failed.txt").unlink(missing_ok=True)
            except Interrupted:
                raise
            except Exception as error:
                failed[cell] = f"{type(error).__name__}: {error}"
                (folder / "failed.txt").write_text(traceback.format_exc())
        return failed

    def result(self, cell: Cell) -> CellResult | None:
        """A cell's scores, or None if it is not done."""
        if not self._is_done(cell):
            return None
        return CellResult(*(read_scores(file).by_video() for file in self._files(cell)))

    def _files(self, cell: Cell) -> tuple[Path, Path]:
        """Where the cell's scores are: development, evaluation."""
        folder = cell.folder(self.out)
        return folder / "development.csv", folder / "evaluation.csv"

    def _is_done(self, cell: Cell) -> bool:
        return all(file.exists() for file in self._files(cell))

    def results(self) -> dict[Cell, CellResult]:
        """The cells that are done."""
        found = {cell: self.result(cell) for cell in self.cells()}
        return {cell: result for cell, result in found.items() if result is not None}

    def cell_config(self, cell: Cell) -> Config:
        """The training configuration of a cell."""
        settings: dict[str, Any] = to_mapping(self.config) | {
            "sources": [to_mapping(d) for name, d in self.domains.items() if name != cell.unseen],
            "targets": [to_mapping(self.domains[cell.unseen])],
            "seed": cell.seed,
            "resume": True,
        }
        method = None if METHODS[cell.variant].is_classical else cell.variant
        return load_config(settings, [f"output_dir={cell.folder(self.out) / 'run'}"], method)

    def _run_cell(self, cell: Cell, report: Progress | None) -> None:
        config, (development, evaluation) = self.cell_config(cell), self._files(cell)
        (target,) = open_domains(config.targets, config)
        if (method := METHODS[cell.variant]).is_classical:
            splits = split_sources(config)
            classical = method.load()([split.train for split in splits])
            domains = [split.validation for split in splits]
            held_out = [(domain, scores_of(domain, classical.score(domain))) for domain in domains]
            write_scores(development, held_out)
            write_scores(evaluation, [(target, scores_of(target, classical.score(target)))])
            return
        checkpoint = Checkpoint.read(train(config, report))
        device = pick_device(config.device)
        scores, _ = score_domain(checkpoint.model().to(device), target, config.transform, device)
        development.write_text(RunFolder(checkpoint.path.parent).validation_scores.read_text())
        write_scores(evaluation, [(target, scores)])

    def _keep_config(self) -> None:
        """Stores the configuration, and refuses another one."""
        file = self.out / "config.yaml"
        if file.exists() and load_config(file) != self.config:
            raise ConfigError(
                f"{file}: belongs to a protocol with another configuration; choose another folder or remove "
                "it"
            )
        self.out.mkdir(parents=True, exist_ok=True)
        file.write_text(to_yaml(self.config))


def _name(source: DomainConfig) -> str:
    return source.name or Path(source.path).stem
