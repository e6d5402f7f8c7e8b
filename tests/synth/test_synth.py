"""The simulated benchmark: reproducible, subjects apart, not solvable by brightness and color."""

import numpy as np
import pytest

from anrl.data import Domain, pack, read_list
from anrl.errors import DataError
from anrl.evaluation.score import scores_of
from anrl.methods.classical import ColorTexture, LowLevelStatistics
from anrl.metrics import auc
from anrl.synth import DOMAIN_NAMES, DOMAINS, demo_faces, read_faces, synthesize
from anrl.synth.shape import face_depth
from support.images import encode, photograph

NAMES = [d.name for d in DOMAINS]


def test_names_are_those_of_the_settings():
    assert NAMES == list(DOMAIN_NAMES)


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synth") / "data"
    synthesize(folder, demo_faces(), seed=1, clips=4, frames=1)
    return folder


def test_structure(benchmark):
    lists = {name: read_list(benchmark / name / "list.txt") for name in NAMES}
    subjects = [{r.subject for r in records} for records in lists.values()]
    assert sum(map(len, subjects)) == len(set.union(*subjects)) == 40
    for records in lists.values():
        assert len(records) == 80
        assert {r.attack for r in records} == {"", "print", "replay"}
        assert all((r.depth is not None) == (r.label == 0) for r in records)
    assert "AT&T Laboratories Cambridge" in (benchmark / "about.json").read_text()


@pytest.fixture(scope="module")
def domains(benchmark):
    for name in NAMES:
        pack(benchmark / f"{name}.lmdb", read_list(benchmark / name / "list.txt"), root=benchmark / name)
    return [Domain.open(benchmark / f"{name}.lmdb") for name in NAMES]


def unseen_aucs(baseline, domains):
    aucs = []
    for unseen in domains:
        model = baseline([d for d in domains if d is not unseen])
        aucs.append(auc(scores_of(unseen, model.score(unseen))))
    return aucs


def test_low_level_statistics_do_not_transfer(domains):
    assert max(unseen_aucs(LowLevelStatistics, domains)) < 0.65


def test_local_textures_transfer_in_part(domains):
    aucs = unseen_aucs(ColorTexture, domains)
    assert 0.65 < np.mean(aucs) < 0.95


def test_same_seed_same_files(tmp_path):
    faces = [f for f in demo_faces() if int(f.subject[1:]) <= 8]
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        synthesize(tmp_path / name, faces, seed=seed, clips=2, frames=2)
    assert contents(tmp_path / "a") == contents(tmp_path / "b") != contents(tmp_path / "c")


def test_faces_of_the_users_own(tmp_path):
    for s in range(8):
        (tmp_path / f"faces/person{s}").mkdir(parents=True)
        (tmp_path / f"faces/person{s}/1.png").write_bytes(encode(photograph(50, 40, seed=s)))
    (tmp_path / ".out.building-1/sim_home").mkdir(parents=True)  # a killed run left it
    synthesize(tmp_path / "out", read_faces(tmp_path / "faces"), clips=2, frames=1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["faces", "out"]
    records = read_list(tmp_path / "out/sim_home/list.txt")
    assert len(records) == 8 and "given by the user" in (tmp_path / "out/about.json").read_text()


def test_bad_input_is_named_and_leaves_nothing(tmp_path):
    with pytest.raises(DataError, match="no face photographs"):
        read_faces(tmp_path)
    for s in range(8):
        (tmp_path / f"{s}.png").write_bytes(encode(photograph(20, 20, seed=s)))
    faces = read_faces(tmp_path)
    with pytest.raises(DataError, match="7 subjects are too few"):
        synthesize(tmp_path / "out", faces[:7])
    (tmp_path / "3.png").write_bytes(b"damaged")
    with pytest.raises(DataError, match="3.png: not a readable image"):
        synthesize(tmp_path / "out", faces, clips=2, frames=1)
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".*"))
    (tmp_path / "out").mkdir()
    with pytest.raises(DataError, match="exists already"):
        synthesize(tmp_path / "out", faces)


def test_depth_is_smooth_and_in_range():
    depth = face_depth(64, 56)
    assert depth.min() == 0 and depth.max() == 1
    assert np.unravel_index(depth.argmax(), depth.shape)[1] in (27, 28)
