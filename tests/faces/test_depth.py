"""Depth maps of face meshes."""

import numpy as np
import pytest
from skimage.data import astronaut

from anrl.faces import FaceDetector, depth_map, mesh_triangles

NOSE, CHIN, FOREHEAD = 1, 152, 10


@pytest.fixture(scope="module")
def face():
    return FaceDetector().detect([astronaut()])[0][0]


def around(face, margin=1.3):
    center, side = (face.box[:2] + face.box[2:]) / 2, margin * np.ptp(face.box.reshape(2, 2), axis=0).max()
    return np.concatenate([center - side / 2, center + side / 2])


def pixel(face, point, size, box):
    """The pixel of a map that a point of the mesh lies in."""
    x, y = (face.mesh[point, :2] - box[:2]) / (box[2:] - box[:2]) * size
    return int(y), int(x)


def test_depth_is_0_outside_and_from_two_tenths_to_1_inside(face):
    depth = depth_map(face.mesh, 128, around(face))
    assert depth.shape == (128, 128) and depth.dtype == np.float32
    inside = depth > 0
    assert 0.3 < inside.mean() < 0.8
    assert depth[inside].min() == pytest.approx(0.2, abs=1e-6)
    assert depth.max() == pytest.approx(1, abs=1e-6)
    assert not inside[[0, 0, -1, -1], [0, -1, 0, -1]].any()
    for point in (NOSE, CHIN, FOREHEAD, 33, 263, 61, 291):
        y, x = pixel(face, point, 128, around(face))
        assert inside[y - 1 : y + 2, x - 1 : x + 2].any(), point


def test_the_nose_is_nearest(face):
    box = around(face)
    depth = depth_map(face.mesh, 128, box)
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    nose = pixel(face, NOSE, 128, box)
    assert np.hypot(y - nose[0], x - nose[1]) < 8
    assert depth[nose] > 0.9 > depth[pixel(face, FOREHEAD, 128, box)[0] + 2, x]


def test_there_are_no_holes(face):
    inside = depth_map(face.mesh, 256, around(face)) > 0
    for rows in (inside, inside.T):
        for row in rows[rows.any(1)]:
            first, last = np.flatnonzero(row)[[0, -1]]
            # The outline of a face is almost convex.
            assert row[first : last + 1].mean() > 0.95


def test_the_map_is_a_z_buffer(face):
    """Against a plain renderer: every triangle at every pixel."""
    box, size = around(face), 48
    scale = size / (box[2:] - box[:2])
    points = np.column_stack([(face.mesh[:, :2] - box[:2]) * scale - 0.5, face.mesh[:, 2]]).astype(np.float64)
    y, x = np.mgrid[:size, :size]
    nearest = np.full((size, size), np.inf)
    for a, b, c in points[mesh_triangles()]:
        area = (b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])
        v = ((x - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (y - a[1])) / area
        w = ((b[0] - a[0]) * (y - a[1]) - (x - a[0]) * (b[1] - a[1])) / area
        covered = (v >= 0) & (w >= 0) & (v + w <= 1)
        z = a[2] + v * (b[2] - a[2]) + w * (c[2] - a[2])
        nearest[covered] = np.minimum(nearest, z)[covered]
    inside = np.isfinite(nearest)
    far, near = nearest[inside].max(), nearest[inside].min()
    expected = np.where(inside, 0.2 + 0.8 * (far - np.where(inside, nearest, 0)) / (far - near), 0)
    np.testing.assert_allclose(depth_map(face.mesh, size, box), expected, atol=1e-4)


def test_the_map_moves_with_the_box(face):
    box = around(face)
    whole = depth_map(face.mesh, 128, box)
    step = (box[2] - box[0]) / 128
    moved = depth_map(face.mesh, 128, box + np.tile([16 * step, 8 * step], 2))
    inner = whole[8:, 16:]
    same = (moved[:-8, :-16] > 0) == (inner > 0)
    assert same.mean() > 0.999
    wide = depth_map(face.mesh, (64, 128), box)
    assert wide.shape == (64, 128)


def test_a_mesh_outside_the_box_gives_zeros(face):
    assert not depth_map(face.mesh, 32, [0, 0, 20, 20]).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros((467, 3)), 8, (0, 0, 1, 1)), r"mesh must be \(468, 3\)"),
        ((np.full((468, 3), np.nan), 8, (0, 0, 1, 1)), "finite"),
        ((np.zeros((468, 3)), 8, (1, 0, 1, 1)), "left < right"),
        ((np.zeros((468, 3)), 8, (0, 0, 1)), "box must be"),
        ((np.zeros((468, 3)), 0, (0, 0, 1, 1)), "size must be positive"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        depth_map(*arguments)
