"""Worker processes: how one is started, the first already while the command still imports torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from auxbench.execution.resources import slots, threads_of

Process = subprocess.Popen[str]

_early: list[tuple[int, Process]] = []  # at most one, and the threads that it was started for


def start(threads: int, log: Any = None) -> Process:
    """A new worker process (see `worker`), whose libraries use this many threads."""
    limit = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    return subprocess.Popen(
        [sys.executable, "-m", "auxbench.execution.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        encoding="utf-8",
        errors="replace",  # a garbled line costs its run, not the study
        start_new_session=True,  # Ctrl-C reaches only this process, which stops the others
        env={**os.environ, **limit},
    )


def start_early(device: str, jobs: int | None, threads: int | None) -> None:
    """Start a process for the first run, before it is known which runs there are.

    It imports torch while this process does, which halves the time to the first step.
    """
    if device == "auto":
        device = "cuda" if Path("/proc/driver/nvidia").exists() else "cpu"
    number = threads_of(threads, slots(device, jobs))
    _early.append((number, start(number)))


def drop_early() -> None:
    """End the process that was started early, if no run has taken it."""
    while _early:
        _, process = _early.pop()
        process.kill()
        process.communicate()


def taken(threads: int) -> Process | None:
    """The process that was started early, if there is one for this many threads."""
    if _early and _early[0][0] == threads and _early[0][1].poll() is None:
        return _early.pop()[1]
    drop_early()
    return None
