"""Device and memory allocator of a process."""

import ctypes

import torch

from anrl.distributed import Ranks
from anrl.errors import ConfigError

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # of malloc.h


def keep_freed_memory() -> bool:
    """Let this process keep the memory of freed tensors for the next ones, up to 2 GB each.

    By default glibc returns large blocks to the system and takes fresh pages for the next tensor, which costs
    more than computing it. It is what the environment variables ``MALLOC_MMAP_THRESHOLD_``,
    ``MALLOC_TRIM_THRESHOLD_`` and ``MALLOC_TOP_PAD_`` do when a process starts with them.

    Returns:
        Whether the allocator here is glibc's and agreed.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    settings = {_MMAP_THRESHOLD: 2**31 - 1, _TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: 1 << 28}
    return all([mallopt(name, value) == 1 for name, value in settings.items()])


def pick_device(name: str, ranks: Ranks | None = None) -> torch.device:
    """The torch device of that name; "auto" is CUDA if there is one, else the CPU.

    Raises:
        ConfigError: there is no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and ranks is not None:
        name = f"cuda:{ranks.local_rank}"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device: {name!r} cannot be used here: {str(error).splitlines()[0]}") from None
    return device
