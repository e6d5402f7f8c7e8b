"""Report sections of a training run."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from anrl.checkpoint import Checkpoint
from anrl.config import Config
from anrl.config.schema import to_yaml
from anrl.data import Domain
from anrl.device import pick_device
from anrl.errors import ConfigError, DataError
from anrl.evaluation import (
    RunFolder,
    evaluate,
    evaluate_scores,
    open_domains,
    read_validation_scores,
)
from anrl.evaluation.provenance import COMPARED, trained_on
from anrl.evaluation.score import domain_gates, video_features, video_labels
from anrl.evaluation.tables import levels, text_rows
from anrl.metrics import Evaluation
from anrl.models.base import Model
from anrl.plots import (
    plot_attention,
    plot_depth,
    plot_det,
    plot_gates,
    plot_roc,
    plot_scores,
    plot_training,
    plot_tsne,
)
from anrl.progress import Progress
from anrl.report.sections import Section, Table


def run_sections(run: RunFolder, checkpoint: Checkpoint, progress: Progress | None = None) -> list[Section]:
    """All sections of a run's report but the environment."""
    config = checkpoint.config
    sources, targets = open_domains(config.sources, config), open_domains(config.targets, config)
    known = {domain.name: trained_on(domain, config) for domain in targets}
    unseen = [domain for domain in targets if known[domain.name] is None]
    results, curves, inside = Section("Results"), Section("Curves"), Section("Inside the network")
    evaluation = None
    try:
        model = checkpoint.model().to(pick_device(config.device))
        if targets:
            evaluation = evaluate(checkpoint, targets, device=config.device, progress=progress)
        _show_inside(inside, run, model, config, unseen, sources, progress)
    except FloatingPointError as error:
        results.warnings.append(f"The network has diverged, and there are no results: {error}.")
    except ValueError as error:
        if isinstance(error, ConfigError):
            raise
        results.warnings.append(f"There are no results: {error}.")
    _results(results, checkpoint, evaluation, known)
    try:
        _curves(curves, _curve_columns(run, evaluation, known))
    except (DataError, ValueError) as error:
        curves.warnings.append(f"No curves: {error}.")
    training = Section("Training")
    caption = "Losses, accuracy of training batches, validation AUC."
    training.show(lambda: plot_training(run.log), "training", caption)
    uses = ["source"] * len(sources) + [_use(known[domain.name]) for domain in targets]
    data = data_section([*sources, *targets], uses)
    return [results, curves, training, inside, data, Section("Configuration", code=[to_yaml(config)])]


def _use(source: str | None) -> str:
    return "unseen" if source is None else f"trained on ({source})"


def _show_inside(
    inside: Section,
    run: RunFolder,
    model: Model,
    config: Config,
    unseen: Sequence[Domain],
    sources: Sequence[Domain],
    progress: Progress | None,
) -> None:
    """Add the features of every domain, the gates, and what the network sees in the first domain."""
    device = pick_device(config.device)
    domains = [*unseen, *sources]
    features: list[NDArray[np.float32]] = []
    for number, domain in enumerate(domains):
        if progress is not None:
            progress(number, len(domains), f"features of {domain.name}")
        features.append(video_features(model, domain, config.transform, device))
    show_features(inside, {run.path.name: features}, domains, unseen)
    if config.model.norm == "adaptive":
        show_gates(inside, model, domains, config)
    first = domains[0]
    caption = f"Evidence for an attack, {first.name}."
    inside.show(lambda: plot_attention(model, first, config.transform), "attention", caption)
    inside.show(lambda: plot_depth(model, first, config.transform), "depth", f"Depth, {first.name}.")


def _results(
    results: Section, checkpoint: Checkpoint, evaluation: Evaluation | None, known: Mapping[str, str | None]
) -> None:
    results.notes.append(
        f"The checkpoint of epoch {checkpoint.progress.epoch}. Validation data are subjects of the sources "
        "kept from training; the threshold is their equal-error threshold. In brackets 95 % intervals: "
        "Clopper-Pearson beside counts, else bootstrap over videos. Video level: the mean score of a video's "
        "frames."
    )
    if checkpoint.config.selection == "target":
        results.warnings.append(
            "The checkpoint was chosen by its AUC on the targets: the results are optimistic."
        )
    if not known:
        results.warnings.append("The configuration names no unseen domain (targets) to evaluate.")
    for name, source in known.items():
        if source is not None:
            results.warnings.append(
                f"{name} was trained on: it is {source}. Its rates say nothing about domains that the "
                f"network does not know. Targets were {COMPARED}."
            )
    for name, of_domain in evaluation.by_domain.items() if evaluation is not None else ():
        rows = text_rows(next(iter(levels(of_domain).values())))
        results.tables.append(Table(f"{name}, {_use(known[name])}", rows, name))


def _curve_columns(
    run: RunFolder, evaluation: Evaluation | None, known: Mapping[str, str | None]
) -> dict[str, Evaluation]:
    """Validation data and every target; validation data alone if none is evaluated."""
    if evaluation is not None and evaluation.validation is not None:
        return {"validation": evaluation.validation} | {
            name if known[name] is None else f"{name} (trained on)": of_domain
            for name, of_domain in evaluation.by_domain.items()
        }
    scores = read_validation_scores(run)
    return dict(evaluate_scores({"validation": scores}, scores).by_domain)


def _curves(section: Section, columns: dict[str, Evaluation]) -> None:
    scores = {name: evaluation.scores for name, evaluation in columns.items()}
    caption = "ROC: the two error rates at every threshold."
    section.show(lambda: plot_roc(scores, "video level"), "roc", caption)
    caption = "The same on axes of normal deviates (DET)."
    section.show(lambda: plot_det(scores, "video level"), "det", caption)
    for name, evaluation in columns.items():
        thresholds = {"validation EER": evaluation.threshold, "own EER": evaluation.eer_threshold}
        make = partial(plot_scores, evaluation.scores, name, thresholds)
        section.show(make, f"scores_{name}", f"Scores of {name} and the thresholds.")


def show_features(
    section: Section,
    features: dict[str, list[NDArray[np.float32]]],
    domains: Sequence[Domain],
    unseen: Sequence[Domain],
) -> None:
    """Add a t-SNE map of the features of every video, a panel for each key."""
    labels = [video_labels(domain) for domain in domains]
    names = [domain.name for domain in domains]
    section.show(
        lambda: plot_tsne(features, labels, names, unseen[0].name if unseen else ""),
        "tsne",
        "Features of every video (t-SNE): sources and unseen domain, bona fide and attack.",
    )


def show_gates(section: Section, model: Model, domains: Sequence[Domain], config: Config) -> None:
    """Add the gates of every layer in each domain."""
    gates = {domain.name: domain_gates(model, domain, config.transform) for domain in domains}
    caption = "Mean weight of batch normalization in every layer; the band holds 80 % of its channels."
    section.show(lambda: plot_gates(gates), "gates", caption)


def data_section(domains: Sequence[Domain], uses: Sequence[str]) -> Section:
    """Section of the numbers of subjects, videos and frames of every domain, and what it is used as."""
    kinds = sorted({r.attack for d in domains for r in d.records if r.label})
    rows = [
        ["", "used as", "subjects", "videos", "frames", "bona fide", *(f"attack {k}".strip() for k in kinds)]
    ]
    for domain, use in zip(domains, uses, strict=True):
        counts = Counter((r.label, r.attack) for r in domain.records)
        subjects, videos = ({getattr(r, name) for r in domain.records} for name in ("subject", "video"))
        bona_fide = sum(n for (label, _), n in counts.items() if label == 0)
        numbers = [len(subjects), len(videos), len(domain), bona_fide, *(counts[1, k] for k in kinds)]
        rows.append([domain.name, use, *map(str, numbers)])
    return Section("Data", tables=[Table("Frames, unless named otherwise", rows, "frames")])
