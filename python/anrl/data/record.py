"""Records of samples, and the rules that every source of them shares: labels, attack species, depth maps."""

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

CLASS_FOLDERS = {
    0: ("live", "real", "bonafide", "genuine", "client"),
    1: ("attack", "attacks", "spoof", "fake", "imposter", "impostor", "print", "replay", "mask"),
}
"""Names of the classes' folders in public data sets, in lower case without - and _."""

SPECIES_FOLDERS = ("print", "replay", "mask", "photo", "video", "cut", "warped", "paper", "display", "screen")
"""Names of folders of attack species."""

_NO_ATTACK = (*CLASS_FOLDERS[0], "0", "none", "nan", "null", "na", "n/a")
"""Words that stand for a bona fide sample, or for nothing, where an attack species belongs."""


@dataclass(frozen=True)
class Record:
    """Metadata of one sample: file, label, subject, video and attack species."""

    path: str
    """Path of the image relative to the list's root; also the key in the pack."""
    label: int
    """0 = bona fide, 1 = attack."""
    depth: str | None = None
    """Path of the depth map; None for attacks, whose depth is zero, or where there is no map."""
    subject: str = ""
    """Identity of the person; empty if unknown."""
    video: str = ""
    """Video of the frame; scores are averaged over it. Empty if unknown."""
    attack: str = ""
    """Attack species (print, replay, …); empty for bona fide samples or if unknown."""
    landmarks: tuple[float, ...] | None = None
    """x1 y1 … x5 y5 in pixels."""


def plain(name: str) -> str:
    """Reduce a name to lower case without - and _, for comparison."""
    return name.lower().replace("-", "").replace("_", "")


def make_record(
    values: Mapping[str, str],
    depth_rule: str | None = None,
    landmarks: tuple[float, ...] | None = None,
) -> Record:
    """Make a record of the texts of a line's columns; empty texts are unknown values.

    Raises:
        ValueError: no path, a label other than 0 and 1, an attack species that is none or contradicts the
            label, or a wrong depth rule; the message names the column.
    """
    path, label, attack = values["path"], values["label"], values.get("attack", "")
    if not path:
        raise ValueError("no path of an image")
    if label not in ("0", "1"):
        raise ValueError(f"label must be 0 (bona fide) or 1 (attack), not {label!r}")
    if plain(attack) in _NO_ATTACK:
        raise ValueError(
            f"column 'attack': {attack!r} is no attack species; leave it empty (in a list file: -) for bona "
            "fide samples"
        )
    if attack and label == "0":
        raise ValueError(
            f"label 0 (bona fide) contradicts the attack species {attack!r}; correct one of them"
        )
    depth = values.get("depth", "")
    if not depth and depth_rule is not None:
        depth = apply_depth_rule(depth_rule, path)
    return Record(
        path=path,
        label=int(label),
        depth=depth if depth and label == "0" else None,
        subject=values.get("subject", ""),
        video=values.get("video", ""),
        attack=attack,
        landmarks=landmarks,
    )


def apply_depth_rule(rule: str, path: str) -> str:
    """Fill the folder, stem and suffix of an image's path into a rule.

    Raises:
        ValueError: the rule names something else.
    """
    image = PurePosixPath(path)
    try:
        return rule.format(folder=image.parent, stem=image.stem, suffix=image.suffix)
    except (KeyError, IndexError, ValueError):
        raise ValueError(
            f"the depth rule {rule!r} may only name {{folder}}, {{stem}} and {{suffix}}"
        ) from None


def videos_from_folders(records: Sequence[Record]) -> list[Record]:
    """Take the folder of an image for its video, where no video is given and the folder can be one.

    It cannot if it is called after a class or an attack species (live, attack, print, …) or has samples of
    both classes, or if no class has more than one such folder: then nothing is known of videos.
    """
    labels: dict[str, list[int]] = {}
    for record in records:
        if not record.video:
            labels.setdefault(_folder(record), []).append(record.label)
    names = {plain(record.attack) for record in records}.union(*CLASS_FOLDERS.values(), SPECIES_FOLDERS)
    videos = {
        folder: kinds
        for folder, kinds in labels.items()
        if len(set(kinds)) == 1 and folder != "." and plain(PurePosixPath(folder).name) not in names
    }
    per_class = Counter(kinds[0] for kinds in videos.values())
    if max(per_class.values(), default=0) == 1 and any(len(kinds) > 1 for kinds in videos.values()):
        videos = {}
    return [
        replace(record, video=_folder(record)) if not record.video and _folder(record) in videos else record
        for record in records
    ]


def warn_of_depth_maps(file: str | Path, attacks: int) -> None:
    """Warn that the depth maps which a file names for attacks are not used."""
    if attacks:
        warnings.warn(
            f"{file}: the depth maps of {attacks} attacks are not used: an attack's depth is zero",
            stacklevel=3,
        )


def _folder(record: Record) -> str:
    return PurePosixPath(record.path).parent.as_posix()
