"""``anrl demo``: the whole job at a small size, from photographs to a table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from anrl.cli.console import console, progress_bar
from anrl.cli.simulated import simulated_packs
from anrl.synth import DOMAIN_NAMES as NAMES

if TYPE_CHECKING:
    import numpy as np

    from anrl.checkpoint import Checkpoint
    from anrl.config import Config
    from anrl.data import Domain
    from anrl.metrics import Judgement

METHODS = {"ANRL": "anrl", "batch norm": "bn"}
"""The variants of the demo's table."""


def demo(
    out: Annotated[Path, typer.Option(help="Folder for data, checkpoints, table and pictures.")] = Path(
        "runs/demo"
    ),
    unseen: Annotated[str, typer.Option(help=f"The domain to keep unseen: {', '.join(NAMES)}.")] = NAMES[0],
    seed: Annotated[int, typer.Option(help="Decides data, initial weights and order.")] = 0,
    quick: Annotated[
        bool, typer.Option(help="A minute's run: shows that everything works, no more.")
    ] = False,
) -> None:
    """Train ANRL and a baseline on three simulated domains, judge both on a fourth they have not seen."""
    from anrl.checkpoint import Checkpoint
    from anrl.config import load_config
    from anrl.data import Domain
    from anrl.evaluation.score import video_labels
    from anrl.plots import plot_roc, plot_tsne
    from anrl.training import train

    if unseen not in NAMES:
        raise typer.BadParameter(f"--unseen must be one of {', '.join(NAMES)}")
    data = simulated_packs(out / f"data-{seed}{'-quick' if quick else ''}", seed, quick)
    packs = {name: data / f"{name}.lmdb" for name in NAMES}

    domains = {name: Domain.open(path) for name, path in packs.items()}
    target = domains[unseen]
    judgements: dict[str, Judgement] = {}
    features: dict[str, list[np.ndarray]] = {}
    for method, variant in METHODS.items():
        sources = [{"path": f"{name}.lmdb", "name": name} for name in NAMES if name != unseen]
        changes = {
            "sources": sources,
            "data": str(data),
            "output_dir": str(out / f"{variant}-{unseen}-{seed}{'-quick' if quick else ''}"),
            "seed": seed,
        } | ({"epochs": 1} if quick else {})
        config = load_config("simulated", [f"{k}={json.dumps(v)}" for k, v in changes.items()], variant)
        with progress_bar(f"training {method}") as report:
            checkpoint = Checkpoint.read(train(config, report))
        judgements[method], features[method] = _judge(
            checkpoint, target, domains, out / f"scores_{config.model.norm}.csv"
        )
    judgements["low-level cues"] = _low_level(config, target)

    curves = {m: j.scores for m, j in judgements.items()}
    plot_roc(curves, f"{unseen} (unseen), video level").savefig(out / "roc.png", dpi=150)
    with console.status("drawing the features"):
        labels = [video_labels(domain) for domain in domains.values()]
        plot_tsne(features, labels, list(domains), unseen, seed).savefig(out / "tsne.png", dpi=150)
    console.print(_table(judgements, unseen))
    console.print(
        "A quick run trains for seconds: its figures mean nothing but that everything runs."
        if quick
        else "Simulated captures of real faces: these figures say that the method works, not how well it "
        "does on real attacks. One domain and one seed decide little: `anrl protocol simulated` runs all."
    )
    results = {m: j.summary() for m, j in judgements.items()}
    (out / "results.json").write_text(
        json.dumps({"unseen": unseen, "seed": seed, "methods": results}, indent=1)
    )
    console.print(f"written: {out}/roc.png, tsne.png, results.json, checkpoints and scores")


def _judge(
    checkpoint: Checkpoint, target: Domain, domains: dict[str, Domain], scores_file: Path
) -> tuple[Judgement, list[np.ndarray]]:
    """Judges the target's videos, and averages the features of every domain's videos."""
    from anrl.evaluation.score import score_domain, video_means
    from anrl.evaluation.score_files import write_scores
    from anrl.metrics import Judgement
    from anrl.training.device import pick_device

    device, transform = pick_device(checkpoint.config.device), checkpoint.config.transform
    model = checkpoint.model().to(device)
    features = []
    for domain in domains.values():
        frames, by_frame = score_domain(model, domain, transform, device)
        features.append(video_means(domain, by_frame))
        if domain is target:
            scores = frames
    write_scores(scores_file, [(target, scores)])
    return Judgement(scores.by_video(), checkpoint.progress.thresholds["video"]), features


def _low_level(config: Config, target: Domain) -> Judgement:
    from anrl.evaluation.splits import split_sources
    from anrl.methods.classical import LowLevelStatistics
    from anrl.metrics import Judgement, Scores, find_threshold

    splits = split_sources(config)
    model = LowLevelStatistics([s.train for s in splits])
    validation = Scores.join([scores_of(s.validation, model.score(s.validation)) for s in splits]).by_video()
    return Judgement(scores_of(target, model.score(target)).by_video(), find_threshold(validation, "eer"))


def _table(judgements: dict[str, Judgement], unseen: str) -> Table:
    from anrl.metrics.rates import percent

    table = Table(
        title=f"{unseen}, never seen in training; video level",
        caption="Thresholds from held-out source subjects; HTER* at the target's own, optimistic.",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("")
    for column in ("AUC", "95 % interval", "HTER", "APCER", "BPCER", "ACER", "HTER*"):
        table.add_column(column, justify="right")
    for method, j in judgements.items():
        at, (low, high) = j.at_threshold, j.intervals["auc"]
        table.add_row(
            method,
            f"{j.auc:.3f}",
            f"{low:.3f}-{high:.3f}",
            *(percent(v) for v in (at.hter, at.apcer, at.bpcer, at.acer, j.at_own_eer.hter)),
        )
    return table
