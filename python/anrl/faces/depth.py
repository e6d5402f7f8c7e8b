"""Depth maps of face meshes."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anrl import _anrl
from anrl.faces.networks import mesh_triangles


def depth_map(mesh: ArrayLike, size: int | tuple[int, int], box: ArrayLike) -> NDArray[np.float32]:
    """Depth map of a face mesh: 0 outside the face, from 0.2 (furthest) to 1 (nearest) inside.

    The mesh is rasterized with a z-buffer: every pixel has the depth of the nearest triangle at its center,
    and depths are stretched so that the visible ones span [0.2, 1]. A printed or replayed face has the same
    mesh as a live one: such a map is a label for bona fide samples, never evidence that a sample is one.

    Args:
        mesh: (468, 3), as :attr:`anrl.faces.Face.mesh`, in pixels of an image.
        size: Height and width of the map; one number for a square.
        box: The part of the image that the map covers: left, top, right, bottom, in pixels.

    Returns:
        (height, width), in [0, 1]; all 0 where the mesh lies outside the box.

    Raises:
        ValueError: the mesh has another shape or is not finite, the box is empty, or the size not positive.
    """
    points = np.ascontiguousarray(mesh, np.float32)
    corners = np.asarray(box, np.float64)
    height, width = (size, size) if isinstance(size, int) else size
    if points.shape != (468, 3) or not np.isfinite(points).all():
        raise ValueError(f"mesh must be (468, 3) finite numbers, not {points.shape}")
    if corners.shape != (4,) or not np.isfinite(corners).all() or not (corners[2:] > corners[:2]).all():
        raise ValueError(f"box must be left < right, top < bottom as (left, top, right, bottom), not {box!r}")
    if min(height, width) < 1:
        raise ValueError(f"size must be positive, not {size}")
    left, top, right, bottom = corners.tolist()
    return _anrl.face_depth(points, mesh_triangles(), (left, top, right, bottom), height, width)
