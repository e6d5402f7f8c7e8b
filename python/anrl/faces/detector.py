"""Face detection and face meshes, offline."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from anrl.faces.networks import face_finder


@dataclass(frozen=True, eq=False)
class Face:
    """A face of an image.

    Coordinates are in pixels of the image, x to the right and y down; the first pixel reaches from 0 to 1.
    Left and right of landmarks are the subject's: the right eye is on the left unless an image is mirrored.
    """

    box: NDArray[np.float32]
    """(4,): left, top, right, bottom, as the detector sees it; it may reach beyond the image."""
    score: float
    """Score of the detector, in [0, 1]."""
    landmarks: NDArray[np.float32]
    """(5, 2): x and y of right eye, left eye, nose, right and left corner of the mouth."""
    mesh: NDArray[np.float32]
    """(468, 3): x, y and z of the points of MediaPipe's face mesh; z in pixels too, smaller = nearer."""
    presence: float
    """Probability that this is a face, as the mesh sees it, in [0, 1]."""


class FaceDetector:
    """Face detector and 468-point face mesh (MediaPipe), on the CPU, with the weights in this package.

    The short-range detector sees faces of at least about a tenth of the longer side of the image; where it
    finds none, the full-range detector looks for smaller ones. Every face they propose gets a mesh, and those
    whose mesh is probably no face are left out. Can be used from several threads at once.

    Args:
        min_score: Smallest score of a detection, in [0, 1]; for the full-range detector at least 0.6, as in
            MediaPipe.
        min_presence: A face has a larger ``presence`` than this, in [0, 1].
        try_rotations: Whether the image is looked at turned by 90, 180 and 270 degrees too, and the turn
            whose faces are surest counts. Takes four times as long; for clips on their side or upside down.
        num_threads: Number of images that are worked on at the same time; by default as many as torch uses.

    Raises:
        ValueError: an argument is out of its range.

    Source:
        Bazarevsky et al., "BlazeFace: Sub-millisecond neural face detection on mobile GPUs", 2019; Kartynnik
        et al., "Real-time facial surface geometry from monocular video on mobile GPUs", 2019.
    """

    def __init__(
        self,
        *,
        min_score: float = 0.5,
        min_presence: float = 0.5,
        try_rotations: bool = False,
        num_threads: int | None = None,
    ) -> None:
        for name, value in (("min_score", min_score), ("min_presence", min_presence)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must be in [0, 1], not {value}")
        if num_threads is not None and num_threads < 1:
            raise ValueError(f"num_threads must be positive, not {num_threads}")
        self.min_score = min_score
        self.min_presence = min_presence
        self.try_rotations = try_rotations
        self.num_threads = num_threads

    def detect(self, images: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]) -> list[list[Face]]:
        """Find the faces of each image of a batch.

        Args:
            images: RGB images (H, W, 3) of uint8, of any sizes; or one array (N, H, W, 3).

        Returns:
            For each image its faces, large and central ones first; an empty list where there is none.

        Raises:
            ValueError: an image has another type or shape. The message has its number.
        """
        if isinstance(images, np.ndarray) and images.ndim == 3:
            raise ValueError("expected a batch of images, not one: pass [image]")
        for number, image in enumerate(images):
            shape, dtype = np.shape(image), getattr(image, "dtype", None)
            if dtype != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
                raise ValueError(
                    f"image {number}: expected an RGB array (H, W, 3) of uint8, not {shape} of "
                    f"{dtype or type(image).__name__}"
                )
        batches = face_finder().faces(
            [np.ascontiguousarray(image) for image in images],
            self.min_score,
            self.min_presence,
            self.try_rotations,
            self.num_threads or torch.get_num_threads(),
        )
        return [
            [
                Face(np.array(box, np.float32), score, landmarks, mesh, presence)
                for box, score, landmarks, mesh, presence in faces
            ]
            for faces in batches
        ]
