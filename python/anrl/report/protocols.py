"""Report sections of a protocol."""

from functools import partial

from anrl.checkpoint import Checkpoint
from anrl.config.schema import to_yaml
from anrl.device import pick_device
from anrl.evaluation import open_domains
from anrl.evaluation.score import video_features
from anrl.experiments import Cell, LeaveOneDomainOut, titles
from anrl.experiments.comparison import MEASURE_TITLES, over_seeds, paired_rows, rows
from anrl.methods.registry import METHODS
from anrl.plots import plot_det, plot_roc
from anrl.progress import Progress
from anrl.report.runs import data_section, show_features, show_gates
from anrl.report.sections import Section, Table

_MAPPED = ("bn", "in", "adaptive", "anrl")


def protocol_sections(protocol: LeaveOneDomainOut, progress: Progress | None = None) -> list[Section]:
    """All sections of a protocol's report but the environment."""
    results = protocol.results()
    table = Section("Results")
    table.notes.append(
        f"Every domain is unseen in turn. Video level, per cent, {over_seeds(len(protocol.seeds))}. "
        "Thresholds come from validation subjects of the sources, except in the last of the three tables."
    )
    missing = [cell for cell in protocol.cells() if cell not in results]
    for cell in missing:
        table.warnings.append(f"Missing: {titles()[cell.method]}, {cell.unseen} unseen, seed {cell.seed}.")
    head = ["", *protocol.unseen, "mean"]
    for measure, title in MEASURE_TITLES.items():
        body = rows(results, measure, protocol.methods, protocol.unseen)
        table.tables.append(Table(title, [head, *body]))
    if len(protocol.methods) > 1:
        reference = protocol.methods[0]
        table.tables.append(
            Table(
                "Paired by unseen domain and seed (Wilcoxon signed-rank, two-sided)",
                paired_rows(results, protocol.methods, reference),
            )
        )
    seed = protocol.seeds[0]
    curves = Section(f"Curves, seed {seed}")
    for unseen in protocol.unseen:
        scores = {
            titles()[method]: results[cell].scores
            for method in protocol.methods
            if (cell := Cell(unseen, method, seed)) in results
        }
        if scores:
            curves.show(
                partial(plot_roc, scores, f"{unseen} unseen"),
                f"roc_{unseen}",
                f"ROC, {unseen} unseen, video level.",
            )
            curves.show(
                partial(plot_det, scores, f"{unseen} unseen"),
                f"det_{unseen}",
                f"DET, {unseen} unseen, video level.",
            )
    sections = [table, curves]
    trained = [m for m in _MAPPED if Cell(protocol.unseen[0], m, seed) in results]
    if trained:
        sections.append(_inside(protocol, protocol.unseen[0], seed, trained, progress))
    config = protocol.config
    domains = open_domains([*config.sources, *config.targets], config)
    data = data_section(domains, ["unseen in turn"] * len(domains))
    citations = {name: kind.citation for name, kind in METHODS.items()}
    cited = [[titles()[m], citations[m]] for m in protocol.methods if citations[m]]
    methods = Section("Methods", tables=[Table("Where they come from", [["", ""], *cited])] if cited else [])
    methods.notes.append("Methods not named here are ANRL (Liu et al., ACM MM 2021) or a part of it.")
    return [*sections, data, methods, Section("Configuration", code=[to_yaml(config)])]


def _inside(
    protocol: LeaveOneDomainOut, unseen: str, seed: int, methods: list[str], progress: Progress | None
) -> Section:
    """Section of feature maps of some methods side by side, and the gates of the adaptive one."""
    section = Section(f"Inside the networks, {unseen} unseen, seed {seed}")
    features = {}
    for number, method in enumerate(methods):
        cell = Cell(unseen, method, seed)
        config = protocol.cell_config(cell)
        device = pick_device(config.device)
        targets = open_domains(config.targets, config)
        domains = [*targets, *open_domains(config.sources, config)]
        if progress is not None:
            progress(number, len(methods), f"features of {titles()[method]}")
        try:
            model = Checkpoint.read(protocol.run_folder(cell).best).model().to(device)
            features[titles()[method]] = [
                video_features(model, domain, config.transform, device) for domain in domains
            ]
        except FloatingPointError as error:
            section.warnings.append(f"{titles()[method]}: {error}.")
            continue
        if method == methods[-1] and config.model.norm == "adaptive":
            show_gates(section, model, domains, config)
    if features:
        show_features(section, features, domains, targets)
    return section
