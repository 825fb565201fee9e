"""Resources: the device, the number of runs at a time, and the threads of each run."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any

from auxbench.data.machine import cores
from auxbench.errors import UsageError
from auxbench.execution.limits import Limits


@dataclass(frozen=True)
class Resources:
    """The resources of runs; None means a default for the machine (`slots`, `threads_of`)."""

    device: str = "auto"
    jobs: int | None = None
    threads: int | None = None
    limits: Limits = field(default_factory=Limits)

    @classmethod
    def of(cls, words: MutableMapping[str, Any]) -> Resources:
        """Pop the resources from a user's options; errors: `UsageError` for invalid ones."""
        limits = Limits.of(*(words.pop(key, None) for key in ("timeout", "stall", "memory")))
        given = {key: words.pop(key) for key in ("device", "jobs", "threads") if key in words}
        return cls(**given, limits=limits)


def slots(device: str, jobs: int | None) -> int:
    """The number of runs at a time: `jobs`, or by default one on a GPU, else one per core up to 8.

    Errors: `UsageError` for fewer than one.
    """
    if jobs is not None:
        if jobs < 1:
            raise UsageError(f"jobs is {jobs}; ask for at least 1.")
        return jobs
    return 1 if device.startswith("cuda") else min(cores(), 8)


def threads_of(asked: int | None, at_once: int) -> int:
    """The threads of a run: `asked`, or else OMP_NUM_THREADS, or else its share of the cores.

    Errors: `UsageError` for fewer than one.
    """
    if asked is not None:
        if asked < 1:
            raise UsageError(f"threads is {asked}; ask for at least 1.")
        return asked
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if first.isdecimal() and int(first):
        return int(first)
    return max(1, cores() // at_once)


def resolve(device: str) -> str:
    """The device to use, with 'auto' resolved; errors: `UsageError` if it is not available."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(
            f"device '{device}' cannot be used ({reason}); choose cpu, or cuda with a GPU."
        ) from None
    return device
