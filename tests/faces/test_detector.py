"""Face detection, on skimage's astronaut (NASA, public domain) and on images without a face."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from anrl.faces import FaceDetector

# Where her eyes, the tip of her nose and the corners of her mouth are, read off the picture.
ASTRONAUT = np.array([[203, 101], [247, 103], [225, 128], [204, 140], [246, 141]])


@pytest.fixture(scope="module")
def detector():
    return FaceDetector(num_threads=1)


@pytest.fixture(scope="module")
def upright(detector):
    (face,) = detector.detect([astronaut()])[0]
    return face


def warped(matrix, size):
    """The astronaut moved by a 2 x 3 matrix of coordinates in which pixels have their centers at halves."""
    shift = matrix @ [0.5, 0.5, 1] - [0.5, 0.5]
    matrix = np.column_stack([matrix[:, :2], shift])
    return cv2.warpAffine(astronaut(), matrix, size, flags=cv2.INTER_AREA)


def moved(matrix, points):
    return points @ matrix[:, :2].T + matrix[:, 2]


def error(face, expected):
    """Mean distance of the landmarks, in distances of the eyes."""
    eyes = np.linalg.norm(expected[1] - expected[0])
    return np.linalg.norm(face.landmarks - expected, axis=1).mean() / eyes


def test_landmarks_are_where_a_person_sees_them(upright):
    assert upright.score > 0.8 and upright.presence > 0.9
    assert upright.landmarks.shape == (5, 2) and upright.mesh.shape == (468, 3)
    assert np.linalg.norm(upright.landmarks - ASTRONAUT, axis=1).max() < 5
    left, top, right, bottom = upright.box
    assert ((upright.landmarks > [left, top]) & (upright.landmarks < [right, bottom])).all()
    nose, ears = upright.mesh[1], upright.mesh[[234, 454]]
    assert (nose[2] < ears[:, 2]).all()


@pytest.mark.parametrize("angle", [-40, -20, 20, 40])
def test_landmarks_turn_with_the_image(detector, upright, angle):
    matrix = cv2.getRotationMatrix2D((228, 130), angle, 1)
    face = detector.detect([warped(matrix, (512, 512))])[0][0]
    assert error(face, moved(matrix, upright.landmarks)) < 0.06


@pytest.mark.parametrize("scale", [0.5, 0.75, 1.5, 3])
def test_landmarks_grow_with_the_image(detector, upright, scale):
    matrix = np.array([[scale, 0, 0], [0, scale, 0]])
    size = round(512 * scale)
    face = detector.detect([warped(matrix, (size, size))])[0][0]
    assert error(face, moved(matrix, upright.landmarks)) < 0.06
    assert np.ptp(face.mesh[:, 2]) == pytest.approx(scale * np.ptp(upright.mesh[:, 2]), rel=0.15)


def test_landmarks_move_with_the_frame(detector, upright):
    for shift, size in (((100, 10), (640, 560)), ((-100, -20), (300, 420))):
        matrix = np.array([[1.0, 0, shift[0]], [0, 1, shift[1]]])
        face = detector.detect([warped(matrix, size)])[0][0]
        assert error(face, moved(matrix, upright.landmarks)) < 0.06


def test_a_mirrored_image_exchanges_right_and_left(detector, upright):
    face = detector.detect([astronaut()[:, ::-1]])[0][0]
    mirrored = upright.landmarks[[1, 0, 2, 4, 3]] * [-1, 1] + [512, 0]
    assert error(face, mirrored) < 0.06


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turned_images_are_found_if_asked(detector, upright, turns):
    image = np.rot90(astronaut(), turns)
    face = FaceDetector(try_rotations=True).detect([image])[0][0]
    quarter = np.array([[0.0, 1], [-1, 0]])
    turn = np.linalg.matrix_power(quarter, turns)
    expected = (upright.landmarks - 256) @ turn.T + 256
    assert error(face, expected) < 0.06


def test_images_without_a_face_give_none(detector):
    generator = np.random.default_rng(0)
    y, x = np.mgrid[:240, :320]
    images = [generator.integers(0, 256, (240, 320, 3), np.uint8) for _ in range(4)]
    images += [np.full((200, 300, 3), level, np.uint8) for level in (0, 128, 255)]
    images.append(np.stack([x % 256, y % 256, (x + y) % 256], -1).astype(np.uint8))
    images.append(np.repeat(((x // 20 + y // 20) % 2 * 255)[..., None], 3, -1).astype(np.uint8))
    images.append(np.zeros((1, 1, 3), np.uint8))
    assert detector.detect(images) == [[]] * len(images)


def test_several_faces_are_sorted_by_size_and_centrality(detector):
    portrait = astronaut()[60:200, 150:300]
    canvas = np.full((420, 460, 3), 127, np.uint8)
    canvas[280:420, 0:150] = portrait
    canvas[140:280, 155:305] = portrait
    canvas[10:108, 350:455] = cv2.resize(portrait, (105, 98), interpolation=cv2.INTER_AREA)
    faces = detector.detect([canvas])[0]
    centers = [(face.box[0] + face.box[2]) / 2 for face in faces]
    assert len(faces) == 3
    assert 155 < centers[0] < 305 and centers[1] < 150 and centers[2] > 350


@pytest.mark.parametrize("side", [1000, 1800])
def test_small_faces_are_found_by_the_full_range_detector(detector, upright, side):
    """A face of 9 and of 5 percent of the image."""
    matrix = np.array([[1.0, 0, side / 2 - 225], [0, 1, side / 2 - 128]])
    (face,) = detector.detect([warped(matrix, (side, side))])[0]
    assert error(face, moved(matrix, upright.landmarks)) < 0.08


def test_a_batch_gives_what_single_images_give(detector):
    images = [astronaut(), np.zeros((90, 70, 3), np.uint8), astronaut()[::2, ::2], astronaut()[:400, 50:450]]
    together = FaceDetector(num_threads=3).detect(images)
    assert [len(faces) for faces in together] == [1, 0, 1, 1]
    for image, faces in zip(images, together, strict=True):
        alone = detector.detect([image])[0]
        assert len(alone) == len(faces)
        for a, b in zip(alone, faces, strict=True):
            np.testing.assert_array_equal(a.mesh, b.mesh)
    stacked = detector.detect(np.stack([astronaut(), astronaut()[:, ::-1]]))
    assert [len(faces) for faces in stacked] == [1, 1]
    assert detector.detect([]) == []


def test_threads_can_share_a_detector(detector, upright):
    images = [np.roll(astronaut(), 8 * i, axis=1) for i in range(8)]
    expected = [detector.detect([image])[0][0].mesh for image in images]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            results = pool.map(lambda image: detector.detect([image])[0][0].mesh, images)
            for mesh, alone in zip(results, expected, strict=True):
                np.testing.assert_array_equal(mesh, alone)


def test_criteria_leave_faces_out():
    image = [astronaut()]
    assert FaceDetector(min_presence=1).detect(image) == [[]]
    assert FaceDetector(min_score=1).detect(image) == [[]]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((9, 9, 3), np.uint8), r"pass \[image\]"),
        ([astronaut(), np.zeros((9, 9, 3), np.float32)], "image 1: expected an RGB array"),
        ([np.zeros((9, 9), np.uint8)], r"image 0.*\(9, 9\)"),
        ([np.zeros((9, 9, 4), np.uint8)], r"\(9, 9, 4\)"),
        ([np.zeros((0, 9, 3), np.uint8)], r"\(0, 9, 3\)"),
        (["photo.jpg"], "image 0.*str"),
    ],
)
def test_other_images_are_refused_by_number(detector, images, message):
    with pytest.raises(ValueError, match=message):
        detector.detect(images)


@pytest.mark.parametrize("options", [{"min_score": 2}, {"min_presence": -1}, {"num_threads": 0}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        FaceDetector(**options)
