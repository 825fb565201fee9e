"""The process in which runs are born: JSON orders on standard input, JSON events on its output.

Importing torch takes longer than many a run. It is imported once, here, and every run is a fork of
this process, as clean as a new one and as easily killed. Where there is no fork, a process carries
out one order and ends. The forkserver of `multiprocessing` would do the same, but it imports the
user's script first, so that `auxbench.run` would fail in every script without a main guard.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from auxbench.errors import AuxbenchError, Stopped, UsageError, reason
from auxbench.execution.execute import Report, execute, provenance_of
from auxbench.records.record import record
from auxbench.spec.run import Run

PRELOADED = (
    "auxbench.networks.backbone",
    "auxbench.spec.method",
    "auxbench.training.loop",
    "auxbench.cost.inference",
)


def main() -> None:
    """Carry out one order after the other and say how each ended."""
    # Whatever a library prints must not get between the events.
    events = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1, encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def report(event: dict[str, Any]) -> None:
        events.write(json.dumps(event) + "\n")

    for line in sys.stdin:
        order = json.loads(line)
        if not hasattr(os, "fork"):
            sys.exit(work(order, report))
        child = os.fork()
        if child == 0:
            os._exit(work(order, report))
        _, status = os.waitpid(child, 0)
        report({"event": "ended", "code": os.waitstatus_to_exitcode(status)})


def work(order: dict[str, Any], report: Report) -> int:
    """Carry out the ordered run and send its record as the last event; the process's exit code."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: stop.set())
    with Path(order["folder"], "log.txt").open("a", encoding="utf-8") as log:
        os.dup2(log.fileno(), sys.stderr.fileno())
        os.dup2(log.fileno(), sys.stdout.fileno())
    try:
        run = replace(Run.from_json(order["run"]), where=order["where"])
        ended = outcome(run, order, report, stop.is_set)
    except Stopped:
        return 128 + signal.SIGTERM
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
    report({"event": "record", "record": ended})
    return 0


def outcome(
    run: Run, order: dict[str, Any], report: Report, stopping: Callable[[], bool]
) -> dict[str, Any]:
    """The record of a run, whatever becomes of it."""
    import torch

    if order["threads"]:
        torch.set_num_threads(order["threads"])
    try:
        return execute(run, Path(order["folder"]), order["device"], report, stopping)
    except Stopped:
        raise
    except UsageError as error:
        return record(run, "skipped", str(error), provenance=_provenance_of(run))
    except AuxbenchError as error:
        return record(run, "error", str(error))
    except (MemoryError, torch.OutOfMemoryError) as error:
        return record(run, "oom", reason(error))
    except Exception as error:
        traceback.print_exc()
        status = "oom" if "can't allocate memory" in str(error) else "error"
        return record(run, status, f"{type(error).__name__}: {reason(error)}")


def _provenance_of(run: Run) -> dict[str, Any] | None:
    """The reason for skipping a run may also be what keeps its provenance from being told."""
    try:
        return provenance_of(run)
    except AuxbenchError:
        return None


if __name__ == "__main__":
    main()
