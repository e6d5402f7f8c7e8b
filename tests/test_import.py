"""What a user meets first: the import, the version, the wrong torch."""

import subprocess
import sys
from importlib import metadata

import anrl


def test_version_is_the_packages():
    assert anrl.__version__ == metadata.version("anrl")


def test_another_torch_is_refused_in_one_sentence():
    code = "import torch; torch.__version__ = '2.99.1+cpu'; import anrl"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1 and last.startswith("ImportError: anrl")
    assert "2.13.0" in last and "2.99.1+cpu" in last and "pip install torch==2.13.0" in last


def test_label_convention_is_stated():
    assert "0 = bona fide" in anrl.__doc__ and "1 = attack" in anrl.__doc__
