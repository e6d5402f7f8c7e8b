"""Which code runs what."""

from typing import NamedTuple

import torch

from anrl import _anrl
from anrl.nn import GATES
from anrl.ops.kernels import KERNEL_DTYPES


class BackendInfo(NamedTuple):
    """What :func:`backend_info` returns; printed, a few lines of text."""

    vector_unit: str
    """The vector unit that the Rust kernels use here: "avx512", "avx2" or "portable". The environment
    variable ``ANRL_VECTOR_UNIT`` can name a narrower one than this CPU has."""
    num_threads: int
    """How many threads the kernels use: as many as torch, see ``torch.set_num_threads``."""
    devices: tuple[str, ...]
    """Kinds of devices that torch has here."""
    paths: dict[str, str]
    """What serves which case: one sentence each."""

    def __str__(self) -> str:
        """The same, to be read."""
        lines = [
            f"Rust kernels: {self.vector_unit}, {self.num_threads} threads",
            f"devices: {', '.join(self.devices)}",
            *(f"{case}: {path}" for case, path in self.paths.items()),
        ]
        return "\n".join(lines)


def backend_info() -> BackendInfo:
    """Says which code serves what, so that nothing is slow without a word."""
    types = ", ".join(str(dtype).removeprefix("torch.") for dtype in KERNEL_DTYPES)
    composed = "composed of two passes over x and (N, C) arithmetic in plain torch"
    paths = {
        f"adaptive normalization on the CPU ({types}; gates {', '.join(GATES)}, or a tensor)": (
            "one fused Rust kernel for each of forward, backward and double backward; contiguous and "
            "channels-last input is used as it is, any other is copied first"
        ),
        "with a gate of your own, statistics shared between processes, or under torch.compile, torch.export "
        "or torch.func": f"{composed}; on the CPU each pass is a Rust operator (torch.ops.anrl)",
        "adaptive normalization on other devices": composed,
        "calibration losses on the CPU (float32, float64)": "Rust kernels, to any order of differentiation",
        "calibration losses elsewhere": "plain torch",
        "packs, decoding, augmentation": "Rust, on the CPU",
        'Transform(decoder="exact")': (
            "libjpeg-turbo with its vector code"
            if _anrl.EXACT_DECODER_IS_VECTORIZED
            else "libjpeg-turbo without its vector code, 3 times slower: install nasm and build anrl again"
        ),
    }
    devices = ["cpu"] + [name for name in ("cuda", "mps", "xpu") if getattr(torch, name).is_available()]
    return BackendInfo(_anrl.vector_unit(), torch.get_num_threads(), tuple(devices), paths)
