"""The commands for data: their options reach the functions, and they print what they should."""

import subprocess
import sys

import lmdb
import pytest

import anrl
from anrl.config import protocol_names
from anrl.data import Domain, decode_image
from anrl.methods import METHODS
from support.images import encode, photograph, write_domain
from support.training import cli


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    file = write_domain(folder / "data")
    pack = folder / "tiny.lmdb"
    options = ["--format", "raw", "--resize", 16, "--depth-size", 8, "--num-threads", 1, "--name", "small"]
    done = cli("pack", pack, file, *options, check=0)
    assert "tiny.lmdb: 16 samples" in done.stdout
    return pack


def test_version():
    done = subprocess.run([sys.executable, "-m", "anrl", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"anrl {anrl.__version__}\n")


def test_names_in_help_are_those_of_the_tables():
    text = cli("train", "--help", check=0).stdout
    assert len(protocol_names()) == 7 and all(name in text for name in [*protocol_names(), *METHODS])


def test_pack_options_reach_the_pack(packed):
    domain = Domain.open(packed)
    sample = domain.read(0)
    assert domain.name == "small"
    assert sample.image.shape == (16, 16, 3) and sample.depth.shape == (8, 8)


def test_pack_refuses_an_unknown_format(tmp_path):
    file = write_domain(tmp_path / "data")
    done = cli("pack", tmp_path / "tiny.lmdb", file, "--format", "gif", check=2)
    assert "'jpeg', 'png' or 'raw', not 'gif'" in done.stderr
    assert not (tmp_path / "tiny.lmdb").exists()


def test_inspect_describes_and_draws_a_pack(packed, tmp_path):
    text = cli("inspect", packed, "--preview", tmp_path / "samples.png", check=0).stdout
    for part in ("small", "bona fide", "attack print", "attack replay", "16 x 16 (16 of 16 read)"):
        assert part in text
    assert decode_image(tmp_path / "samples.png").std() > 10


def test_verify_exits_with_1_on_damage(packed, tmp_path):
    assert "whole" in cli("verify", packed, check=0).stdout
    content = bytearray((packed / "data.mdb").read_bytes())
    key = Domain.open(packed).records[0].path
    image = Domain.open(packed).read(0).image.tobytes()
    start = bytes(content).index(image)
    content[start : start + 4] = b"\xff\x00\xff\x00"
    (tmp_path / "damaged.lmdb").mkdir()
    (tmp_path / "damaged.lmdb/data.mdb").write_bytes(content)
    done = cli("verify", tmp_path / "damaged.lmdb", check=1)
    assert f"{key}: is not what was packed" in done.stdout


def test_inspect_lists_keys_of_a_pack_without_index(tmp_path):
    environment = lmdb.open(str(tmp_path / "official.lmdb"))
    with environment.begin(write=True) as transaction:
        transaction.put(b"a.jpg", b"content")
    environment.close()
    text = cli("inspect", tmp_path / "official.lmdb", check=0).stdout
    assert "give the list files that belong to it with --list" in text and "a.jpg (7 bytes)" in text


def test_synth_refuses_a_folder_without_faces(tmp_path):
    done = cli("synth", tmp_path / "data", "--clips", 2, "--frames", 1, "--faces", tmp_path, check=2)
    assert "no face photographs" in done.stderr and not (tmp_path / "data").exists()


def tree(folder):
    """A folder of images by class, whose species has brackets in its name."""
    for name, seed in [("live/a.jpg", 0), ("live/b.jpg", 1), ("attack/[print]/a.jpg", 2), ("live/c.bmp", 3)]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encode(photograph(16, 16, seed=seed), "JPEG"))
    return folder


def test_pack_never_replaces_a_folder_of_images(tmp_path):
    data = tree(tmp_path / "data")
    before = {p: p.read_bytes() for p in data.rglob("*") if p.is_file()}
    for out in (data, tmp_path):
        done = cli("pack", out, data, "--overwrite", check=2)
        assert f"anrl: {out}: exists and is no pack of anrl's, so it is never replaced" in done.stderr
    assert before == {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}


def test_pack_says_what_is_known_and_what_was_left_out(tmp_path):
    data = tree(tmp_path / "data")
    done = cli("pack", tmp_path / "p.lmdb", data, "--attack-folders", check=0)
    assert (
        f"anrl: {data}: left out 1 files that are no JPEG or PNG images: 1 .bmp (live/c.bmp)" in done.stderr
    )
    for line in ("3 samples", "attack [print]: 1", "bona fide: 2", "subjects: unknown", "videos: unknown"):
        assert line in done.stdout
    done = cli("inspect", tmp_path / "p.lmdb", "--preview", tmp_path / "new/folder/p.png", check=0)
    assert "attack [print]" in done.stdout and (tmp_path / "new/folder/p.png").exists()
    (tmp_path / "file").write_text("mine")
    done = cli("inspect", tmp_path / "p.lmdb", "--preview", tmp_path / "file/p.png", check=2)
    assert done.stderr.startswith(f"anrl: {tmp_path}/file/p.png: cannot be written: ")


def test_pack_names_bad_files_in_full_or_skips_them(tmp_path):
    data = tree(tmp_path / "data")
    (data / "live/b.jpg").write_text("<html>")
    (data / "attack/[print]/z.png").write_bytes(b"")
    done = cli("pack", tmp_path / "p.lmdb", data, check=2)
    assert f"{data}/live/b.jpg: " in done.stderr and f"{data}/attack/[print]/z.png: " in done.stderr
    done = cli("pack", tmp_path / "p.lmdb", data, "--on-error", "skip", check=0)
    assert done.stderr.count("its sample is left out") == 2 and "2 samples" in done.stdout
    assert "Traceback" not in done.stderr
    done = cli("pack", tmp_path / "q.lmdb", data, "--on-error", "ignore", check=2)
    assert "on_error must be 'raise' or 'skip'" in done.stderr


def test_pack_takes_several_folders_each_with_its_own_root(tmp_path):
    one, two = tree(tmp_path / "one"), tree(tmp_path / "two")
    cli("pack", tmp_path / "p.lmdb", one, two, check=0)
    paths = {r.path for r in Domain.open(tmp_path / "p.lmdb").records}
    assert {"one/live/a.jpg", "two/live/a.jpg", "two/attack/[print]/a.jpg"} < paths and len(paths) == 6
