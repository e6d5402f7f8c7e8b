"""The networks that come with the package: their files, and parity with TensorFlow Lite's runtime."""

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest

from anrl import _anrl
from anrl.errors import DataError
from anrl.faces import mesh_triangles
from anrl.faces.networks import FULL_RANGE, GEOMETRY, MESH, SHORT_RANGE, read_weights

NOTICE = (Path(__file__).parents[2] / "NOTICE").read_text()


@pytest.mark.parametrize("name", [SHORT_RANGE, FULL_RANGE, MESH, GEOMETRY])
def test_files_are_those_of_the_notice(name):
    content = read_weights(name)
    start, end, length, digest = re.search(
        rf"\[(\d+):(\d+)\] {re.escape(name)} \(([\d,]+) bytes\).*\n\s+sha256 (\w+)", NOTICE
    ).groups()
    assert len(content) == int(length.replace(",", "")) == int(end) - int(start)
    assert hashlib.sha256(content).hexdigest() == digest


def inputs(size):
    """Noise, constants and a picture, as the networks are never sure of one kind alone."""
    generator = np.random.default_rng(0)
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    picture = np.stack([np.sin(9 * x * y), np.cos(4 * x), np.exp(-4 * (x**2 + y**2))], -1)
    noise = generator.uniform(-1, 1, (2, size, size, 3))
    return [a.astype(np.float32) for a in (*noise, picture, np.zeros_like(picture), np.ones_like(picture))]


@pytest.mark.parametrize(
    ("name", "size", "lengths"),
    [(SHORT_RANGE, 128, [14336, 896]), (FULL_RANGE, 192, [36864, 2304]), (MESH, 192, [1404, 1])],
)
def test_outputs_are_those_of_litert(name, size, lengths):
    litert = pytest.importorskip(
        "ai_edge_litert.interpreter", reason="needs ai-edge-litert (pip install 'anrl[test]')"
    )
    content = read_weights(name)
    network = _anrl.FaceNetwork(content)
    interpreter = litert.Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    for image in inputs(size):
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[None])
        interpreter.invoke()
        expected = [interpreter.get_tensor(out["index"]).ravel() for out in interpreter.get_output_details()]
        outputs = network.run(image)
        assert [len(output) for output in outputs] == lengths
        for ours, theirs in zip(outputs, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-3)


def test_a_second_run_sees_nothing_of_the_first():
    network = _anrl.FaceNetwork(read_weights(MESH))
    first, second = inputs(192)[:2]
    before = network.run(first)
    network.run(second)
    for a, b in zip(before, network.run(first), strict=True):
        np.testing.assert_array_equal(a, b)


def test_damaged_and_foreign_files_are_refused():
    content = read_weights(SHORT_RANGE)
    for damaged in (b"", b"TFL3", content[:1000], b"no network at all"):
        with pytest.raises(DataError, match="not a TFLite file"):
            _anrl.FaceNetwork(damaged)
    for wrong in ((MESH, FULL_RANGE, MESH), (SHORT_RANGE, SHORT_RANGE, MESH)):
        with pytest.raises(DataError, match="not the face detector"):
            _anrl.FaceFinder(*map(read_weights, wrong))
    with pytest.raises(DataError, match="not the face mesh"):
        _anrl.FaceFinder(content, read_weights(FULL_RANGE), content)
    with pytest.raises(ValueError, match=r"\(128, 128, 3\)"):
        _anrl.FaceNetwork(content).run(np.zeros((64, 64, 3), np.float32))


def test_triangles_cover_all_points_once_read():
    triangles = mesh_triangles()
    assert triangles.shape == (898, 3)
    assert set(triangles.ravel().tolist()) == set(range(468))
    assert not triangles.flags.writeable
