"""Folder trees of images whose folders are named after the classes."""

import os
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from posixpath import normpath

from anrl.data.record import (
    CLASS_FOLDERS,
    SPECIES_FOLDERS,
    Record,
    apply_depth_rule,
    make_record,
    plain,
    videos_from_folders,
)
from anrl.errors import DataError

_IMAGES = (".jpg", ".jpeg", ".png")
_SHOWN = 3
"""Examples of each kind of file that is left out."""


def read_folder(
    folder: str | Path, *, depth_rule: str | None = None, attack_folders: bool = False
) -> list[Record]:
    """List the images (JPEG, PNG) of a folder tree whose folders are named after the classes.

    A folder called live, real, bonafide, genuine or client has bona fide samples; one called attack, spoof,
    fake, imposter, print, replay or mask has attacks. The video of an image is its folder, as of
    :func:`anrl.data.read_list`. A folder print, replay, mask, photo,
    video, cut, warped, paper, display or screen names the species of attacks. Links to folders are followed.
    A warning counts files of other kinds, and hidden ones, which are left out.

    Args:
        folder: The tree; paths are relative to it.
        depth_rule: As of :func:`anrl.data.read_list`; the files it names are not taken for samples.
        attack_folders: Whether every folder right below one of attacks names a species.

    Raises:
        DataError: there are no images, or one lies in no such folder, or in folders of both classes, or a
            file's name is not UTF-8.
    """
    folder = Path(folder)
    images: list[PurePosixPath] = []
    others: list[PurePosixPath] = []
    for path in _walk(folder):
        hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
        is_image = path.suffix.lower() in _IMAGES and not hidden
        (images if is_image else others).append(path)
    try:
        depths = {normpath(apply_depth_rule(depth_rule, str(p))) for p in images} if depth_rule else set()
    except ValueError as error:
        raise DataError(f"{folder}: {error}") from None
    records = [
        _record(folder, path, depth_rule, attack_folders) for path in images if path.as_posix() not in depths
    ]
    if not records:
        raise DataError(f"{folder}: there are no JPEG or PNG images in it")
    others = [path for path in others if path.as_posix() not in depths]
    if others:
        warnings.warn(f"{folder}: left out {_describe(others)}", stacklevel=2)
    return videos_from_folders(records)


def _walk(folder: Path) -> Iterator[PurePosixPath]:
    """Yield the files of a tree in the order of their paths, links to folders followed once."""
    paths: list[PurePosixPath] = []
    visited = set()
    for here, folders, files in os.walk(folder, followlinks=True):
        place = os.path.realpath(here)
        if place in visited:
            folders.clear()
            continue
        visited.add(place)
        for name in files:
            path = Path(here, name).relative_to(folder)
            try:
                str(path).encode()
            except UnicodeEncodeError:
                shown = os.fsencode(path).decode(errors="backslashreplace")
                raise DataError(f"{folder}/{shown}: the name is not UTF-8; rename the file") from None
            paths.append(PurePosixPath(path))
    yield from sorted(paths)


def _record(folder: Path, path: PurePosixPath, depth_rule: str | None, attack_folders: bool) -> Record:
    parts = path.parts[:-1]
    places = _class_places(parts)
    if not places[0] and not places[1]:
        # Perhaps the folder itself is that of a class.
        parts = (folder.resolve().name, *parts)
        places = _class_places(parts)
    if bool(places[0]) == bool(places[1]):
        raise DataError(
            f"{folder / path}: cannot tell what it is; one of the folders above it must be called "
            f"{', '.join(CLASS_FOLDERS[0])} (bona fide), or {', '.join(CLASS_FOLDERS[1])} (attack)"
        )
    label = 1 if places[1] else 0
    attack = _species(parts, places[1][0], attack_folders) if label else ""
    return make_record({"path": str(path), "label": str(label), "attack": attack}, depth_rule)


def _class_places(parts: tuple[str, ...]) -> dict[int, list[int]]:
    return {label: [i for i, p in enumerate(parts) if plain(p) in CLASS_FOLDERS[label]] for label in (0, 1)}


def _species(parts: tuple[str, ...], first: int, attack_folders: bool) -> str:
    """The species that the folders name, the first of them that is one of attacks; empty if none does."""
    if plain(parts[first]) in SPECIES_FOLDERS:
        return parts[first]
    below = parts[first + 1 : first + 2]
    if below and (attack_folders or plain(below[0]) in SPECIES_FOLDERS):
        return below[0]
    return ""


def _describe(paths: list[PurePosixPath]) -> str:
    """Count files by kind, with examples."""

    def kind(path: PurePosixPath) -> str:
        if "__MACOSX" in path.parts:
            return "in __MACOSX"
        if any(part.startswith(".") for part in path.parts):
            return "hidden"
        return path.suffix.lower() or "without suffix"

    counts = Counter(map(kind, paths))
    texts = []
    for name, count in sorted(counts.items()):
        examples = [path.as_posix() for path in paths if kind(path) == name][:_SHOWN]
        texts.append(f"{count} {name} ({', '.join(examples)}{', …' if count > _SHOWN else ''})")
    return f"{len(paths)} files that are no JPEG or PNG images: {'; '.join(texts)}"
