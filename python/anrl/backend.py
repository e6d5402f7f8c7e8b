"""Report of the code that serves each case: Rust kernels or plain torch."""

from typing import NamedTuple

import torch

from anrl import _anrl
from anrl.nn import GATES
from anrl.ops.operators import KERNEL_DTYPES


class BackendInfo(NamedTuple):
    """Result of :func:`backend_info`; ``str`` makes a few lines of text of it."""

    vector_unit: str
    """Vector unit of the Rust kernels: "avx512", "avx2" or "portable". The environment variable
    ``ANRL_VECTOR_UNIT`` can name a narrower one than this CPU has."""
    num_threads: int
    """Number of threads of the kernels: that of torch, see ``torch.set_num_threads``."""
    devices: tuple[str, ...]
    """Kinds of devices that torch has on this machine."""
    paths: dict[str, str]
    """The code that serves each case, in a sentence."""

    def __str__(self) -> str:
        """Text for a terminal."""
        lines = [
            f"Rust kernels: {self.vector_unit}, {self.num_threads} threads",
            f"devices: {', '.join(self.devices)}",
            *(f"{case}: {path}" for case, path in self.paths.items()),
        ]
        return "\n".join(lines)


def backend_info() -> BackendInfo:
    """Report the vector unit, threads, devices, and the code that serves each case."""
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
        "packs, PNG files, augmentation": "Rust, on the CPU",
        "JPEG files": (
            "libjpeg-turbo with its vector code"
            if _anrl.JPEG_IS_VECTORIZED
            else "libjpeg-turbo without its vector code, 3 times slower: install nasm and build anrl again"
        ),
    }
    devices = ["cpu"] + [name for name in ("cuda", "mps", "xpu") if getattr(torch, name).is_available()]
    return BackendInfo(_anrl.vector_unit(), torch.get_num_threads(), tuple(devices), paths)
