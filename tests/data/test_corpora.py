"""Images of other packages from their source distributions: ``pytest -m corpora`` downloads some 100 MB."""

import io
import json
import tarfile
import urllib.request
from pathlib import Path

import cv2
import numpy as np
import pytest

from anrl.data import decode_image
from anrl.errors import DataError

pytestmark = pytest.mark.corpora

DAMAGED = ("data end early", "damaged", "Sequence is not in order", "chunk sequence")
"""Damage that OpenCV passes over: missing or misread data, and the order of an animation's chunks."""


def images_of(package):
    """Yield names and contents of the JPEG and PNG files in a package's newest source distribution."""
    request = urllib.request.Request(
        f"https://pypi.org/simple/{package}/", headers={"Accept": "application/vnd.pypi.simple.v1+json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        files = [f["url"] for f in json.load(answer)["files"] if f["filename"].endswith(".tar.gz")]
    with urllib.request.urlopen(files[-1], timeout=300) as answer:
        archive = tarfile.open(fileobj=io.BytesIO(answer.read()))
    for member in archive.getmembers():
        if member.isfile() and member.name.lower().endswith((".jpg", ".jpeg", ".png")):
            yield member.name, archive.extractfile(member).read()


@pytest.mark.parametrize("package, least", [("pillow", 440), ("imageio", 1), ("scikit-image", 20)])
def test_images_of_other_packages_are_opencvs_or_refused_for_damage(tmp_path, package, least):
    same, wrong = 0, []
    for name, content in images_of(package):
        # From a file: in memory, OpenCV reads animations in another way.
        file = tmp_path / f"image{Path(name).suffix}"
        file.write_bytes(content)
        expected = cv2.imread(str(file), cv2.IMREAD_COLOR)
        try:
            pixels = decode_image(content)
        except DataError as error:
            if expected is not None and not any(reason in str(error) for reason in DAMAGED):
                wrong.append(f"{name}: {error}")
            continue
        if expected is None:
            continue
        if np.array_equal(pixels, expected[..., ::-1]):
            same += 1
        else:
            wrong.append(f"{name}: other pixels")
    assert not wrong
    assert same >= least
