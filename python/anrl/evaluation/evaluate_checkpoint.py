"""Evaluation of a checkpoint on domains, at a threshold from validation data."""

import os
from collections.abc import Sequence
from pathlib import Path

from anrl.checkpoint import Checkpoint
from anrl.data import Domain
from anrl.device import pick_device
from anrl.errors import ConfigError, DataError
from anrl.evaluation.run_folder import RunFolder
from anrl.evaluation.score import score_domain
from anrl.evaluation.score_files import read_validation_scores
from anrl.evaluation.splits import open_domains, split_sources
from anrl.metrics import Evaluation, Scores, evaluate_scores, parse_criterion
from anrl.metrics.scores import Aggregate
from anrl.progress import Progress


def evaluate(
    checkpoint: Checkpoint | str | os.PathLike[str],
    domains: Domain | Sequence[Domain] | None = None,
    criterion: str | float = "eer",
    *,
    aggregate: Aggregate = "mean",
    device: str = "auto",
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluate a checkpoint on domains, at the threshold from validation data of its source domains.

    The validation scores of a run's best checkpoint are read from the run's folder; those of any other
    checkpoint are computed, for which the source domains must be there.

    Args:
        checkpoint: A checkpoint, its file, or the folder of a run, whose best checkpoint is taken.
        domains: What to evaluate on; by default the targets of the checkpoint's configuration.
        criterion: What sets the threshold on the validation data: "eer", "min-hter", "apcer@X", "bpcer@X" or
            a number; see :func:`anrl.metrics.find_threshold`.
        aggregate: How a video's score is made of those of its frames.
        device: A torch device, or "auto".
        progress: Told the number of frames scored, of all.

    Returns:
        The evaluation of the videos of all domains together; ``by_domain`` has every domain's by its name,
        ``frames`` that at frame level, ``validation`` that of the validation data.

    Raises:
        ValueError: the criterion or the aggregate is unknown.
        ConfigError: there are no domains, two have the same name, or the device is missing.
        DataError: the checkpoint or a domain cannot be read, or validation data are neither stored nor there.
    """
    parse_criterion(criterion)  # before anything is scored
    checkpoint = _read(checkpoint)
    config = checkpoint.config
    if domains is None:
        domains = open_domains(config.targets, config)
    elif isinstance(domains, Domain):
        domains = [domains]
    names = [domain.name for domain in domains]
    if not names:
        raise ConfigError("the checkpoint's configuration names none; pass the domains", key="targets")
    if repeated := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"several domains are called {repeated[0]}; evaluate one at a time")
    stored = _stored_validation_scores(checkpoint)
    validation = _validation_domains(checkpoint) if stored is None else []

    where = pick_device(device)
    model = checkpoint.model().to(where)
    total, done = sum(map(len, [*domains, *validation])), 0
    titles = [*names, *(f"{domain.name}, validation" for domain in validation)]
    scores = []
    for domain, title in zip([*domains, *validation], titles, strict=True):
        part_progress = _part(progress, done, total, f"scoring {title}")
        scores.append(score_domain(model, domain, config.transform, where, part_progress)[0])
        done += len(domain)
    frames = dict(zip(names, scores, strict=False))
    if stored is None:
        stored = Scores.join(scores[len(names) :])
    return evaluate_scores(frames, stored, criterion, aggregate=aggregate)


def _read(checkpoint: Checkpoint | str | os.PathLike[str]) -> Checkpoint:
    if isinstance(checkpoint, Checkpoint):
        return checkpoint
    path = Path(checkpoint)
    return Checkpoint.read(RunFolder(path).best if path.is_dir() else path)


def _stored_validation_scores(checkpoint: Checkpoint) -> Scores | None:
    """Scores that training stored; they belong to the run's best checkpoint only."""
    run = RunFolder(checkpoint.path.parent)
    if checkpoint.path.name == run.best.name and run.validation_scores.exists():
        return read_validation_scores(run)
    return None


def _validation_domains(checkpoint: Checkpoint) -> list[Domain]:
    try:
        return [split.validation for split in split_sources(checkpoint.config)]
    except DataError as error:
        stored = RunFolder(checkpoint.path.parent).validation_scores
        raise DataError(
            f"{error}. The threshold comes from validation samples of the sources; only those of the best "
            f"checkpoint are stored, in {stored}"
        ) from None


def _part(progress: Progress | None, before: int, all_frames: int, title: str) -> Progress | None:
    """Progress of one domain as a part of all."""
    if progress is None:
        return None

    def part_progress(done: int, total: int, message: str = "") -> None:
        progress(before + done, all_frames, title)

    return part_progress
