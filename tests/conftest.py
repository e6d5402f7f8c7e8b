"""What several tests share."""

import os

import hypothesis
import pytest

from anrl.config import load_config
from anrl.data import pack, read_list
from anrl.deploy import Limits, export
from anrl.training import train
from support.images import write_domain
from support.training import settings

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


@pytest.fixture(scope="session")
def trained(packs, tmp_path_factory):
    """The best checkpoint of a run of seconds, to be read only."""
    return train(load_config(settings(packs, tmp_path_factory.mktemp("run"), epochs=1)))


@pytest.fixture(scope="session")
def exported(trained, tmp_path_factory):
    """Its export, which takes crops of 16 pixels and more, to be read only."""
    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    return export(trained, path, limits=Limits(min_size=16), license="research only")
