"""An ordered map on threads that computes a bounded number of results ahead."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def run_ahead(
    work: Callable[[Item], Result], items: Iterable[Item], *, num_threads: int, ahead: int
) -> Iterator[Result]:
    """Yield ``work(item)`` for every item in order, with at most ``ahead`` results waiting.

    An error of ``work`` is raised in the place of its result. Closing the iterator early stops the threads.
    """
    pool = ThreadPoolExecutor(num_threads, thread_name_prefix="anrl-ahead")
    try:
        pending: deque[Future[Result]] = deque()
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
