"""The folder of a pack: what is replaced, what never is, and what killed runs leave."""

import fcntl
import os
import signal
import subprocess
import sys

import pytest

from anrl.data import Domain, pack, read_list
from anrl.errors import DataError
from support.images import official_pack, packed_domain, write_domain


@pytest.fixture
def domain(tmp_path):
    return packed_domain(tmp_path)


def test_an_existing_pack_is_kept_unless_told(domain, tmp_path):
    records = read_list(tmp_path / "data/list.txt")[:4]
    before = (domain.path / "data.mdb").read_bytes()
    with pytest.raises(DataError, match="exists already"):
        pack(domain.path, records, root=tmp_path / "data")
    assert (domain.path / "data.mdb").read_bytes() == before
    pack(domain.path, records, root=tmp_path / "data", overwrite=True)
    assert len(Domain.open(domain.path)) == 4


def test_nothing_that_is_no_pack_is_replaced(domain, tmp_path):
    data = tmp_path / "data"
    records = read_list(data / "list.txt")
    (tmp_path / "text").write_text("mine")
    (tmp_path / "empty").mkdir()
    official_pack(tmp_path / "official", data, records)
    (domain.path / "notes.txt").write_text("mine")
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    for out in (data, tmp_path, tmp_path / "text", tmp_path / "empty", tmp_path / "official", domain.path):
        with pytest.raises(DataError, match="is no pack of anrl's, so it is never replaced"):
            pack(out, records, root=data, overwrite=True)
    assert before == {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    (domain.path / "notes.txt").unlink()
    # Through a link the pack is replaced, not the link.
    (tmp_path / "link").symlink_to(domain.path)
    pack(tmp_path / "link", records[:4], root=data, overwrite=True)
    assert (tmp_path / "link").is_symlink() and len(Domain.open(domain.path)) == 4


PACK_AND_DIE = """
import os, signal, sys
from anrl.data import pack, read_list
def die(done, total, message=""):
    if done == 5:
        if signal.{signal} != signal.SIGKILL:
            signal.signal(signal.{signal}, signal.SIG_DFL)  # a test run under nohup ignores SIGHUP
        os.kill(os.getpid(), signal.{signal})
        signal.pause()
pack(sys.argv[1], read_list(sys.argv[2]), root=sys.argv[3], overwrite=True, progress=die)
"""


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGHUP"])
def test_what_a_killed_run_leaves_is_cleared_by_the_next(domain, tmp_path, name):
    data, before = tmp_path / "data", (domain.path / "data.mdb").read_bytes()
    program = PACK_AND_DIE.format(signal=name)
    arguments = [sys.executable, "-c", program, domain.path, data / "list.txt", data]
    assert subprocess.run(arguments).returncode == -getattr(signal, name)
    assert (domain.path / "data.mdb").read_bytes() == before
    assert list(tmp_path.glob(".tiny.lmdb.building-*"))
    # A pack that was being replaced when the process died is brought back.
    domain.path.rename(tmp_path / ".tiny.lmdb.old-1")
    with pytest.raises(DataError, match="exists already"):
        pack(domain.path, read_list(data / "list.txt"), root=data)
    assert (domain.path / "data.mdb").read_bytes() == before
    pack(domain.path, read_list(data / "list.txt"), root=data, overwrite=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "tiny.lmdb"]


def test_a_build_of_another_process_is_left_alone(domain, tmp_path):
    other = tmp_path / ".tiny.lmdb.building-1"
    other.mkdir()
    descriptor = os.open(other, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    pack(domain.path, read_list(tmp_path / "data/list.txt"), root=tmp_path / "data", overwrite=True)
    assert other.exists()
    os.close(descriptor)
    pack(domain.path, read_list(tmp_path / "data/list.txt"), root=tmp_path / "data", overwrite=True)
    assert not other.exists()


def test_places_that_cannot_be_written_are_one_sentence(tmp_path):
    file = write_domain(tmp_path / "data", subjects=2, frames=1)
    (tmp_path / "file").write_text("mine")
    for name, message in [("x" * 250, "File name too long"), ("file/a", "Not a directory")]:
        out = tmp_path / name
        with pytest.raises(DataError, match=f"^{out}: {message}$"):
            pack(out, read_list(file), root=file.parent)
