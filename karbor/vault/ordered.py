"""Work in a few threads at once, results in the order of the items, memory bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_order(work: Callable[[T], R], items: Iterable[T], workers: int
             ) -> Generator[R, None, None]:
    """Yield `work` of every item. At most `workers` + 1 items and results exist at a time.

    Hashing, compressing and writing let go of Python's lock, so two threads are nearly twice as
    fast as one. The first error ends it; work that has begun is waited for, so that nothing is
    written any more once the caller sees the error (or closes the iterator).
    """
    with ThreadPoolExecutor(workers, thread_name_prefix="vault") as pool:
        begun: deque[Future[R]] = deque()
        try:
            for item in items:
                begun.append(pool.submit(work, item))
                if len(begun) > workers:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            for future in begun:
                future.cancel()
