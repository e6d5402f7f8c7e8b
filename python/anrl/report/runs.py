"""Report sections of a training run."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from anrl.checkpoint import Checkpoint
from anrl.config import Config
from anrl.config.schema import to_yaml
from anrl.data import Domain
from anrl.device import pick_device
from anrl.evaluation import (
    RunFolder,
    evaluate,
    evaluate_scores,
    open_domains,
    read_validation_scores,
)
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


def run_sections(run: RunFolder, progress: Progress | None = None) -> list[Section]:
    """All sections of a run's report but the environment."""
    checkpoint = Checkpoint.read(run.best)
    config = checkpoint.config
    sources, targets = open_domains(config.sources, config), open_domains(config.targets, config)
    evaluation = evaluate(checkpoint, targets, device=config.device, progress=progress) if targets else None
    device = pick_device(config.device)
    model = checkpoint.model().to(device)
    domains = [*targets, *sources]
    features: list[NDArray[np.float32]] = []
    for number, domain in enumerate(domains):
        if progress is not None:
            progress(number, len(domains), f"features of {domain.name}")
        features.append(video_features(model, domain, config.transform, device))

    inside = Section("Inside the network")
    show_features(inside, {run.path.name: features}, domains, targets)
    if config.model.norm == "adaptive":
        show_gates(inside, model, domains, config)
    inside.show(
        plot_attention(model, domains[0], config.transform),
        "attention",
        f"Evidence for an attack, {domains[0].name}.",
    )
    inside.show(plot_depth(model, domains[0], config.transform), "depth", f"Depth, {domains[0].name}.")
    training = Section("Training")
    training.show(plot_training(run.log), "training", "Losses, accuracy of training batches, validation AUC.")
    return [
        _results(checkpoint, evaluation),
        _curves(_curve_columns(run, evaluation)),
        training,
        inside,
        data_section(sources, targets),
        Section("Configuration", code=[to_yaml(config)]),
    ]


def _results(checkpoint: Checkpoint, evaluation: Evaluation | None) -> Section:
    results = Section("Results")
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
    if evaluation is None:
        results.warnings.append("The configuration names no unseen domain (targets) to evaluate.")
        return results
    for name, of_domain in evaluation.by_domain.items():
        rows = text_rows(next(iter(levels(of_domain).values())))
        results.tables.append(Table(f"{name}, unseen", rows))
    return results


def _curve_columns(run: RunFolder, evaluation: Evaluation | None) -> dict[str, Evaluation]:
    """Validation data and every unseen domain; validation data alone if the run has no targets."""
    if evaluation is not None and evaluation.validation is not None:
        return {"validation": evaluation.validation} | dict(evaluation.by_domain)
    scores = read_validation_scores(run)
    return dict(evaluate_scores({"validation": scores}, scores).by_domain)


def _curves(columns: dict[str, Evaluation]) -> Section:
    section = Section("Curves")
    scores = {name: evaluation.scores for name, evaluation in columns.items()}
    section.show(plot_roc(scores, "video level"), "roc", "ROC: the two error rates at every threshold.")
    section.show(plot_det(scores, "video level"), "det", "The same on axes of normal deviates (DET).")
    for name, evaluation in columns.items():
        thresholds = {"validation EER": evaluation.threshold, "own EER": evaluation.eer_threshold}
        figure = plot_scores(evaluation.scores, name, thresholds)
        section.show(figure, f"scores_{name}", f"Scores of {name} and the thresholds.")
    return section


def show_features(
    section: Section,
    features: dict[str, list[NDArray[np.float32]]],
    domains: Sequence[Domain],
    unseen: Sequence[Domain],
) -> None:
    """Add a t-SNE map of the features of every video, a panel for each key."""
    labels = [video_labels(domain) for domain in domains]
    names = [domain.name for domain in domains]
    figure = plot_tsne(features, labels, names, unseen[0].name if unseen else "")
    section.show(
        figure, "tsne", "Features of every video (t-SNE): sources and unseen domain, bona fide and attack."
    )


def show_gates(section: Section, model: Model, domains: Sequence[Domain], config: Config) -> None:
    """Add the gates of every layer in each domain."""
    gates = {domain.name: domain_gates(model, domain, config.transform) for domain in domains}
    caption = "Mean weight of batch normalization in every layer; the band holds 80 % of its channels."
    section.show(plot_gates(gates), "gates", caption)


def data_section(sources: Sequence[Domain], targets: Sequence[Domain]) -> Section:
    """Section of the numbers of subjects, videos and frames of every domain."""
    kinds = sorted({r.attack for d in [*sources, *targets] for r in d.records if r.label})
    rows = [
        ["", "used as", "subjects", "videos", "frames", "bona fide", *(f"attack {k}".strip() for k in kinds)]
    ]
    for domains, use in ((sources, "source"), (targets, "unseen")):
        for domain in domains:
            counts = Counter((r.label, r.attack) for r in domain.records)
            subjects, videos = ({getattr(r, name) for r in domain.records} for name in ("subject", "video"))
            bona_fide = sum(n for (label, _), n in counts.items() if label == 0)
            numbers = [len(subjects), len(videos), len(domain), bona_fide, *(counts[1, k] for k in kinds)]
            rows.append([domain.name, use, *map(str, numbers)])
    return Section("Data", tables=[Table("Frames, unless named otherwise", rows)])
