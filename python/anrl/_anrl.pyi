from collections.abc import Sequence
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from anrl.data import Transform as TransformOptions

__all__ = [
    "EXACT_DECODER_IS_VECTORIZED",
    "MAX_KEY",
    "RAW_MAGIC",
    "AdaptiveNorm",
    "DataError",
    "Pack",
    "PackWriter",
    "Samples",
    "Transform",
    "centre_products",
    "centre_spread",
    "decode",
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
EXACT_DECODER_IS_VECTORIZED: bool

# Bytes, ends, codes: anrl.data.records.Texts.
_Texts: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int32]]

class DataError(Exception): ...

def vector_unit() -> str: ...
def centre_products(a: Tensor, b: Tensor, x: Tensor, c: Tensor) -> Tensor: ...
def centre_spread(w: Tensor, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]: ...
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
class AdaptiveNorm:
    def __new__(cls, form: str, running: bool, eps: float, relu: bool) -> AdaptiveNorm: ...
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

@final
class Transform:
    def __new__(
        cls,
        image_size: int,
        depth_size: int,
        color: str,
        mean: list[float],
        std: list[float],
        consistent_hsv: bool,
        crop_margin: float | None,
        output: str,
        decoder: str,
    ) -> Transform: ...
    def apply(
        self,
        image: bytes,
        depth: bytes | None,
        landmarks: list[float] | None,
        flip: bool,
        jitter: tuple[float, float, float] | None,
        crop: tuple[float, float, float, float] | None,
        linear: tuple[float, float] | None,
        blur: float | None,
        noise: tuple[float, int] | None,
        jpeg: int | None,
        cutout: tuple[float, float, float, float] | None,
    ) -> tuple[NDArray[Any], NDArray[np.float32]]: ...
    def load(
        self,
        domains: list[Samples],
        indices: list[list[int]],
        augment: TransformOptions | None,
        seed: int,
        epoch: int,
        threads: int,
    ) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.float32], list[tuple[int, int, str]]]: ...

def decode(image: bytes, gray: bool = False, exact: bool = False) -> NDArray[np.uint8]: ...
