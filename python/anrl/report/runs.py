"""The page of a training run."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anrl.checkpoint import Checkpoint
from anrl.config import Config
from anrl.config.schema import to_yaml
from anrl.data import Domain
from anrl.evaluation.run_folder import RunFolder
from anrl.evaluation.score import domain_gates, score_domain, video_labels, video_means
from anrl.evaluation.score_files import read_scores
from anrl.evaluation.splits import open_domains
from anrl.metrics import Judgement, eer, find_threshold, judgement_rows
from anrl.models import ANRLNet
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
from anrl.report.sections import Section, Table
from anrl.training.device import pick_device

Say = Callable[[str], None]


def run_sections(run: Path, say: Say) -> list[Section]:
    """All of it but the environment."""
    checkpoint = Checkpoint.read(run / "best.safetensors")
    config = checkpoint.config
    sources, targets = open_domains(config.sources, config), open_domains(config.targets, config)
    model = checkpoint.model().to(pick_device(config.device))
    development = read_scores(RunFolder(run).validation_scores).by_video()
    threshold = find_threshold(development)

    results = Section("Results")
    results.notes.append(
        f"The checkpoint of epoch {checkpoint.progress.epoch}. Development data are held-out subjects of the "
        "sources; the threshold is their equal-error threshold. In brackets 95 % intervals: Clopper-Pearson "
        "beside counts, else bootstrap over videos. Video level: the mean score of a video's frames."
    )
    if config.selection == "target":
        results.warnings.append("The checkpoint was chosen by its AUC on the targets: figures are flattered.")
    if not targets:
        results.warnings.append(
            "The configuration names no unseen domain (targets): this page cannot judge any."
        )
    curves = {"development": development}
    features: list[NDArray[np.float32]] = []
    for domain in [*targets, *sources]:
        say(f"scoring {domain.name}")
        frames, by_frame = score_domain(model, domain, config.transform, pick_device(config.device))
        features.append(video_means(domain, by_frame))
        if domain not in targets:
            continue
        curves[domain.name] = frames.by_video()
        columns = {"development": development, domain.name: curves[domain.name]}
        judged = {name: Judgement(scores, threshold) for name, scores in columns.items()}
        results.tables.append(Table(f"{domain.name}, unseen", judgement_rows(judged)))

    say("drawing")
    drawn = Section("Curves")
    drawn.show(
        plot_roc(curves, "video level"), "roc", "ROC: both errors over each other, at every threshold."
    )
    drawn.show(plot_det(curves, "video level"), "det", "The same on axes of normal deviates (DET).")
    for name, scores in curves.items():
        lines = {"development EER": threshold, "own EER": eer(scores)[1]}
        drawn.show(
            plot_scores(scores, name, lines), f"scores_{name}", f"Scores of {name} and the thresholds."
        )
    training = Section("Training")
    training.show(
        plot_training(run / "log.jsonl"), "training", "Losses, accuracy of training batches, validation."
    )
    inside = Section("Inside the network")
    domains = [*targets, *sources]
    show_features(inside, {run.name: features}, domains, targets)
    if config.model.norm == "adaptive":
        show_gates(inside, model, domains, config)
    shown = domains[0]
    inside.show(
        plot_attention(model, shown, config.transform),
        "attention",
        f"What speaks for an attack, {shown.name}.",
    )
    inside.show(plot_depth(model, shown, config.transform), "depth", f"Depth, {shown.name}.")
    return [
        results,
        drawn,
        training,
        inside,
        data_section(sources, targets),
        Section("Configuration", code=[to_yaml(config)]),
    ]


def show_features(
    section: Section,
    features: dict[str, list[NDArray[np.float32]]],
    domains: Sequence[Domain],
    unseen: Sequence[Domain],
) -> None:
    """Adds a t-SNE map of the features of every video, a panel for each key."""
    labels = [video_labels(domain) for domain in domains]
    names = [domain.name for domain in domains]
    figure = plot_tsne(features, labels, names, unseen[0].name if unseen else "")
    section.show(
        figure, "tsne", "Features of every video (t-SNE): sources and unseen domain, bona fide and attack."
    )


def show_gates(section: Section, model: ANRLNet, domains: Sequence[Domain], config: Config) -> None:
    """Adds what the gates chose in each domain."""
    gates = {domain.name: domain_gates(model, domain, config.transform) for domain in domains}
    caption = "Mean weight of batch normalization in every layer; the band holds 80 % of its channels."
    section.show(plot_gates(gates), "gates", caption)


def data_section(sources: Sequence[Domain], targets: Sequence[Domain]) -> Section:
    """How many samples there are of what."""
    kinds = sorted({r.attack for d in [*sources, *targets] for r in d.records if r.label})
    rows = [
        ["", "used as", "subjects", "videos", "frames", "bona fide", *(f"attack {k}".strip() for k in kinds)]
    ]
    for domains, use in ((sources, "source"), (targets, "unseen")):
        for domain in domains:
            counts = Counter((r.label, r.attack) for r in domain.records)
            subjects, videos = ({getattr(r, name) for r in domain.records} for name in ("subject", "video"))
            real = sum(n for (label, _), n in counts.items() if label == 0)
            numbers = [len(subjects), len(videos), len(domain), real, *(counts[1, k] for k in kinds)]
            rows.append([domain.name, use, *map(str, numbers)])
    return Section("Data", tables=[Table("Frames but where named otherwise", rows)])
