"""Exported graphs against torch: every gate and norm, networks of timm, photographs of many sizes."""

import hashlib
import json
import sys

import numpy as np
import onnxruntime
import pytest
import skimage.data
import torch
from torch import nn

from anrl.checkpoint import Checkpoint
from anrl.data import Domain, Transform
from anrl.deploy import Contract, DeployedNetwork, Detector, Limits, Threshold, export, largest_deviation
from anrl.deploy.exporting import write_network
from anrl.errors import ConfigError, DataError
from anrl.models import ANRLNet, BackboneOptions, MiniFASNetOptions, build_model
from anrl.models.base import Model
from anrl.models.conv_block import ConvBlock
from anrl.models.heads import DepthEstimator, PooledClassifier

SIZES = ((64, 64), (31, 47), (130, 97), (1, 5), (300, 299))


def photographs():
    """Parts of photographs, of every size in ``SIZES``."""
    for name, (height, width) in zip(("astronaut", "chelsea", "coffee", "rocket", "cat"), SIZES, strict=True):
        photo = getattr(skimage.data, name)()
        yield np.ascontiguousarray(photo[50 : 50 + height, 70 : 70 + width])


def randomized(network):
    """Running statistics and affine parameters away from where they start, so that each of them counts."""
    torch.manual_seed(1)
    for module in network.modules():
        for name, tensor in [*module.named_buffers(recurse=False), *module.named_parameters(recurse=False)]:
            if name == "running_var":
                nn.init.uniform_(tensor, 0.5, 2)
            elif name == "running_mean" or tensor.dim() == 1:
                nn.init.normal_(tensor, 0.3, 0.5)
    return network


class AllNorms(Model):
    """Blocks of every gate and every norm, one after the other."""

    num_features = 8

    def __init__(self):
        super().__init__()
        gates = ("1layer", "2layer", "static", "dual")
        kinds = [("adaptive", gate) for gate in gates] + [("batch", "1layer"), ("instance", "1layer")]
        self.blocks = nn.Sequential(
            *(ConvBlock(6 if k == 0 else 8, 8, *kind) for k, kind in enumerate(kinds))
        )
        self.classifier = PooledClassifier(8)
        self.depth_estimator = DepthEstimator([8, 4, 1])

    def extract(self, x):
        return self.blocks(x)

    def classify(self, features):
        return self.classifier(features)


def check_equal(network, transform, path, outputs=("score", "logits", "depth", "features")):
    """Exports a network and holds every output to torch's on photographs, one by one and in a batch."""
    module = DeployedNetwork(randomized(network), transform, outputs)
    write_network(module, Contract(Threshold(0.5)), path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    scores = []
    for photo in photographs():
        batch = np.stack([photo, photo[::-1], photo[:, ::-1]])
        for images in (batch, batch[:1]):
            results = session.run(list(outputs), {"image": images})
            with torch.inference_mode():
                expected = module(torch.from_numpy(np.ascontiguousarray(images)))
            for name, ours, theirs in zip(outputs, results, expected, strict=True):
                scale = 1 if name == "score" else theirs.abs().max().item()
                assert np.abs(ours - theirs.numpy()).max() <= 1e-4 * scale, (name, photo.shape)
        scores.append(expected[0].item())
    assert np.ptp(scores) > 1e-3, "the scores do not tell the photographs apart"


def test_every_gate_and_norm_is_exported_exactly(tmp_path):
    torch.manual_seed(0)
    check_equal(AllNorms(), Transform(image_size=32), tmp_path / "a.onnx")


@pytest.mark.parametrize(
    ("options", "size"),
    [
        (BackboneOptions("timm/mobilenetv3_small_050"), 64),
        (MiniFASNetOptions("minifasnet_v1se", norm="adaptive", gate="dual"), 80),
    ],
)
def test_other_networks_are_exported_exactly(options, size, tmp_path):
    torch.manual_seed(0)
    transform = Transform(image_size=size, color="rgb")
    check_equal(build_model(options, 3), transform, tmp_path / "a.onnx", ("score", "logits", "features"))


def test_images_with_boxes_score_as_their_crops(trained, tmp_path):
    path = export(trained, tmp_path / "a.onnx", "image", ("score", "logits"), criterion=0.25)
    file = path.read_bytes()
    assert not [name for name in (b"/home", b"/root", b".py") if name in file], "paths of this machine"
    exported, original = Detector.load(path), Detector.load(trained)
    assert exported.threshold == Threshold(0.25) and exported.contract.notes["input"] == "image"
    photo = skimage.data.astronaut()
    for box in ((170, 60, 280, 190), (-20, -5, 60, 70), (400.4, 300.6, 600, 700), (5, 5, 6, 6)):
        score = exported.predict(photo, box).score
        assert score == pytest.approx(original.predict(photo, box).score, abs=1e-4)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    shapes = {entry.name: entry.shape for entry in session.get_inputs()}
    assert shapes == {"image": ["batch", "height", "width", 3], "box": ["batch", 4]}
    boxes = np.array([[170, 60, 280, 190], [0, 0, 512, 512], [90, 300, 500, 400]])
    (scores,) = session.run(["score"], {"image": np.stack([photo] * 3), "box": boxes})
    expected = [original.predict(photo, tuple(box)).score for box in boxes]
    assert scores == pytest.approx(expected, abs=1e-4)


def test_metadata_hold_the_contract(exported, trained):
    contract = Detector.load(exported).contract
    checkpoint = Checkpoint.read(trained)
    metadata = onnxruntime.InferenceSession(exported).get_modelmeta().custom_metadata_map
    assert metadata["anrl.format"] == "anrl-deploy-1" and metadata["anrl.classes"] == "bona fide, attack"
    assert metadata["anrl.color_order"] == "RGB" and metadata["anrl.image_size"] == "16"
    assert metadata["anrl.checkpoint.sha256"] == hashlib.sha256(trained.read_bytes()).hexdigest()
    assert metadata["anrl.license"] == "research only" and metadata["anrl.training_data"].count(",") == 2
    assert contract.threshold.value == pytest.approx(checkpoint.progress.thresholds["frame"])
    assert contract.threshold.criterion == "eer" and contract.threshold.data.startswith(
        "validation frames of 0.lmdb, 1"
    )
    assert contract.limits == Limits(min_size=16)


def test_a_pack_scores_alike_through_both(exported, trained, packs):
    domain = Domain.open(packs[3])
    assert largest_deviation(Detector.load(trained), Detector.load(exported), domain) <= 1e-4


def test_torchs_own_format_keeps_scores_and_contract(trained, tmp_path):
    path = export(trained, tmp_path / "a.pt2", input="crop")
    files = {"anrl.json": ""}
    program = torch.export.load(path, extra_files=files)
    assert json.loads(files["anrl.json"])["anrl.threshold.criterion"] == "eer"
    photo = next(photographs())
    with torch.inference_mode():
        (score,) = program.module()(image=torch.from_numpy(photo)[None])
    assert float(score) == pytest.approx(Detector.load(trained).predict(photo).score, abs=1e-5)


def test_wrong_arguments_are_refused_before_work_starts(trained, tmp_path):
    for options, message in (
        ({"path": "a.tflite"}, r"a\.tflite: the file's name must end with \.onnx or \.pt2"),
        ({"path": "no/a.onnx"}, "there is no folder"),
        ({"input": "video"}, "input must be 'crop' or 'image', not 'video'"),
        ({"outputs": ("score", "heat")}, "outputs are some of score, logits, depth, features, not heat"),
    ):
        arguments = {"checkpoint": trained, **options, "path": tmp_path / options.get("path", "a.onnx")}
        with pytest.raises(ConfigError, match=message):
            export(**arguments)
    with pytest.raises(DataError, match="needs the validation scores"):
        copy = tmp_path / "copy.safetensors"
        copy.write_bytes(trained.read_bytes())
        export(copy, tmp_path / "a.onnx", criterion="apcer@0.1")
    assert not list(tmp_path.glob("*.onnx")) and not list(tmp_path.glob(".*"))


def test_missing_packages_are_named(trained, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ConfigError, match=r"needs onnxscript.*pip install 'anrl\[onnx\]'"):
        export(trained, tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


def test_a_network_that_torch_cannot_export_is_refused_in_one_sentence(tmp_path):
    class Branching(ANRLNet):
        def classify(self, features):
            return super().classify(features if features.mean() > 0 else -features)

    module = DeployedNetwork(Branching(width=0.02), Transform(image_size=16))
    with pytest.raises(DataError, match=r"a\.onnx: torch cannot export this network: ") as failure:
        write_network(module, Contract(), tmp_path / "a.onnx")
    assert "\n" not in str(failure.value) and not list(tmp_path.iterdir())
