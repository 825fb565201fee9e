"""The worker process: it reads JSON orders from standard input and writes JSON events to stdout.

Importing torch takes longer than many runs. It is imported once, here, and every run is a fork of
this process, as clean as a new process and as easily killed. On systems without fork, a process
carries out one order and exits. The forkserver of `multiprocessing` would do the same, but it
imports the user's script first, so `auxbench.run` would fail in every script without a main guard.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from auxbench.errors import AuxbenchError, Stopped, UsageError, reason
from auxbench.execution.execute import Report, execute, provenance_of
from auxbench.execution.limits import Beats, Limits, Wake, die_with_parent, supervise
from auxbench.execution.preparation import prepare
from auxbench.networks.backbone import preload
from auxbench.networks.exported import import_early
from auxbench.records.record import record
from auxbench.spec.files import load
from auxbench.spec.run import Run


def main() -> None:
    """Carry out orders one after the other, and report how each ended."""
    # Output that a library prints must not mix with the events.
    events = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1, encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def report(event: dict[str, Any]) -> None:
        events.write(json.dumps(event) + "\n")

    if not hasattr(os, "fork"):
        order = _order()
        sys.exit(work(order, report, lambda: None) if order else 0)
    wake, beats = Wake(), Beats()
    while not wake.asked and (order := _order()):
        if "BACKBONES" not in [registry for registry, _ in order["files"]]:
            _preload([order["run"]["backbone"]])  # only a run imports what users write
        child = os.fork()
        if child == 0:
            os.setpgid(0, 0)  # so that it ends with all the processes that it starts
            die_with_parent()
            signal.set_wakeup_fd(-1)
            os._exit(work(order, report, beats.beat))
        import_early()  # while the first run trains, for those that follow
        code, status, reason = supervise(child, Limits(**order["limits"]), beats, wake)
        with suppress(BrokenPipeError):
            report({"event": "ended", "code": code, "status": status, "reason": reason})


def _order() -> dict[str, Any] | None:
    """The next order; None at the end. Backbones that are foretold are imported on the way."""
    while line := sys.stdin.readline():
        order: dict[str, Any] = json.loads(line)
        if "backbones" not in order:
            return order
        _preload(order["backbones"])
    return None


def _preload(backbones: Iterable[str]) -> None:
    """Import what backbones take, once for all the runs that this process forks."""
    for backbone in backbones:
        with suppress(AuxbenchError, ImportError):  # which the run reports
            preload(backbone)


def work(order: dict[str, Any], report: Report, beat: Callable[[], None]) -> int:
    """Carry out an order and send the record as the last event; return the process's exit code."""
    stop = threading.Event()
    for name in ("SIGTERM", "SIGHUP"):
        if number := getattr(signal, name, None):
            signal.signal(number, lambda number, frame: stop.set())

    def stopping() -> bool:
        beat()
        return stop.is_set()

    with Path(order["folder"], "log.txt").open("a", encoding="utf-8") as log:
        os.dup2(log.fileno(), sys.stderr.fileno())
        os.dup2(log.fileno(), sys.stdout.fileno())
    try:
        run = Run.ordered(order)
        ended = outcome(run, order, report, stopping)
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
    """The record of a run, whether it succeeds or fails."""
    import torch

    if order["threads"]:
        torch.set_num_threads(order["threads"])
    try:
        load(run.files)
        if order["prepare"]:
            prepare([run], stopping)
        folder, device = Path(order["folder"]), order["device"]
        kept = order["predictions"], order["keep"]
        return execute(run, folder, device, report, stopping, order["workers"], *kept)
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
    """The provenance of a run; None if it fails, as it may for the reason the run was skipped."""
    try:
        return provenance_of(run)
    except AuxbenchError:
        return None


if __name__ == "__main__":
    main()
