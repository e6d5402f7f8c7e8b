"""The simulated benchmark, made where a command needs it."""

from pathlib import Path

from anrl.cli.console import progress_bar
from anrl.data import pack, read_list
from anrl.synth import DOMAINS, demo_faces, synthesize
from anrl.synth.build import LIST_NAME

NAMES = [domain.name for domain in DOMAINS]


def simulated_packs(data: Path, seed: int, quick: bool) -> Path:
    """The folder with a pack for each domain, ``NAME.lmdb``; made if they are not there."""
    size = {"clips": 2, "frames": 2} if quick else {"clips": 8, "frames": 4}
    if not data.exists():
        faces = demo_faces()
        with progress_bar("simulating captures") as report:
            synthesize(data, faces, seed=seed, **size, progress=report)
    for name in NAMES:
        path = data / f"{name}.lmdb"
        if not path.exists():
            pack(path, read_list(data / name / LIST_NAME), root=data / name, name=name)
    return data
