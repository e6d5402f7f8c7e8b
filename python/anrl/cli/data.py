"""``anrl synth``, ``anrl pack``, ``anrl verify`` and ``anrl inspect``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer
from rich.table import Table

from anrl.cli.console import console, errors, progress_bar
from anrl.errors import DataError

if TYPE_CHECKING:
    from anrl.data import Domain
    from anrl.data.pack import ImageFormat

Columns = Annotated[
    str | None,
    typer.Option(
        help="Columns of the lists, if they do not name them: 'path label depth subject video attack'."
    ),
]
DepthRule = Annotated[
    str | None,
    typer.Option(help="Where the depth map of a live image lies, for example '{folder}/{stem}_depth.jpg'."),
]
Lists = Annotated[
    list[Path] | None, typer.Option("--list", help="List files, for a pack of the official layout.")
]


def open_domain(path: Path, lists: list[Path] | None, columns: str | None, depth_rule: str | None) -> Domain:
    """Open a domain with a command's options."""
    from anrl.data import Domain

    return Domain.open(path, lists or (), columns=_split(columns), depth_rule=depth_rule)


def _split(columns: str | None) -> list[str] | None:
    return columns.split() if columns else None


def synth(
    out: Annotated[Path, typer.Argument(help="Folder to create.")],
    faces: Annotated[
        Path | None, typer.Option(help="Folder of face photographs, a subfolder for each person.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same files.")] = 0,
    clips: Annotated[int, typer.Option(min=2, help="Live clips of a person, and as many attacks.")] = 4,
    frames: Annotated[int, typer.Option(min=1, help="Frames of a clip.")] = 4,
) -> None:
    """Build a benchmark of simulated captures: four domains, real faces, simulated prints and replays."""
    from anrl.synth import LIST_NAME, demo_faces, read_faces, synthesize

    photographs = read_faces(faces) if faces is not None else demo_faces()
    with progress_bar("simulating captures") as progress:
        names = synthesize(out, photographs, seed=seed, clips=clips, frames=frames, progress=progress)
    console.print(f"{out}: {', '.join(names)}", markup=False)
    console.print(f"next: anrl pack {out / names[0]}.lmdb {out / names[0] / LIST_NAME}", markup=False)


def pack(
    out: Annotated[Path, typer.Argument(help="Pack to create.")],
    sources: Annotated[
        list[Path],
        typer.Argument(
            help="List files ('path label …' a line), CSV files (filename, subject, attack_type), or folders "
            "whose subfolders are called live, real, …, attack, spoof, print, …"
        ),
    ],
    root: Annotated[
        Path | None,
        typer.Option(
            help="Folder that paths are relative to; by default each list's own. Keys of samples from "
            "several folders start where these part."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the domain; by default that of the pack.")] = None,
    columns: Columns = None,
    depth_rule: DepthRule = None,
    resize: Annotated[
        int | None, typer.Option(help="Side of the stored images in pixels; saves time in every epoch.")
    ] = None,
    depth_size: Annotated[
        int | None, typer.Option(help="Store depth maps of this side; by default an eighth of --resize.")
    ] = None,
    image_format: Annotated[
        str | None,
        typer.Option("--format", help="Store images anew as jpeg, png or raw (no decoding in training)."),
    ] = None,
    num_threads: Annotated[
        int | None, typer.Option(min=1, help="Threads that read and decode; by default one for every core.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option(help="Replace an existing pack; nothing else is ever replaced.")
    ] = False,
    on_error: Annotated[
        str, typer.Option(help="raise: refuse, naming every bad file. skip: leave its sample out.")
    ] = "raise",
    allow_missing_depth: Annotated[
        bool, typer.Option(help="Count depth maps that do not exist; training leaves them out.")
    ] = False,
    attack_folders: Annotated[
        bool, typer.Option(help="Every folder right below one of attacks names an attack species.")
    ] = False,
) -> None:
    """Pack image files into one LMDB file, with an index of labels, subjects, videos and attacks."""
    from anrl.data import Domain, read_sources
    from anrl.data import pack as write_pack

    records, base = read_sources(
        sources, root, columns=_split(columns), depth_rule=depth_rule, attack_folders=attack_folders
    )
    try:
        with progress_bar("packing") as progress:
            notes = write_pack(
                out,
                records,
                root=base,
                name=name,
                image_size=resize,
                depth_size=depth_size,
                image_format=cast("ImageFormat | None", image_format),
                num_threads=num_threads,
                overwrite=overwrite,
                on_error=cast("Literal['raise', 'skip']", on_error),
                allow_missing_depth=allow_missing_depth,
                progress=progress,
            )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    for note in notes:
        errors.print(f"anrl: {note}", markup=False, soft_wrap=True)
    packed = Domain.open(out)
    console.print(f"{out}: {len(packed)} samples", markup=False)
    for row in _describe(packed):
        console.print(f"  {': '.join(row)}", markup=False)


def _describe(domain: Domain) -> list[tuple[str, str]]:
    """Rows of what is known of a domain's samples."""
    records = domain.records
    kinds = Counter("bona fide" if r.label == 0 else f"attack {r.attack}".strip() for r in records)
    live = sum(r.label == 0 for r in records)
    with_depth = sum(r.depth is not None for r in records)
    return [
        *((kind, str(kinds[kind])) for kind in sorted(kinds)),
        ("subjects", _known([r.subject for r in records])),
        ("videos", _known([f"{r.subject} {r.video}" if r.video else "" for r in records])),
        ("depth maps", f"{with_depth} of {live} bona fide samples"),
        ("landmarks", str(sum(r.landmarks is not None for r in records))),
    ]


def _known(names: list[str]) -> str:
    count = sum(not name for name in names)
    known = str(len(set(names) - {""})) if count < len(names) else "unknown"
    return f"{known}, unknown for {count} samples" if 0 < count < len(names) else known


def verify(
    path: Annotated[Path, typer.Argument(help="Pack to check.")],
    lists: Lists = None,
    columns: Columns = None,
    depth_rule: DepthRule = None,
) -> None:
    """Verify a pack: read its structure, checksums, and every image to its last byte."""
    from anrl.data import verify as verify_pack

    with progress_bar("verifying") as progress:
        problems = verify_pack(
            path, lists or (), columns=_split(columns), depth_rule=depth_rule, progress=progress
        )
    for problem in problems:
        console.print(problem, style="red", markup=False, soft_wrap=True)
    if problems:
        raise typer.Exit(1)
    console.print(f"{path}: whole", markup=False)


def inspect(
    path: Annotated[Path, typer.Argument(help="Pack to describe.")],
    lists: Lists = None,
    columns: Columns = None,
    depth_rule: DepthRule = None,
    preview: Annotated[Path | None, typer.Option(help="PNG to write, with samples of every kind.")] = None,
) -> None:
    """Describe a pack: samples, subjects, videos and attacks, sizes."""
    from anrl.data.verify import has_index, pack_entries

    entries = pack_entries(path)
    table = Table(title=str(path), title_justify="left", show_header=False)
    table.add_row("entries", f"{len(entries)}, {sum(size for size in entries.values()) / 1e6:.1f} MB")
    if not lists and not has_index(path):
        table.add_row("index", "none: give the list files that belong to it with --list")
        for key, size in list(entries.items())[:5]:
            table.add_row("", f"{key} ({size} bytes)")
        console.print(table)
        return
    domain = open_domain(path, lists, columns, depth_rule)
    records = domain.records
    step = max(1, len(records) // 50)
    sizes = Counter(domain.read(i).image.shape[:2] for i in range(0, len(records), step))
    table.add_row("domain", domain.name)
    table.add_row("samples", str(len(records)))
    for name, value in _describe(domain):
        table.add_row(name, value)
    common = ", ".join(f"{w} x {h} ({n} of {sizes.total()} read)" for (h, w), n in sizes.most_common(3))
    table.add_row("image size", common)
    console.print(table)
    if preview is not None:
        from anrl.plots import plot_samples

        figure = plot_samples(domain)
        try:
            preview.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(preview, dpi=120)
        except OSError as error:
            raise DataError(f"{preview}: cannot be written: {error}") from None
        console.print(f"samples: {preview}", markup=False)
