"""Workers: the threads that prepare batches ahead of the step that takes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

Place = TypeVar("Place")
Made = TypeVar("Made")

SPARE = 2  # batches that are ready or waiting, besides one in the hands of each worker


class Workers:
    """The threads of one run that prepare batches ahead; with a `count` of 0 there are none.

    Threads are enough: numpy and torch release the interpreter's lock while they work. Each works
    on one core, and starts when there is something to do. What is made depends only on its place,
    so results are the same with any number of workers, bit for bit.

    >>> with Workers(2) as workers:
    ...     list(workers.made(abs, [-1, 2, -3]))
    [1, 2, 3]
    """

    def __init__(self, count: int = 0) -> None:
        self.count = count
        self.ahead = count + SPARE if count else 0
        self.pool = (
            ThreadPoolExecutor(count, "auxbench-worker", torch.set_num_threads, (1,))
            if count
            else None
        )

    def made(
        self, make: Callable[[Place], Made], places: Iterable[Place]
    ) -> Generator[Made, None, None]:
        """The results of `make` for the places in order, with at most `ahead` prepared ahead.

        The places are read by the calling thread. An error in a worker is raised here, when the
        turn of its place comes.
        """
        if self.pool is None:
            yield from map(make, places)
            return
        coming = deque[Future[Made]]()
        try:
            for place in places:
                coming.append(self.pool.submit(make, place))
                if len(coming) > self.ahead:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            for future in coming:
                future.cancel()

    def close(self) -> None:
        """Drop what is not begun, and end the threads when they have finished what is."""
        if self.pool is not None:
            self.pool.shutdown(cancel_futures=True)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


NONE = Workers()
