"""Packs of the simulated benchmark, built where a command needs them."""

from pathlib import Path

from anrl.cli.console import progress_bar
from anrl.synth import DOMAIN_NAMES

QUICK_REMARK = "A quick run trains for seconds: its results mean nothing but that everything runs."
"""Stands on every page and table of a quick run."""


def simulated_packs(data: Path, seed: int, quick: bool) -> Path:
    """Return the folder of the packs ``NAME.lmdb``, one for each domain; build those that are missing."""
    from anrl.data import pack, read_list
    from anrl.synth import LIST_NAME, demo_faces, synthesize

    size = {"clips": 2, "frames": 2} if quick else {"clips": 8, "frames": 4}
    if not data.exists():
        faces = demo_faces()
        with progress_bar("simulating captures") as progress:
            synthesize(data, faces, seed=seed, **size, progress=progress)
    for name in DOMAIN_NAMES:
        path = data / f"{name}.lmdb"
        if not path.exists():
            pack(path, read_list(data / name / LIST_NAME), root=data / name, name=name)
    return data
