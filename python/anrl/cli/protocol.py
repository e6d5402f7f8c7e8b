"""``anrl protocol``."""

import json
from pathlib import Path
from typing import Annotated

import typer

from anrl.cli.console import console, errors, progress_bar
from anrl.cli.simulated import QUICK_REMARK, simulated_packs
from anrl.config import protocol_names
from anrl.methods.registry import METHODS

_DEFAULT = ["anrl", "bn", "in", "adaptive", "no-meta", "no-calibration"]
_QUICK = ["anrl", "bn", "low-level"]


def protocol(
    file: Annotated[
        str, typer.Argument(help=f"A training configuration, or one of {', '.join(protocol_names())}.")
    ],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value, as for anrl train.")] = None,
    methods: Annotated[
        str | None,
        typer.Option(help=f"Rows of the table, with commas: {', '.join(METHODS)}."),
    ] = None,
    seeds: Annotated[str, typer.Option(help="Seeds, with commas.")] = "0,1,2",
    unseen: Annotated[
        str | None, typer.Option(help="Domains to leave out in turn, with commas; all by default.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for cells and tables; by default runs/protocol-FILE.")
    ] = None,
    quick: Annotated[
        bool, typer.Option(help="One seed, few methods, one epoch: shows that everything works, no more.")
    ] = False,
) -> None:
    """Leave one domain out: train each method with every domain unseen in turn, and make the table.

    Cells that are done are not run again, so the same command goes on after an interruption. The simulated
    benchmark is made if its packs are not there.
    """
    from rich.markdown import Markdown

    from anrl.config import load_config
    from anrl.experiments import LeaveOneDomainOut, results_csv, table_markdown
    from anrl.output_folder import claim, refuse_inputs, writing

    name = Path(file).stem
    out = out or Path(f"runs/protocol-{name}{'-quick' if quick else ''}")
    changes = list(overrides or [])
    chosen_seeds = [0] if quick else [_number(seed) for seed in seeds.split(",")]
    if file == "simulated" and not any(change.startswith("data=") for change in changes):
        changes.append(f"data={simulated_packs(out / 'data', 0, quick)}")
    if quick:
        changes += ["epochs=1", f"remark={json.dumps(QUICK_REMARK)}"]
    config = load_config(file, changes)
    refuse_inputs(out, [Path(config.data) / domain.path for domain in [*config.sources, *config.targets]])
    chosen = methods.split(",") if methods else _QUICK if quick else _DEFAULT
    plan = LeaveOneDomainOut(
        config,
        chosen,
        chosen_seeds,
        out,
        unseen.split(",") if unseen else (),
    )
    claim(out, ["table.md", "results.csv"])
    with progress_bar("protocol") as progress:
        failures = plan.run(progress)
    results = plan.results()
    if results:
        text = table_markdown(results, chosen, plan.unseen, chosen[0])
        text = f"**{config.remark}**\n\n{text}" if config.remark else text
        with writing(out):
            (out / "table.md").write_text(text)
            (out / "results.csv").write_text(results_csv(results))
        console.print(Markdown(text) if console.is_terminal else text)
    console.print(f"written: {out}/table.md, results.csv, and every cell's scores and checkpoints")
    for cell, reason in failures.items():
        where = plan.failure_file(cell)
        errors.print(f"anrl: {cell.method}, {cell.unseen} unseen, seed {cell.seed}: {reason} ({where})")
    if failures:
        errors.print(f"anrl: {len(failures)} cells failed and are missing; the same command tries them again")
        raise typer.Exit(1)


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"--seeds: {text!r} is no whole number") from None
