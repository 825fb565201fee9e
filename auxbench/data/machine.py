"""The machine: the resources that a process may use."""

from __future__ import annotations

import os


def cores() -> int:
    """The number of processor cores that this process may use, which a container can limit."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
