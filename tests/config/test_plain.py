"""Configurations of strangers are plain data: nothing in them is resolved, built or repeated without end."""

import time

import pytest

from anrl.config import load_config
from anrl.config.plain import parse_plain_yaml
from anrl.config.schema import to_yaml
from anrl.errors import ConfigError

SOURCES = [{"path": "a"}, {"path": "b", "name": "1e-3"}, {"path": "2020-01-01", "name": "yes"}]
BOMB = "\n".join(["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40))])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "sources: [{name: '${oc.env:SECRET}'}]",
            r"sources\[0\]\.name: '\${oc.env:SECRET}' is an interpolation",
        ),
        ("'${oc.env:SECRET}': 1", "is an interpolation"),
        ("a: ${b}\nb: 1", "a: .* is an interpolation"),
        ("seed: !!python/object/apply:os.system [ls]", "line 1: tags .*python/object"),
        ("seed: !secret x", "line 1: tags"),
        (BOMB, "line 1: references"),
        ("a: " + "[" * 5000, "line 1: nested more than 12 deep"),
        ("a: " + "{b: " * 5000, "line 1: nested more than 12 deep"),
        ("- a\n- b", "expected `key: value` lines"),
        ("text", "expected `key: value` lines"),
        ("", "expected `key: value` lines"),
        ("a: [1, 2", "broken YAML"),
        ("a: 2020-13-45", "broken YAML"),
        ("a: \x01", "broken YAML"),
        ("? [a]\n: 1", "broken YAML"),
        ("a: " + "x" * 200_000, "200003 characters"),
    ],
)
def test_only_plain_yaml_is_read_from_strangers_in_bounded_time(text, message, monkeypatch):
    monkeypatch.setenv("SECRET", "s3cr3t")
    started = time.monotonic()
    with pytest.raises(ConfigError, match=message) as caught:
        parse_plain_yaml(text)
    assert time.monotonic() - started < 5 and "s3cr3t" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_what_is_stored_is_resolved_and_read_again_as_it_was(tmp_path, monkeypatch):
    monkeypatch.setenv("PACKS", "/packs")
    file = tmp_path / "config.yaml"
    file.write_text(
        "data: ${oc.env:PACKS}\n"
        "sources: [{path: a}, {path: b, name: '1e-3'}, {path: '2020-01-01', name: 'yes'}]\n"
        "optimizer: {lr: 1e-300, weight_decay: 1e22, options: {betas: [0.5, 0.9]}}\n"
        "transform: {mean: [0.1, 0.2, 0.3], color: rgb}\n"
    )
    config = load_config(file)
    assert config.data == "/packs" and "oc.env" not in to_yaml(config)
    assert load_config(parse_plain_yaml(to_yaml(config))) == config
    stored = tmp_path / "stored.yaml"
    stored.write_text(to_yaml(config))
    assert load_config(stored) == config


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.width=.nan", "model.width: nan is not a finite number"),
        ("model.width=.inf", "model.width: inf is not a finite number"),
        ("model.width=1e9", r"model.width: 1000000000.0 is not positive and at most 16.0"),
        ("model.width=0", "model.width: 0.0 is not positive"),
        ("seed=-1", r"seed: -1 is not in \[0, 2\^63\)"),
        (f"seed={2**70}", r"seed: \d+ is not in"),
        ("transform.image_size=1000000000", "transform.image_size: 1000000000 is more than 1024"),
        ("optimizer.lr=.nan", "optimizer.lr: nan is not a finite number"),
        ("optimizer.options={momentum: .inf}", "optimizer.options.momentum: inf is not a finite number"),
        ('sources.0.name="a\\0b"', r"sources\[0\].name: .* NUL character"),
        ("data='${nothing}'", "Interpolation key 'nothing' not found"),
    ],
)
def test_numbers_and_texts_that_no_run_can_use_are_named(override, message):
    with pytest.raises(ConfigError, match=message):
        load_config({"sources": SOURCES}, [override])


def test_an_override_may_refer_to_another_key():
    assert (
        load_config({"sources": SOURCES, "output_dir": "x"}, ["data='${output_dir}/packs'"]).data == "x/packs"
    )
