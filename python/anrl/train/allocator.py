"""What glibc's allocator does with large tensors that are freed."""

import ctypes

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # of malloc.h


def keep_freed_memory() -> bool:
    """Lets this process keep the memory of freed tensors for the next ones, up to 2 GB each.

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
