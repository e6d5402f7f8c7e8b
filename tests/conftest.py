"""What several tests share."""

import os

import hypothesis
import pytest

from anrl.data import pack, read_list
from support.images import write_domain

# Every run by hand tries other examples; an automatic one must not fail by chance.
hypothesis.settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")


@pytest.fixture(scope="session")
def packs(tmp_path_factory):
    """Four packs of tiny captures, to be read only."""
    folder = tmp_path_factory.mktemp("packs")
    paths = []
    for k in range(4):
        file = write_domain(folder / f"data{k}", subjects=6, frames=2, seed=1000 * k)
        pack(folder / f"{k}.lmdb", read_list(file), root=file.parent)
        paths.append(folder / f"{k}.lmdb")
    return paths
