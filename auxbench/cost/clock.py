"""The clock of a meter: seconds of work on a device, without waiting for it."""

from __future__ import annotations

import time
from collections import deque
from typing import Protocol

import torch

UNREAD = 256  # measurements that may be unread before those that have ended are read


class Timed(Protocol):
    """Anything that keeps a sum of seconds."""

    seconds: float


class Clock:
    """Adds up seconds between two points of a device's work.

    A GPU works through a queue while the program goes on, so a point is an event in that queue.
    Its time is read once it has passed; waiting for it at once would leave the GPU without work.

    >>> class Step:
    ...     seconds = 0.0
    >>> clock, step = Clock(torch.device("cpu")), Step()
    >>> clock.charge(step, clock.now())
    >>> clock.settle()
    >>> 0 < step.seconds < 1
    True
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.unread: deque[tuple[Timed, torch.cuda.Event, torch.cuda.Event]] = deque()

    def now(self) -> float | torch.cuda.Event:
        """The present point."""
        if self.device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self.device))
        return event

    def charge(self, timed: Timed, since: float | torch.cuda.Event) -> None:
        """Add the seconds since a point, now or when they are known."""
        now = self.now()
        if isinstance(now, float):
            assert isinstance(since, float)
            timed.seconds += now - since
            return
        assert isinstance(since, torch.cuda.Event)
        self.unread.append((timed, since, now))
        while len(self.unread) > UNREAD and self._passed():
            self._read()

    def settle(self) -> None:
        """Wait for the device, if that is needed, and add all seconds."""
        if self.unread:
            torch.cuda.synchronize(self.device)
        while self.unread:
            self._read()

    def _passed(self) -> bool:
        """Return whether the oldest measurement has ended."""
        return bool(self.unread[0][2].query())  # type: ignore[no-untyped-call]

    def _read(self) -> None:
        timed, since, until = self.unread.popleft()
        timed.seconds += since.elapsed_time(until) / 1000
