"""The machine: what a process may use of it."""

from __future__ import annotations

import os


def cores() -> int:
    """Count the processor cores that this process may use, which a container can make fewer."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
