"""Worker processes: how one is started, the first already while the command still imports torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from auxbench.execution.resources import slots, threads_of
from auxbench.spec.grammar import split_list

Process = subprocess.Popen[str]

_COMMAND = (
    "from auxbench.data.imports import uncollected\n"
    "with uncollected():\n"
    "    from auxbench.execution.worker import main\n"
    "main()"
)

_early: list[tuple[int, Process]] = []  # at most one, and the threads that it was started for


def start(threads: int, log: Any = None) -> Process:
    """A new worker process (see `worker`), whose libraries use this many threads."""
    limit = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    return subprocess.Popen(
        [sys.executable, "-c", _COMMAND, "auxbench.execution.worker"],  # the last to be seen by ps
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        encoding="utf-8",
        errors="replace",  # a garbled line costs its run, not the study
        start_new_session=True,  # Ctrl-C reaches only this process, which stops the others
        env={**os.environ, **limit},
    )


def start_early(device: str, jobs: int | None, threads: int | None, backbones: str = "") -> None:
    """Start a process for the first run, before it is known which runs there are.

    It imports torch, and what `backbones` that are known already take, while this process does,
    which halves the time to the first step.
    """
    if device == "auto":
        device = "cuda" if Path("/proc/driver/nvidia").exists() else "cpu"
    number = threads_of(threads, slots(device, jobs))
    _early.append((number, start(number)))
    if backbones:
        foretell(split_list(backbones))


def foretell(backbones: Sequence[str]) -> None:
    """Tell the process that was started early which backbones its runs will have.

    It imports what these take while this process prepares the runs.
    """
    for _, process in _early:
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # it has died, which `taken` finds out
            process.stdin.write(json.dumps({"backbones": list(backbones)}) + "\n")
            process.stdin.flush()


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
