"""Jobs: what a cluster still has in its queue for a results folder.

They are found by the folder in their command, so that only jobs of this folder are ever ended. A
small file beside submitit's scripts, logs and pickles lists the runs of each job; only the jobs
themselves unpickle anything.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

FOLDER = "slurm"  # in the results folder
PATIENCE = 20.0  # seconds; without its controller, squeue tries for longer


def states(folder: Path) -> dict[str, str]:
    """The states of all jobs of a results folder that have not ended, such as PENDING, by id."""
    return {**_queued(folder), **dict.fromkeys(map(str, _processes(folder)), "RUNNING")}


def note(folder: Path, job: str, runs: Sequence[str]) -> None:
    """Write down the ids of the runs of a job."""
    (folder / FOLDER / f"{job}_runs.json").write_text(json.dumps(list(runs)), encoding="utf-8")


def awaited(folder: Path) -> set[str]:
    """The ids of the runs that jobs in the queue have."""
    found = set[str]()
    for job in states(folder):
        with suppress(OSError, ValueError, TypeError, RecursionError):
            listed = json.loads((folder / FOLDER / f"{job}_runs.json").read_bytes())
            found.update(name for name in listed if isinstance(name, str))
    return found


def cancel(folder: Path) -> list[str]:
    """End all jobs of a results folder, which save their runs first; return their ids."""
    queued = [name for name, state in _queued(folder).items() if state != "UNKNOWN"]
    processes = list(_processes(folder))
    if queued:
        # --full also reaches a job that has only just started
        subprocess.run(["scancel", "--full", *queued], check=False, capture_output=True)
    for number in processes:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(number, signal.SIGTERM)
    return [*queued, *map(str, processes)]


def _queued(folder: Path) -> dict[str, str]:
    """The states of jobs in Slurm's queue; each part of an array has its own."""
    if not (folder / FOLDER).is_dir() or shutil.which("squeue") is None:
        return {}
    command = ["squeue", "--noheader", "--array", "--me", "--format", "%i\t%T\t%o"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return {"?": "UNKNOWN"}  # the controller is busy or being restarted
    if done.returncode:
        return {"?": "UNKNOWN"}
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    inside = f"{folder.resolve() / FOLDER}{os.sep}"
    return {row[0]: row[1] for row in rows if len(row) == 3 and row[2].strip().startswith(inside)}


def _processes(folder: Path) -> Iterator[int]:
    """Jobs that are processes on this machine."""
    inside = os.fsencode(folder.resolve() / FOLDER)
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = file.read_bytes().split(b"\0")
            if b"submitit.local._local" in words and inside in words:
                yield int(file.parent.name)
