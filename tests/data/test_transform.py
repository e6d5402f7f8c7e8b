"""The transform against OpenCV and albumentations, with the draws injected."""

import pickle

import albumentations
import cv2
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from anrl.data import Transform
from anrl.errors import DataError
from support.images import encode, photograph

sizes = st.integers(1, 90)


def peer(rgb, size, flip=False, jitter=None, depth=None):
    """The field's pipeline: image (6, S, S) and depth (D, D)."""
    hsv = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV)
    if jitter is not None:
        limits = [(v, v) for v in jitter]
        shift = albumentations.HueSaturationValue(*limits, p=1.0)
        rgb = shift(image=rgb)["image"]
    if depth is not None:
        depth = depth.squeeze(-1)
    planes = [rgb, hsv]
    if flip:
        planes = [np.ascontiguousarray(p[:, ::-1]) for p in planes]
        depth = None if depth is None else np.ascontiguousarray(depth[:, ::-1])
    planes = [
        cv2.resize(p, (size, size), interpolation=cv2.INTER_LINEAR) if p.shape[:2] != (size, size) else p
        for p in planes
    ]
    normalize = albumentations.Normalize(mean=(0.5,) * 3, std=(0.5,) * 3, max_pixel_value=255)
    image = np.concatenate([normalize(image=p)["image"].transpose(2, 0, 1) for p in planes])
    if depth is None:
        return image, np.zeros((size // 8, size // 8), np.float32)
    depth = cv2.resize(depth, (size, size), interpolation=cv2.INTER_NEAREST)
    tensor = torch.from_numpy(depth)[None, None].float()
    small = torch.nn.functional.interpolate(tensor, (size // 8,) * 2, mode="bilinear", align_corners=False)
    return image, (small / 255)[0, 0].numpy()


@settings(deadline=None, max_examples=150)
@given(
    height=sizes,
    width=sizes,
    size=st.sampled_from([8, 16, 24, 32, 64, 72]),
    flip=st.booleans(),
    jitter=st.none() | st.tuples(st.floats(-20, 20), st.floats(-30, 30), st.floats(-20, 20)),
    seed=st.integers(0, 5),
)
def test_same_as_the_peer(height, width, size, flip, jitter, seed):
    # OpenCV takes an array of 4 x 1 for a scalar, on which albumentations' jitter fails.
    assume(jitter is None or (height, width) != (4, 1))
    rgb, depth = photograph(height, width, seed=seed), photograph(height, width, 1, seed=seed + 9)
    transform = Transform(image_size=size)
    image, small = transform(encode(rgb), encode(depth), flip=flip, jitter=jitter)
    expected_image, expected_depth = peer(rgb, size, flip, jitter, depth)
    np.testing.assert_array_equal(image.numpy(), expected_image)
    np.testing.assert_allclose(small.numpy(), expected_depth, rtol=0, atol=1e-6)


def test_every_color_same_as_the_peer():
    generator = np.random.default_rng(0)
    rgb = generator.integers(0, 256, (512, 512, 3), dtype=np.uint8)
    for jitter in (None, (13.7, -21.2, 8.9), (-20.0, 30.0, -20.0)):
        image, _ = Transform(image_size=512)(encode(rgb), jitter=jitter)
        np.testing.assert_array_equal(image.numpy(), peer(rgb, 512, jitter=jitter)[0])


@settings(deadline=None, max_examples=60)
@given(height=sizes, width=sizes, flip=st.booleans(), jitter=st.none() | st.just((9.0, -20.0, 13.0)))
def test_from_bytes_to_tensors_same_as_the_peer(height, width, flip, jitter):
    assume(jitter is None or (height, width) != (4, 1))
    image = encode(photograph(height, width), "JPEG")
    depth = encode(photograph(height, width, 1), "JPEG")
    rgb = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    gray = cv2.imdecode(np.frombuffer(depth, np.uint8), cv2.IMREAD_GRAYSCALE)[..., None]
    found = Transform(image_size=32)(image, depth, flip=flip, jitter=jitter)
    expected = peer(np.ascontiguousarray(rgb), 32, flip, jitter, gray)
    np.testing.assert_array_equal(found[0].numpy(), expected[0])
    np.testing.assert_allclose(found[1].numpy(), expected[1], rtol=0, atol=1e-6)


def test_consistent_hsv_follows_the_jitter():
    rgb = photograph(16, 16)
    jitter = (10.0, 20.0, -5.0)
    image, _ = Transform(image_size=16, hsv="consistent")(encode(rgb), jitter=jitter)
    jittered = np.rint((image[:3].numpy() * 0.5 + 0.5) * 255).astype(np.uint8).transpose(1, 2, 0)
    hsv = cv2.cvtColor(np.ascontiguousarray(jittered), cv2.COLOR_RGB2HSV)
    np.testing.assert_array_equal(np.rint((image[3:].numpy() * 0.5 + 0.5) * 255), hsv.transpose(2, 0, 1))


def test_attacks_have_no_depth():
    depth = encode(photograph(16, 16, 1))
    assert Transform(image_size=16)(encode(photograph(16, 16)), depth, label=1)[1].eq(0).all()


def test_channels():
    content = encode(photograph(16, 16))
    both, _ = Transform(image_size=16)(content)
    torch.testing.assert_close(Transform(image_size=16, color="rgb")(content)[0], both[:3])
    torch.testing.assert_close(Transform(image_size=16, color="hsv")(content)[0], both[3:])


def test_mean_and_std_of_each_channel():
    content = encode(photograph(24, 24))
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    image, _ = Transform(image_size=24, color="rgb", mean=mean, std=std)(content)
    expected = albumentations.Normalize(mean, std)(image=photograph(24, 24))["image"].transpose(2, 0, 1)
    np.testing.assert_allclose(image.numpy(), expected, rtol=0, atol=1e-6)
    small = Transform(image_size=24, color="rgb", mean=mean, std=std, output="uint8")
    assert torch.equal(small.normalize(small(content)[0]), image)
    with pytest.raises(ValueError, match="mean and std need 6 values"):
        Transform(mean=mean)


def test_crop_takes_the_landmarks_square():
    rgb = photograph(60, 80)
    landmarks = [30.0, 20, 50, 20, 40, 28, 32, 38, 48, 38]
    image, _ = Transform(image_size=24, crop_margin=0.5)(encode(rgb), landmarks=landmarks)
    np.testing.assert_array_equal(image.numpy(), peer(np.ascontiguousarray(rgb[15:45, 25:55]), 24)[0])
    with pytest.raises(DataError, match="landmarks"):
        Transform(crop_margin=0.5)(encode(rgb))


def test_wrong_arguments_are_named():
    for options, name in [
        ({"image_size": 20}, "image_size"),
        ({"flip_prob": 1.5}, "flip_prob"),
        ({"color": "lab"}, "color"),
        ({"hsv": "other"}, "hsv"),
        ({"std": 0.0}, "std"),
        ({"image_size": -8}, "image_size"),
        ({"depth_size": 0}, "depth_size"),
        ({"output": "float16"}, "output"),
    ]:
        with pytest.raises(ValueError, match=name):
            Transform(**options)


def test_transform_can_be_pickled():
    transform = pickle.loads(pickle.dumps(Transform(image_size=16, color="rgb")))
    assert transform(encode(photograph(9, 9)))[0].shape == (3, 16, 16)


PLAIN = Transform(image_size=32, color="rgb", output="uint8")


def pixels(transform, image, **draws):
    return transform(image, **draws)[0].permute(1, 2, 0).numpy()


def test_random_resized_crop_is_cropping_then_resizing():
    rgb, depth = photograph(40, 60), photograph(40, 60, 1)
    image, small = PLAIN(encode(rgb), encode(depth), crop=(0.25, 0.1, 0.5, 0.6))
    part, part_depth = PLAIN(encode(rgb[4:28, 15:45]), encode(depth[4:28, 15:45]))
    assert torch.equal(image, part) and torch.equal(small, part_depth)


def test_brightness_and_contrast_are_linear():
    rgb = photograph(32, 32)
    found = pixels(PLAIN, encode(rgb), brightness_contrast=(-0.1, 1.3))
    expected = np.clip(np.rint(1.3 * (rgb - 127.5) + 127.5 - 25.5), 0, 255)
    assert np.abs(found - expected).max() <= 1


@pytest.mark.parametrize("sigma", [0.3, 1.0, 4.5])
@pytest.mark.parametrize("shape", [(32, 32), (5, 70)])
def test_blur_is_opencvs_within_a_level(sigma, shape):
    rgb = photograph(*shape)
    size = 2 * max(1, int(np.ceil(3 * sigma))) + 1
    blurred = cv2.GaussianBlur(rgb, (size, size), sigma, borderType=cv2.BORDER_REFLECT_101)
    found, expected = pixels(PLAIN, encode(rgb), blur=sigma), pixels(PLAIN, encode(blurred))
    assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("quality", [1, 20, 50, 75, 96, 100])
@pytest.mark.parametrize("shape", [(32, 32), (9, 75), (1, 1)])
def test_compression_is_opencvs(quality, shape):
    rgb = photograph(*shape)
    file = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    expected = np.ascontiguousarray(cv2.imdecode(file, cv2.IMREAD_COLOR)[..., ::-1])
    np.testing.assert_array_equal(pixels(PLAIN, encode(rgb), jpeg=quality), pixels(PLAIN, encode(expected)))


def test_noise_follows_its_seed_and_cutout_is_black():
    gray = np.full((32, 32, 3), 128, np.uint8)
    first, again, other = (pixels(PLAIN, encode(gray), noise=(8.0, seed)) for seed in (1, 1, 2))
    assert (first == again).all() and (first != other).any() and abs(first.std() - 8) < 0.8
    both, _ = Transform(image_size=32, output="uint8")(encode(gray), cutout=(0.25, 0.5, 0.5, 0.25))
    assert (both[:, 16:24, 8:24] == 0).all() and (both[:3] == 0).sum() == 3 * 8 * 16
    for draws in ({"blur": 0.0}, {"jpeg": 0}, {"noise": (-1.0, 0)}, {"crop": (float("nan"),) * 4}):
        with pytest.raises(ValueError, match="must be finite"):
            PLAIN(encode(gray), **draws)


@pytest.mark.parametrize(
    "wrong",
    [
        {"crop_area": 0.0},
        {"cutout_area": 1.5},
        {"blur_prob": 2.0},
        {"blur_sigma": 0.0},
        {"noise_std": float("nan")},
        {"jpeg_quality": 0},
    ],
)
def test_wrong_augmentations_are_named(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Transform(**wrong)


@pytest.mark.parametrize("name", ["image_size", "depth_size"])
@pytest.mark.parametrize("side", [8200, 10**9, 2**40])
def test_sides_that_no_memory_holds_are_refused(name, side):
    with pytest.raises(ValueError, match=f"{name} must be at most 8192, not {side}"):
        Transform(**({"image_size": 64} | {name: side}))
