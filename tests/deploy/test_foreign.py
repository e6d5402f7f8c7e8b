"""Detectors of others, described in YAML: networks of their shapes, made here."""

import cv2
import numpy as np
import pytest
import skimage.data
import yaml
from onnx import TensorProto

from anrl.deploy import Detector, Face, shipped_descriptions
from anrl.errors import DataError
from support.exported import write_linear

GENERATOR = np.random.default_rng(0)
WEIGHTS = [GENERATOR.normal(0, 0.02, (3, 3)) for _ in range(2)]
BIASES = [GENERATOR.normal(0, 0.5, 3) for _ in range(2)]


def softmax(values):
    values = np.exp(values - values.max())
    return values / values.sum()


def described(folder, weight=WEIGHTS[0], options=None, **changes):
    """A model of three classes and its description; ``changes`` of None leave a key out."""
    write_linear(folder / "net.onnx", weight, BIASES[0][: weight.shape[1]], (16, 12), **(options or {}))
    content = {"networks": [{"file": "net.onnx"}], "size": [16, 12], "attack": [0, 2]} | changes
    content = {key: value for key, value in content.items() if value is not None}
    (folder / "net.yaml").write_text(yaml.safe_dump(content))
    return folder / "net.yaml"


@pytest.fixture
def silent_face(tmp_path):
    """The description that ships, beside two small networks of the shapes it speaks of."""
    source = shipped_descriptions()["silent_face"]
    path = tmp_path / source.name
    path.write_text(source.read_text())
    for k, entry in enumerate(yaml.safe_load(source.read_text())["networks"]):
        write_linear(tmp_path / entry["file"], WEIGHTS[k], BIASES[k], (80, 80), batch=1)
    return path


def test_silent_face_is_fed_and_read_as_its_authors_do(silent_face):
    detector = Detector.load(silent_face)
    photo = skimage.data.astronaut()
    for box in ((175, 70, 275, 195), (5, 8, 60, 90), (430, 400, 512, 512), (100, 100, 400, 380)):
        live = []
        for k, margin in enumerate((2.7, 4.0)):
            left, top, right, bottom = detector.members[k].crop.region(Face(box), 512, 512)
            crop = cv2.resize(photo[top:bottom, left:right, ::-1], (80, 80)).astype(np.float64)
            live.append(softmax(crop.mean((0, 1)) @ WEIGHTS[k] + BIASES[k])[1])
            assert detector.members[k].crop.margin == margin
        prediction = detector.predict(photo, box)
        assert prediction.score == pytest.approx(1 - np.mean(live), abs=1e-5)
        assert prediction.verdict == ("attack" if np.mean(live) <= 0.5 else "bona fide")
    with pytest.raises(ValueError, match="a crop around the face's box: give the face"):
        detector.predict(photo)


def test_every_key_reaches_the_network(tmp_path):
    photo = np.ascontiguousarray(skimage.data.coffee()[:60, :80])
    resized = cv2.resize(photo, (16, 12)).astype(np.float64)
    path = described(
        tmp_path,
        scale=1 / 255,
        mean=[0.4, 0.5, 0.6],
        std=[0.2, 0.3, 0.4],
        layout="NHWC",
        weight=WEIGHTS[0] * 50,
        options={"layout": "NHWC"},
        threshold={"value": 0.3, "criterion": "eer", "data": "mine"},
        limits={"min_size": 61},
        name="Mine",
    )
    detector = Detector.load(path)
    values = ((resized / 255 - [0.4, 0.5, 0.6]) / [0.2, 0.3, 0.4]).mean((0, 1)) @ (WEIGHTS[0] * 50) + BIASES[
        0
    ]
    prediction = detector.predict(photo)
    assert prediction.score == pytest.approx(1 - softmax(values)[1], abs=1e-5)
    assert prediction.reason.startswith("too small: 60 pixels") and prediction.threshold.data == "mine"
    assert detector.contract.notes["name"] == "Mine"


def test_one_output_with_a_sigmoid_and_levels_of_8_bits(tmp_path):
    path = described(
        tmp_path,
        weight=WEIGHTS[0][:, :1],
        attack=None,
        bona_fide=[0],
        activation="sigmoid",
        options={"dtype": TensorProto.UINT8},
    )
    photo = skimage.data.chelsea()
    logit = cv2.resize(photo, (16, 12)).astype(np.float64).mean((0, 1)) @ WEIGHTS[0][:, 0] + BIASES[0][0]
    assert Detector.load(path).predict(photo).score == pytest.approx(1 / (1 + np.exp(logit)), abs=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": "BGR"}, r"net.yaml: unknown key 'colour'; did you mean color\?"),
        ({"size": None}, "net.yaml: the key 'size' is missing"),
        ({"size": [16]}, r"size must have 2 fitting numbers, not \[16\]"),
        ({"size": "80"}, "size must have 2 fitting numbers"),
        ({"color": "YUV"}, "color must be one of RGB, BGR, not 'YUV'"),
        ({"layout": "CHW"}, "layout must be one of NCHW, NHWC"),
        ({"std": 0}, "std must have 1 or 3 fitting numbers"),
        ({"mean": [1, 2]}, "mean must have 1 or 3 fitting numbers"),
        ({"bona_fide": [1]}, "either 'attack' or 'bona_fide'"),
        ({"attack": None}, "either 'attack' or 'bona_fide'"),
        ({"attack": [1.5]}, r"attack must be a list of indices of classes, not \[1.5\]"),
        ({"networks": []}, "networks must be a list of mappings"),
        ({"networks": [{"path": "net.onnx"}]}, r"networks\[0\]: has file, crop and margin, not path"),
        ({"networks": [{"file": "net.onnx", "crop": "box"}]}, r"networks\[0\]: margin .* at least 1, not 0"),
        ({"networks": [{"file": "no.onnx"}]}, "no.onnx: there is no such file"),
        ({"threshold": 0.5}, "threshold must be a mapping"),
        ({"threshold": {"value": "high"}}, "threshold or limits: "),
        ({"limits": {"min_sise": 3}}, "threshold or limits: .*min_sise"),
        ({"limits": {"min_size": -3}}, "min_size must be a number of at least 0, not -3"),
        ({"attack": [3]}, r"net.onnx: the description says classes \[3\], but .* shape \(1, 3\)"),
        ({"output": "probs"}, "says output 'probs', but the model has the outputs logits"),
        ({"layout": "NHWC"}, "says size 16 x 12 in NHWC, but the model has an input"),
        ({"size": [12, 16]}, "says size 12 x 16 in NCHW, but the model has an input"),
        ({"activation": "none"}, "says activation none, but .* no probability"),
    ],
)
def test_a_description_that_does_not_fit_is_refused_in_one_sentence(changes, message, tmp_path):
    path = described(tmp_path)
    assert 0 < Detector.load(path).predict(skimage.data.chelsea()).score < 1
    with pytest.raises(DataError, match=message) as failure:
        Detector.load(described(tmp_path, **changes))
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize("content", [b"- a\n- b\n", b"a: [", b"\xff\xfe\x00", b"", b"3"])
def test_what_is_no_description_is_refused(content, tmp_path):
    (tmp_path / "a.yaml").write_bytes(content)
    with pytest.raises(DataError, match="a.yaml: (not a readable YAML file|describes no model)") as failure:
        Detector.load(tmp_path / "a.yaml")
    assert "\n" not in str(failure.value)
