"""Folders that are written to: foreign files stay, and one process at a time writes."""

import errno
import signal
import subprocess
import sys

import pytest

from anrl.errors import ConfigError, DataError
from anrl.output_folder import claim, claim_file, locked, writing


def test_files_of_others_are_not_overwritten_and_own_ones_are(tmp_path):
    claim(tmp_path / "out", ["a.csv", "sub/b.png"])
    (tmp_path / "out/a.csv").write_text("ours")
    (tmp_path / "out/c.csv").write_text("theirs")
    claim(tmp_path / "out", ["a.csv"])
    with pytest.raises(DataError, match=r"out/c\.csv: is there already, and was not written here by anrl"):
        claim(tmp_path / "out", ["a.csv", "c.csv"])
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DataError, match="dangling: is there already"):
        claim_file(tmp_path / "dangling")


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file/under"):
        for use in (lambda f: claim(f, ["x"]), lambda f: locked(f).__enter__()):
            with pytest.raises(
                DataError, match=r"file.*: cannot be written \((File exists|Not a directory)\)"
            ):
                use(folder)


def test_a_full_disk_is_one_sentence():
    with pytest.raises(DataError, match=r"/dev/full: cannot be written \(No space left on device\)"):
        with writing("/dev/full"), open("/dev/full", "w") as stream:
            stream.write("x")
            try:
                stream.flush()
            finally:
                stream.detach()
    with (
        pytest.raises(DataError, match=r"page.html: cannot be written \(No space left"),
        writing("page.html"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_reader_who_stops_reading_is_no_full_disk():
    with pytest.raises(BrokenPipeError), writing("page.html"):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


def test_a_lock_is_for_one_and_ends_with_its_process(tmp_path):
    code = (
        "import sys, time\nfrom anrl.output_folder import locked\n"
        f"with locked({str(tmp_path / 'out')!r}):\n    print('locked', flush=True)\n    time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "locked\n"
        with pytest.raises(
            ConfigError, match=rf"process {process.pid} on .* is writing to .*out at this moment"
        ):
            locked(tmp_path / "out").__enter__()
        process.send_signal(signal.SIGKILL)
        process.wait()
    with locked(tmp_path / "out"):
        with pytest.raises(ConfigError, match="choose another folder"), locked(tmp_path / "out"):
            pass
