"""The rules that crop around a face, and resizing without torch."""

import cv2
import numpy as np
import pytest
import skimage.data

from anrl.data import Transform
from anrl.deploy import CropRule, Face
from anrl.deploy.resize import resize_linear
from support.images import encode, photograph


def enlarged(box, scale, width, height):
    """Silent-Face's rule, step by step: the first and the last column and row, both inclusive."""
    x, y, w, h = box
    scale = min((height - 1) / h, (width - 1) / w, scale)
    w, h, center = w * scale, h * scale, (x + w / 2, y + h / 2)
    edges = [center[0] - w / 2, center[1] - h / 2, center[0] + w / 2, center[1] + h / 2]
    for low, high, limit in ((0, 2, width - 1), (1, 3, height - 1)):
        if edges[low] < 0:
            edges[high] -= edges[low]
            edges[low] = 0
        if edges[high] > limit:
            edges[low] -= edges[high] - limit
            edges[high] = limit
    return [int(edge) for edge in edges]


@pytest.mark.parametrize("margin", [1, 1.5, 2.7, 4.0])
def test_boxes_grow_about_their_center_and_move_into_the_image(margin):
    generator = np.random.default_rng(0)
    for _ in range(300):
        width, height = (int(side) for side in generator.integers(30, 300, 2))
        x, y = int(generator.integers(0, width - 9)), int(generator.integers(0, height - 9))
        w, h = int(generator.integers(8, width - x)), int(generator.integers(8, height - y))
        region = CropRule("box", margin).region(Face((x, y, x + w, y + h)), width, height)
        first, upper, last, lower = enlarged((x, y, w, h), margin, width, height)
        assert region == (first, upper, last + 1, lower + 1)
        assert 0 <= first <= last < width and 0 <= upper <= lower < height


def test_landmarks_crop_as_the_transform_does():
    generator = np.random.default_rng(1)
    pixels = photograph(80, 90)
    for margin in (0.0, 0.3, 1.1):
        rule, transform = CropRule("landmarks", margin), Transform(image_size=16, crop_margin=margin)
        for _ in range(20):
            marks = (generator.random(10) * np.tile([90, 80], 5)).astype(np.float32).tolist()
            left, top, right, bottom = rule.region(Face.from_landmarks(marks), 90, 80)
            crop = np.ascontiguousarray(pixels[top:bottom, left:right])
            plain = Transform(image_size=16)(encode(crop))[0]
            assert plain.equal(transform(encode(pixels), landmarks=marks)[0])


def test_rules_that_make_no_sense_are_refused():
    for arguments, message in (
        (("square",), "crop must be one of whole, box, landmarks, not 'square'"),
        (("box", 0.5), "at least 1, not 0.5"),
        (("landmarks", -1), "at least 0"),
        (("box", float("nan")), "not nan"),
    ):
        with pytest.raises(ValueError, match=message):
            CropRule(*arguments)
    with pytest.raises(ValueError, match="five landmarks, and the face has none"):
        CropRule("landmarks", 0.5).region(Face((0, 0, 9, 9)), 20, 20)
    with pytest.raises(ValueError, match="lie outside the image"):
        CropRule("landmarks", 0.0).region(Face.from_landmarks([30.0] * 10), 20, 20)


def test_resizing_is_opencvs():
    photo = skimage.data.astronaut()
    for height, width in ((512, 512), (1, 1), (7, 300), (80, 80), (81, 79), (33, 500)):
        for size in ((80, 80), (128, 64), (1, 1), (200, 3)):
            image = np.ascontiguousarray(photo[:height, :width])
            assert np.array_equal(resize_linear(image, *size), cv2.resize(image, size)), (height, width, size)
