"""The process of one run: a JSON order on standard input, JSON events on standard output."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from auxbench.errors import AuxbenchError, Stopped, UsageError
from auxbench.runs import Report, Run, execute, record


def main() -> None:
    """Carry out the ordered run and send its record as the last event."""
    # Whatever a library prints must not get between the events.
    events = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1, encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def report(event: dict[str, Any]) -> None:
        events.write(json.dumps(event) + "\n")

    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: stop.set())
    order = json.loads(sys.stdin.read())
    run = Run.from_json(order["run"])
    try:
        ended = outcome(run, order, report, stop.is_set)
    except Stopped:
        sys.exit(128 + signal.SIGTERM)
    report({"event": "record", "record": ended})


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
        return record(run, "skipped", str(error))
    except AuxbenchError as error:
        return record(run, "error", str(error))
    except (MemoryError, torch.OutOfMemoryError) as error:
        return record(run, "oom", _one_line(error))
    except Exception as error:
        traceback.print_exc()
        status = "oom" if "can't allocate memory" in str(error) else "error"
        return record(run, status, f"{type(error).__name__}: {_one_line(error)}")


def _one_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else "no message"


if __name__ == "__main__":
    main()
