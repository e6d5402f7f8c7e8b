"""The preprocessing of exported graphs, against OpenCV and the transform of the loader."""

import cv2
import numpy as np
import pytest
import skimage.data
import torch

from anrl.data import Transform
from anrl.deploy.preprocessing import Preprocessing
from support.images import encode, photograph

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")


def test_hsv_is_opencvs_for_all_colors():
    preprocessing = Preprocessing(Transform(image_size=8))
    green, blue = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    for red in range(256):
        rgb = np.stack([np.full_like(green, red), green, blue], -1)
        hsv = preprocessing.hsv(torch.from_numpy(rgb).int())
        assert np.array_equal(hsv.numpy(), cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV)), red


@pytest.mark.parametrize("color", ["rgb", "hsv", "rgb_hsv"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 2), (16, 16), (24, 17), (63, 130), (257, 255)])
def test_result_is_the_transforms_to_the_bit(color, shape):
    channels = 6 if color == "rgb_hsv" else 3
    mean, std = [0.1 * (k + 1) for k in range(channels)], [0.3 + 0.1 * k for k in range(channels)]
    for size in (8, 16, 64):
        transform = Transform(image_size=size, color=color, mean=mean, std=std)
        pixels = photograph(*shape, seed=size)
        expected = transform(encode(pixels))[0]
        assert torch.equal(Preprocessing(transform)(torch.from_numpy(pixels[None]))[0], expected)


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_result_is_the_transforms_on_photographs(name):
    photo = getattr(skimage.data, name)()
    transform = Transform(image_size=64)
    for height, width in ((64, 64), (65, 63), (100, 181), photo.shape[:2]):
        pixels = np.ascontiguousarray(photo[:height, -width:])
        result = Preprocessing(transform)(torch.from_numpy(pixels[None]))[0]
        assert torch.equal(result, transform(encode(pixels))[0])


def test_boxes_are_crops_cut_to_the_image():
    transform = Transform(image_size=16)
    pixels = photograph(40, 50)
    boxes = [(0, 0, 50, 40), (3, 5, 31, 39), (-9, -2, 20, 60), (49, 39, 90, 90), (10, 10, 10, 10)]
    kept = [(0, 0, 50, 40), (3, 5, 31, 39), (0, 0, 20, 40), (49, 39, 50, 40), (10, 10, 11, 11)]
    images = torch.from_numpy(pixels[None]).expand(len(boxes), -1, -1, -1)
    results = Preprocessing(transform)(images, torch.tensor(boxes))
    for result, (left, top, right, bottom) in zip(results, kept, strict=True):
        crop = np.ascontiguousarray(pixels[top:bottom, left:right])
        assert torch.equal(result, transform(encode(crop))[0])
