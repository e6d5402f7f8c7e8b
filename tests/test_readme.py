"""The README's examples are true."""

import re
from pathlib import Path

import yaml

from anrl.config import load_config

README = (Path(__file__).parent.parent / "README.md").read_text()


def blocks(language):
    found = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert found
    return found


def test_python_examples_run():
    for block in blocks("python"):
        names = {}
        exec(block, names)
        if "score" in names:
            assert names["score"].shape == (4,)


def test_configuration_example_is_valid():
    for block in blocks("yaml"):
        config = load_config(yaml.safe_load(block))
        assert len(config.sources) == 3 and config.transform.image_size == 64
