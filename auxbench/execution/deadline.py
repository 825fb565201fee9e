"""Deadlines: work that is stopped when its time is up, with its runs saved."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

LEAST = 0.1  # seconds, so that the block has begun when it is ended


@dataclass
class Stop:
    """The state of a deadline: `struck` is True once it has passed."""

    struck: bool = False


@contextmanager
def deadline(seconds: float) -> Iterator[Stop]:
    """End the block after some seconds as Ctrl-C would, but without an error.

    Runs in progress are saved and go on from there another time. Only the main thread can be
    interrupted.

    >>> import time
    >>> with deadline(0.05) as stop:
    ...     time.sleep(5)
    >>> stop.struck
    True
    """
    stop = Stop()
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN  # as in the background of a script
    if ignored:
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def strike() -> None:
        stop.struck = True
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(max(LEAST, seconds), strike)
    timer.daemon = True
    timer.start()
    try:
        yield stop
        timer.cancel()
        timer.join()  # so that an interrupt on its way arrives here
    except KeyboardInterrupt:
        if not stop.struck:
            raise
    finally:
        timer.cancel()
        if ignored:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
