from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias, final, type_check_only

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

__all__ = [
    "JPEG_IS_VECTORIZED",
    "MAX_KEY",
    "RAW_MAGIC",
    "AdaptiveNorm",
    "FaceFinder",
    "FaceNetwork",
    "Pack",
    "PackWriter",
    "Samples",
    "Transform",
    "center_products",
    "center_products_gradient",
    "decode_image",
    "face_depth",
    "face_triangles",
    "instance_moments",
    "scale_shift",
    "scale_shift_double_gradient",
    "scale_shift_double_sums",
    "scale_shift_gradient",
    "scale_shift_sums",
    "vector_unit",
]

MAX_KEY: int
RAW_MAGIC: bytes
JPEG_IS_VECTORIZED: bool

# UTF-8 bytes, where each string ends, and the number of the string of each row.
_Texts: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int32]]

# Box, score, landmarks (5, 2), mesh (468, 3), presence.
_Face: TypeAlias = tuple[list[float], float, NDArray[np.float32], NDArray[np.float32], float]

def vector_unit() -> str: ...
def face_triangles(metadata: bytes) -> NDArray[np.uint16]: ...
def face_depth(
    mesh: NDArray[np.float32],
    triangles: NDArray[np.uint16],
    corners: tuple[float, float, float, float],
    height: int,
    width: int,
) -> NDArray[np.float32]: ...
def center_products(a: Tensor, b: Tensor, x: Tensor, c: Tensor) -> Tensor: ...
def center_products_gradient(w: Tensor, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]: ...
def instance_moments(x: Tensor) -> tuple[Tensor, Tensor]: ...
def scale_shift(x: Tensor, scale: Tensor, shift: Tensor, relu: bool) -> Tensor: ...
def scale_shift_sums(
    dy: Tensor, x: Tensor, scale: Tensor, shift: Tensor, relu: bool
) -> tuple[Tensor, Tensor]: ...
def scale_shift_gradient(dy: Tensor, x: Tensor, coefficients: Sequence[Tensor], relu: bool) -> Tensor: ...
def scale_shift_double_sums(
    ddx: Tensor, dy: Tensor, x: Tensor, scale: Tensor, shift: Tensor, relu: bool
) -> tuple[Tensor, Tensor, Tensor]: ...
def scale_shift_double_gradient(
    ddx: Tensor, dy: Tensor, x: Tensor, coefficients: Sequence[Tensor], relu: bool
) -> tuple[Tensor, Tensor]: ...

@final
class FaceNetwork:
    def __new__(cls, tflite: bytes) -> FaceNetwork: ...
    def run(self, image: NDArray[np.float32]) -> list[NDArray[np.float32]]: ...

@final
class FaceFinder:
    def __new__(cls, short_range: bytes, full_range: bytes, mesh: bytes) -> FaceFinder: ...
    def faces(
        self,
        images: list[NDArray[np.uint8]],
        min_score: float,
        min_presence: float,
        try_rotations: bool,
        num_threads: int,
    ) -> list[list[_Face]]: ...

@final
class AdaptiveNorm:
    def __new__(cls, gate: str, running: bool, eps: float, relu: bool) -> AdaptiveNorm: ...
    def forward(
        self, x: Tensor, parameters: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]: ...
    def backward(
        self, dy: Tensor, x: Tensor, mean: Tensor, variance: Tensor, parameters: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]: ...
    def double_backward(
        self,
        ddx: Tensor,
        ddparameters: Sequence[Tensor],
        dy: Tensor,
        x: Tensor,
        planes: Sequence[Tensor],
        parameters: Sequence[Tensor],
    ) -> tuple[Tensor, Tensor, list[Tensor]]: ...

@final
class Pack:
    def __new__(cls, path: str) -> Pack: ...
    def get(self, key: str) -> bytes | None: ...
    def keys(self) -> list[tuple[str, int]]: ...

@final
class PackWriter:
    def __new__(cls, path: str) -> PackWriter: ...
    def put(self, key: str, value: bytes) -> None: ...
    def finish(self) -> None: ...

@final
class Samples:
    def __new__(
        cls,
        pack: Pack,
        paths: _Texts,
        depths: _Texts,
        labels: NDArray[np.uint8],
        landmarks: NDArray[np.float32],
        rows: NDArray[np.int64],
    ) -> Samples: ...
    def __len__(self) -> int: ...
    def check(self) -> None: ...

# The attributes that Transform reads.
@type_check_only
class TransformSettings(Protocol):
    @property
    def image_size(self) -> int: ...
    @property
    def depth_size(self) -> int | None: ...
    @property
    def color(self) -> str: ...
    @property
    def mean(self) -> float | Sequence[float]: ...
    @property
    def std(self) -> float | Sequence[float]: ...
    @property
    def hsv(self) -> str: ...
    @property
    def crop_margin(self) -> float | None: ...
    @property
    def output(self) -> str: ...
    @property
    def flip_prob(self) -> float: ...
    @property
    def jitter_prob(self) -> float: ...
    @property
    def hue(self) -> float: ...
    @property
    def saturation(self) -> float: ...
    @property
    def value(self) -> float: ...
    @property
    def crop_area(self) -> float: ...
    @property
    def brightness_contrast_prob(self) -> float: ...
    @property
    def brightness(self) -> float: ...
    @property
    def contrast(self) -> float: ...
    @property
    def blur_prob(self) -> float: ...
    @property
    def blur_sigma(self) -> float: ...
    @property
    def noise_prob(self) -> float: ...
    @property
    def noise_std(self) -> float: ...
    @property
    def jpeg_prob(self) -> float: ...
    @property
    def jpeg_quality(self) -> float: ...
    @property
    def cutout_prob(self) -> float: ...
    @property
    def cutout_area(self) -> float: ...

@final
class Transform:
    def __new__(cls, settings: TransformSettings) -> Transform: ...
    def apply(
        self,
        image: bytes,
        depth: bytes | None,
        landmarks: Sequence[float] | None,
        flip: bool,
        jitter: tuple[float, float, float] | None,
        crop: tuple[float, float, float, float] | None,
        brightness_contrast: tuple[float, float] | None,
        blur: float | None,
        noise: tuple[float, int] | None,
        jpeg: int | None,
        cutout: tuple[float, float, float, float] | None,
    ) -> tuple[NDArray[Any], NDArray[np.float32]]: ...
    def load(
        self,
        domains: list[Samples],
        indices: list[list[int]],
        repeats: list[list[int]],
        augment: bool,
        seed: int,
        epoch: int,
        num_threads: int,
    ) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.float32], list[tuple[int, int, Exception]]]: ...

def decode_image(image: bytes, gray: bool = False) -> NDArray[np.uint8]: ...
