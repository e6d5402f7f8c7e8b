"""Detectors: without torch, from several threads, and reasons instead of verdicts."""

import io
import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
import skimage.data
from PIL import Image

import anrl
from anrl.deploy import Contract, CropRule, Detector, Face, Prediction, Threshold
from anrl.deploy.detector import Member
from anrl.errors import ConfigError, DataError
from support.images import encode, photograph


def photo(height=60, width=70, seed=0):
    return photograph(height, width, seed=seed)


def test_a_slim_installation_needs_no_torch(exported, tmp_path):
    (tmp_path / "a.png").write_bytes(encode(photo()))
    code = f"""
import sys, importlib.abc
from importlib import metadata

class NotInstalled(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        blocked = ("torch", "scipy", "omegaconf", "safetensors", "sklearn", "skimage", "typer", "rich",
                   "onnx", "onnxscript", "yaml", "matplotlib", "jinja2")
        if name.partition(".")[0] in blocked or name == "anrl._anrl":
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

version = metadata.version
def installed(name):
    if name == "torch":
        raise metadata.PackageNotFoundError(name)
    return version(name)

metadata.version = installed
sys.meta_path.insert(0, NotInstalled())
from anrl.deploy import Detector
prediction = Detector.load({str(exported)!r}).predict({str(tmp_path / "a.png")!r})
assert prediction.verdict in ("bona fide", "attack"), prediction
import anrl
assert anrl.Detector is Detector
print(prediction.score)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(Detector.load(exported).predict(photo()).score, abs=1e-6)


def test_an_export_is_judged_without_importing_torch(exported):
    code = f"""
import sys
import numpy as np
from anrl.deploy import Detector
Detector.load({str(exported)!r}).predict(np.full((40, 40, 3), 100, np.uint8))
third = {{name.partition(".")[0] for name in sys.modules}} & {{"torch", "scipy", "omegaconf", "onnx", "yaml"}}
assert not third and "anrl._anrl" not in sys.modules, third
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_arrays_files_pillow_and_lists_are_one(exported, tmp_path):
    detector = anrl.Detector.load(exported)
    pixels = photo()
    first = detector.predict(pixels)
    (tmp_path / "a.png").write_bytes(encode(pixels))
    assert detector.predict(tmp_path / "a.png") == detector.predict(str(tmp_path / "a.png")) == first
    assert detector.predict(Image.fromarray(pixels)) == first
    several = detector.predict([pixels, photo(seed=1)], where=["whole", (2, 3, 50, 40)])
    assert several == [first, detector.predict(photo(seed=1)[3:40, 2:50])]
    assert first.threshold == detector.threshold and 0 <= first.score <= 1


def test_exif_turns_a_photograph_upright(exported, tmp_path):
    pixels, exif = photo(), Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(pixels)).save(tmp_path / "a.png", exif=exif)
    detector = Detector.load(exported)
    assert detector.predict(tmp_path / "a.png") == detector.predict(pixels)


def test_the_threshold_makes_the_verdict(exported):
    detector, pixels = Detector.load(exported), photo()
    score = detector.predict(pixels).score
    assert detector.with_threshold(score).predict(pixels).verdict == "attack"
    above = detector.with_threshold(math.nextafter(score, 1)).predict(pixels)
    assert above.verdict == "bona fide" and above.threshold.criterion == "number"
    with pytest.raises(ValueError, match="finite"):
        detector.with_threshold(math.nan)


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (photo(15, 40), "too small: 15 pixels, and 16 are needed"),
        (photo() // 12, "too dark: mean brightness"),
        (np.maximum(photo(), 255 * (np.arange(70) < 30)[:, None].astype(np.uint8)), "overexposed: 43%"),
    ],
)
def test_an_unfit_face_has_a_reason_and_no_verdict(exported, pixels, reason):
    prediction = Detector.load(exported).predict(pixels)
    assert prediction.verdict is None and prediction.reason.startswith(reason)
    assert 0 <= prediction.score <= 1


def test_a_face_detector_can_be_plugged_in(exported):
    pixels = skimage.data.astronaut()
    faces = [Face((0, 0, 40, 40)), Face((170, 60, 280, 190)), Face((400, 400, 450, 450))]
    detector = Detector.load(exported, find_faces=lambda image: faces)
    assert detector.predict(pixels) == Detector.load(exported).predict(pixels, (170, 60, 280, 190))
    none = Detector.load(exported, find_faces=lambda image: []).predict(pixels)
    assert math.isnan(none.score) and none.verdict is None and none.reason == "no face"


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_what_is_no_number_is_never_bona_fide(score):
    detector = Detector([Member(lambda image, region: score, CropRule())], Contract(Threshold(0.5)))
    prediction = detector.predict(photo())
    assert prediction.verdict is None and "not a finite number" in prediction.reason


def test_a_checkpoint_judges_files_and_views_of_arrays(trained, tmp_path):
    detector, pixels = Detector.load(trained.parent), photo()
    (tmp_path / "a.png").write_bytes(encode(pixels[:, ::-1]))
    assert detector.predict(tmp_path / "a.png") == detector.predict(pixels[:, ::-1])


@pytest.mark.parametrize("file", ["exported", "trained"])
def test_threads_get_the_scores_of_one(file, request):
    detector = Detector.load(request.getfixturevalue(file))
    images = [photo(40 + k, 50, seed=k) for k in range(24)]
    expected = [prediction.score for prediction in detector.predict(images)]
    with ThreadPoolExecutor(6) as pool:
        scores = [prediction.score for prediction in pool.map(detector.predict, images * 3)]
    assert len(set(expected)) > 12 and scores == pytest.approx(expected * 3, abs=1e-6)


def test_what_is_no_photograph_is_refused(exported, tmp_path):
    detector = Detector.load(exported)
    with pytest.raises(TypeError, match="levels 0..255 of type uint8, not float64"):
        detector.predict(photo() / 255)
    with pytest.raises(ValueError, match=r"\(H, W, 3\), and not empty; this one is \(60, 70\)"):
        detector.predict(photo()[..., 0])
    with pytest.raises(TypeError, match="not <class 'int'>"):
        detector.predict(7)
    (tmp_path / "a.jpg").write_bytes(encode(photo(), "JPEG")[:900])
    (tmp_path / "b.jpg").write_bytes(b"no image")
    buffer = io.BytesIO()
    Image.fromarray(np.full((60, 60), 40000, np.uint16)).save(buffer, "PNG")
    (tmp_path / "c.png").write_bytes(buffer.getvalue())
    for name, message in (
        ("a.jpg", "a.jpg: cannot be read"),
        ("b.jpg", "b.jpg: is no image"),
        ("c.png", "c.png: has more than 8 bits"),
        ("d.png", "d.png: cannot be read: No such file"),
    ):
        with pytest.raises(DataError, match=message):
            detector.predict(tmp_path / name)
    for where, message in (
        ((1, 2, 3), "four numbers"),
        ((5, 5, 5, 9), "empty"),
        ((100, 0, 130, 20), "outside the image of 70 x 60"),
        ((0, 0, math.nan, 4), "four numbers"),
        ("face", "a face, a box or 'whole'"),
    ):
        with pytest.raises(ValueError, match=message):
            detector.predict(photo(), where)


def changed(exported, path, **entries):
    """A copy of an export with other metadata; None deletes an entry."""
    model = onnx.load(exported)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    metadata |= {f"anrl.{key.replace('__', '.')}": value for key, value in entries.items()}
    onnx.helper.set_model_props(model, {key: value for key, value in metadata.items() if value is not None})
    onnx.save(model, path)
    return path


def test_damaged_and_foreign_files_are_refused_in_one_sentence(exported, tmp_path):
    (tmp_path / "cut.onnx").write_bytes(exported.read_bytes()[:5000])
    (tmp_path / "empty.onnx").write_bytes(b"")
    (tmp_path / "text.onnx").write_bytes(b"no model at all")
    changed(exported, tmp_path / "foreign.onnx", format=None)
    changed(exported, tmp_path / "newer.onnx", format="anrl-deploy-9")
    changed(exported, tmp_path / "threshold.onnx", threshold="nan")
    changed(exported, tmp_path / "limits.onnx", limits__min_size=None)
    changed(exported, tmp_path / "polarity.onnx", polarity="higher is live")
    for name, message in (
        ("cut", "not a readable ONNX file"),
        ("empty", "not a readable ONNX file|not one that anrl exported"),
        ("text", "not a readable ONNX file"),
        ("foreign", "not one that anrl exported; describe it in a YAML file"),
        ("newer", "format anrl-deploy-9, and this anrl reads anrl-deploy-1"),
        ("threshold", "metadata are damaged .*nan"),
        ("limits", "metadata are damaged .*limits.min_size"),
        ("polarity", "metadata are damaged .*higher is live"),
        ("missing", "there is no such file"),
    ):
        with pytest.raises(DataError, match=f"{name}.onnx: .*({message})") as failure:
            Detector.load(tmp_path / f"{name}.onnx")
        assert "\n" not in str(failure.value)
    (tmp_path / "a.safetensors").write_bytes(b"no checkpoint")
    with pytest.raises(DataError, match="not a readable checkpoint"):
        Detector.load(tmp_path / "a.safetensors")


def test_missing_onnxruntime_is_named(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r"need onnxruntime.*pip install onnxruntime"):
        Detector.load(exported)


def test_without_a_threshold_there_is_no_verdict(exported, tmp_path):
    detector = Detector.load(changed(exported, tmp_path / "a.onnx", threshold=""))
    assert detector.threshold is None
    prediction = detector.predict(photo())
    assert prediction == Prediction(prediction.score, None, None, prediction.reason)
    assert prediction.reason.startswith("no threshold") and prediction.score > 0
    assert str(Threshold(0.25, "eer", "x")) == "0.25 (eer on x)"
