"""Doing work on threads a little ahead of whoever needs the results."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def run_ahead(
    work: Callable[[Item], Result], items: Iterable[Item], *, threads: int, ahead: int
) -> Iterator[Result]:
    """Yields ``work(item)`` for every item in order, with at most ``ahead`` results waiting.

    An error is raised where its result would have come. Whoever stops early leaves no thread behind.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="anrl-ahead")
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
