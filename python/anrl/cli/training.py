"""``anrl train`` and ``anrl eval``."""

from pathlib import Path
from typing import Annotated

import typer

from anrl.cli.console import console, judgement_table, progress_bar
from anrl.cli.data import Columns, DepthRule, open_domain
from anrl.evaluate import judge, score_domain, write_scores
from anrl.metrics import Scores
from anrl.plots import plot_roc
from anrl.train import Checkpoint, load_config
from anrl.train import train as run_training
from anrl.train.trainer import pick_device


def train(
    config: Annotated[Path, typer.Argument(help="YAML file; see anrl.train.Config for its keys.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="key=value, for example optimizer.lr=1e-3.")
    ] = None,
) -> None:
    """Train on source domains; the same command goes on after an interruption."""
    resolved = load_config(config, overrides or [])
    with progress_bar("training") as report:
        best = run_training(resolved, report)
    progress = Checkpoint.read(best).progress
    console.print(f"{best}: AUC {progress.best_auc:.3f} on held-out source videos")


def evaluate(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint to judge.")],
    packs: Annotated[list[Path], typer.Argument(help="Packs of domains to score.")],
    lists: Annotated[
        list[Path] | None,
        typer.Option("--list", help="List files, for a single pack of the official layout."),
    ] = None,
    columns: Columns = None,
    depth_rule: DepthRule = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for scores and ROC; by default 'eval' beside the checkpoint.")
    ] = None,
    device: Annotated[str, typer.Option(help="A torch device, or auto.")] = "auto",
) -> None:
    """Judge a checkpoint on domains it has not seen, at the threshold from held-out source data."""
    if lists and len(packs) > 1:
        raise typer.BadParameter("--list goes with a single pack")
    found = Checkpoint.read(checkpoint)
    domains = [open_domain(path, lists, columns, depth_rule) for path in packs]
    where = pick_device(device)
    model = found.model().to(where)
    out = out or checkpoint.parent / "eval"
    out.mkdir(parents=True, exist_ok=True)
    thresholds = found.progress.thresholds
    videos: dict[str, Scores] = {}
    for domain in domains:
        with progress_bar(f"scoring {domain.name}") as report:
            frames, _ = score_domain(model, domain, found.config.transform, where, report)
        write_scores(out / f"scores_{domain.name}.csv", domain, frames)
        videos[domain.name] = frames.by_video()
        frame, video = judge(frames, thresholds["frame"]), judge(videos[domain.name], thresholds["video"])
        console.print(judgement_table(f"{checkpoint} on {domain.name}", frame, video))
    plot_roc(videos, f"{checkpoint.parent.name}, video level").savefig(out / "roc.png", dpi=150)
    console.print(f"written: {out}/scores_*.csv, {out / 'roc.png'}")
