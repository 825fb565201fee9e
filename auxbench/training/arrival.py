"""Arrival: numbers that a device computes, on their way to the CPU."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor


class Arrival:
    """The values of a tensor, sent to the CPU as soon as they are computed.

    `read` waits for these values, but not for any work that was queued after them, and sending them
    waits for nothing. On a CPU they are there at once.

    >>> Arrival(torch.tensor([1.0, 2.0])).read().tolist()
    [1.0, 2.0]
    """

    def __init__(self, values: Tensor) -> None:
        self.values = values.detach()
        self.event: torch.cuda.Event | None = None
        if values.is_cuda:
            self.event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            pinned = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            self.values = pinned.copy_(self.values, non_blocking=True)
            self.event.record(torch.cuda.current_stream(values.device))

    @property
    def late(self) -> bool:
        """True until values that a GPU has yet to compute have been read."""
        return self.event is not None

    def read(self) -> Tensor:
        """The values, on the CPU."""
        if self.event is not None:
            self.event.synchronize()
            self.event = None
        return self.values


class Watch:
    """Looks at the losses of every step for one that is not finite.

    A GPU's losses are looked at one step later unless a balancer has read them: waiting for them
    would leave the GPU without work. `refuse` is called with the number of a task, its loss and the
    step's progress.

    >>> watch = Watch(lambda task, loss, progress: print(task, loss, progress))
    >>> watch.see(Arrival(torch.tensor([1.0, torch.nan])), 0.25)
    1 nan 0.25
    """

    def __init__(self, refuse: Callable[[int, float, float], None]) -> None:
        self.refuse = refuse
        self.unseen: tuple[Arrival, float] | None = None

    def see(self, losses: Arrival, progress: float) -> None:
        """Look at the losses of the step before, and at those of this one if they are there."""
        self.rest()
        self.unseen = losses, progress
        if not losses.late:
            self.rest()

    def rest(self) -> None:
        """Look at what has not been looked at yet."""
        if self.unseen is None:
            return
        (losses, progress), self.unseen = self.unseen, None
        for task, loss in enumerate(losses.read().tolist()):
            if not math.isfinite(loss):
                self.refuse(task, loss, progress)
