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

    It imports torch while this process does, which halves the time to the first step. If nothing is
    left to run, it ends with this process.
    """
    if device == "auto":
        device = "cuda" if Path("/proc/driver/nvidia").exists() else "cpu"
    number = threads_of(threads, slots(device, jobs))
    _early.append((number, start(number)))


def taken(threads: int) -> Process | None:
    """The process that was started early, if there is one for this many threads."""
    while _early:
        number, process = _early.pop()
        if number == threads and process.poll() is None:
            return process
        process.kill()
        process.communicate()
    return None
