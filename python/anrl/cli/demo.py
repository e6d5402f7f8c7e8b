"""``anrl demo``: the whole job at a small size, from photographs to a table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from anrl.cli.console import console, progress_bar
from anrl.cli.simulated import QUICK_REMARK, simulated_packs
from anrl.methods.registry import METHODS
from anrl.output_folder import claim, writing
from anrl.synth import DOMAIN_NAMES as NAMES

if TYPE_CHECKING:
    import numpy as np

    from anrl.config import Config
    from anrl.data import Domain
    from anrl.metrics import Evaluation

_METHODS = ("anrl", "bn")


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
    """Train ANRL and a baseline on three simulated domains, and evaluate both on an unseen fourth."""
    from anrl.checkpoint import Checkpoint
    from anrl.config import load_config
    from anrl.data import Domain
    from anrl.device import pick_device
    from anrl.evaluation import evaluate, write_scores
    from anrl.evaluation.score import video_features, video_labels
    from anrl.plots import plot_roc, plot_tsne
    from anrl.training import train

    if unseen not in NAMES:
        raise typer.BadParameter(f"--unseen must be one of {', '.join(NAMES)}")
    if not 0 <= seed < 2**31:
        raise typer.BadParameter(f"--seed must be in [0, 2^31), not {seed}")
    norms = [METHODS[method].model.get("norm", "adaptive") for method in _METHODS]
    scores = {method: out / f"scores_{norm}.csv" for method, norm in zip(_METHODS, norms, strict=True)}
    claim(out, ["roc.png", "tsne.png", "results.json", *(file.name for file in scores.values())])
    with writing(out):
        data = simulated_packs(out / f"data-{seed}{'-quick' if quick else ''}", seed, quick)
    packs = {name: data / f"{name}.lmdb" for name in NAMES}

    domains = {name: Domain.open(path) for name, path in packs.items()}
    target = domains[unseen]
    evaluations: dict[str, Evaluation] = {}
    features: dict[str, list[np.ndarray]] = {}
    for method in _METHODS:
        title = METHODS[method].title
        named = {name: {"path": f"{name}.lmdb", "name": name} for name in NAMES}
        changes = {
            "sources": [domain for name, domain in named.items() if name != unseen],
            "targets": [named[unseen]],
            "data": str(data),
            "output_dir": str(out / f"{method}-{unseen}-{seed}{'-quick' if quick else ''}"),
            "seed": seed,
        } | ({"epochs": 1, "remark": QUICK_REMARK} if quick else {})
        config = load_config("simulated", [f"{k}={json.dumps(v)}" for k, v in changes.items()], method)
        with progress_bar(f"training {title}") as progress:
            checkpoint = Checkpoint.read(train(config, progress))
        evaluations[title] = evaluation = evaluate(checkpoint, target, device=config.device)
        assert evaluation.frames is not None
        with writing(out):
            write_scores(scores[method], [(target, evaluation.frames.scores)])
        device = pick_device(config.device)
        model = checkpoint.model().to(device)
        features[title] = [
            video_features(model, domain, config.transform, device) for domain in domains.values()
        ]
    evaluations[METHODS["low-level"].title] = _low_level(config, target)

    curves = {title: evaluation.scores for title, evaluation in evaluations.items()}
    title = f"{unseen} (unseen), video level{', QUICK RUN' if quick else ''}"
    results = {
        "unseen": unseen,
        "seed": seed,
        "remark": QUICK_REMARK if quick else "",
        "methods": {title: evaluation.summary() for title, evaluation in evaluations.items()},
    }
    with writing(out), console.status("drawing the features"):
        plot_roc(curves, title).savefig(out / "roc.png", dpi=150)
        labels = [video_labels(domain) for domain in domains.values()]
        figure = plot_tsne(features, labels, list(domains), unseen, seed)
        figure.suptitle("QUICK RUN" if quick else "")
        figure.savefig(out / "tsne.png", dpi=150)
        (out / "results.json").write_text(json.dumps(results, indent=1))
    console.print(_table(evaluations, unseen))
    console.print(
        QUICK_REMARK
        if quick
        else "Simulated captures of real faces: these results say that the method works, not how well it "
        "does on real attacks. One domain and one seed decide little: `anrl protocol simulated` runs all."
    )
    console.print(f"written: {out}/roc.png, tsne.png, results.json, checkpoints and scores")


def _low_level(config: Config, target: Domain) -> Evaluation:
    from anrl.evaluation import split_sources
    from anrl.evaluation.score import scores_of
    from anrl.methods.classical import LowLevelStatistics
    from anrl.metrics import Scores, evaluate_scores

    splits = split_sources(config)
    model = LowLevelStatistics([split.train for split in splits])
    parts = [split.validation for split in splits]
    validation = Scores.join([scores_of(part, model.score(part)) for part in parts])
    return evaluate_scores({target.name: scores_of(target, model.score(target))}, validation)


def _table(evaluations: dict[str, Evaluation], unseen: str) -> Table:
    from anrl.metrics.rates import percent

    table = Table(
        title=f"{unseen}, never seen in training; video level",
        caption="Thresholds from validation subjects of the sources; HTER* at the target's own, optimistic.",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("")
    for column in ("AUC", "95 % interval", "HTER", "APCER", "BPCER", "ACER", "HTER*"):
        table.add_column(column, justify="right", overflow="fold")
    for method, evaluation in evaluations.items():
        low, high = evaluation.intervals["auc"]
        errors = (evaluation.hter, evaluation.apcer, evaluation.bpcer, evaluation.acer)
        table.add_row(
            method,
            f"{evaluation.auc:.3f}",
            f"{low:.3f}-{high:.3f}",
            *(percent(value) for value in (*errors, evaluation.at_own_eer.hter)),
        )
    return table
