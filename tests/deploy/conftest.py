"""A trained checkpoint and its export, once for all tests of deployment."""

import pytest

from anrl.config import load_config
from anrl.deploy import Limits, export
from anrl.training import train
from support.training import settings


@pytest.fixture(scope="session")
def trained(packs, tmp_path_factory):
    """The best checkpoint of a run of seconds, to be read only."""
    return train(load_config(settings(packs, tmp_path_factory.mktemp("run"), epochs=1)))


@pytest.fixture(scope="session")
def exported(trained, tmp_path_factory):
    """Its export, which takes crops of 16 pixels and more, to be read only."""
    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    return export(trained, path, limits=Limits(min_size=16), license="research only")
