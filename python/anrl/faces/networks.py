"""MediaPipe's networks and canonical face mesh, as they come with the package (Apache-2.0, see NOTICE)."""

from functools import cache
from importlib.resources import files

import numpy as np
import torch  # noqa: F401  # the extension needs torch's libraries
from numpy.typing import NDArray

from anrl import _anrl

SHORT_RANGE = "face_detection_short_range.tflite"
FULL_RANGE = "face_detection_full_range.tflite"
MESH = "face_landmark.tflite"
GEOMETRY = "geometry_pipeline_metadata_landmarks.binarypb"


def read_weights(name: str) -> bytes:
    """Bytes of one of the files that come with the package."""
    return (files("anrl.faces") / "weights" / name).read_bytes()


@cache
def face_finder() -> _anrl.FaceFinder:
    """Detectors and mesh, read once for each process."""
    return _anrl.FaceFinder(*(read_weights(name) for name in (SHORT_RANGE, FULL_RANGE, MESH)))


@cache
def mesh_triangles() -> NDArray[np.uint16]:
    """Triangles of the face mesh: (898, 3), the numbers of their points. The array is read-only."""
    triangles = _anrl.face_triangles(read_weights(GEOMETRY))
    triangles.flags.writeable = False
    return triangles
