"""The machine: the resources that a process may use, and the answers of its commands."""

from __future__ import annotations

import math
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

CONTROL = Path("/sys/fs/cgroup")  # where a container sees its limits
PATIENCE = 10  # seconds for a command that only asks


def cores() -> int:
    """The number of processor cores that this process may use.

    It is limited by the process's affinity and by the share of time that a container may have.
    """
    if hasattr(os, "sched_getaffinity"):
        found = len(os.sched_getaffinity(0))
    else:
        found = os.cpu_count() or 1
    return max(1, math.floor(min(found, quota(CONTROL))))


def quota(control: Path) -> float:
    """The processors' time that a control group may use, in cores; infinite without a limit.

    Both versions of Linux's control groups are read.

    >>> quota(Path("nowhere"))
    inf
    """
    try:
        whole = control / "cpu.max"
        if whole.exists():
            limit, period = whole.read_text().split()
        else:
            limit = (control / "cpu/cpu.cfs_quota_us").read_text()
            period = (control / "cpu/cpu.cfs_period_us").read_text()
        allowed = float(limit) / float(period)
    except (OSError, ValueError, ZeroDivisionError):  # 'max', or no Linux
        return math.inf
    return allowed if allowed > 0 else math.inf


def output(command: Sequence[str]) -> str | None:
    """The output of a command, or None if it is missing, fails or hangs.

    >>> output(["no-such-command"])
    """
    # Inside a git hook, variables such as GIT_DIR point at another repository.
    variables = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        return subprocess.run(
            command, env=variables, capture_output=True, text=True, timeout=PATIENCE, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
