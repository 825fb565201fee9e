"""Runs on this machine: each in its own process, several at a time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from auxbench.execution.limits import GRACE
from auxbench.execution.process import Process, foretell, start, taken
from auxbench.execution.queue import Attempt, Lost, Queue
from auxbench.execution.resources import Resources, resolve, slots, threads_of, workers_of
from auxbench.records.record import record
from auxbench.records.validity import fault
from auxbench.spec.run import Run

STOPPED = 128 + signal.SIGTERM  # exit code of a run that was asked to end, and has been saved


class Local(Queue):
    """The worker processes of this machine, one for every run in progress (see `worker`).

    `prepares` has each run's process prepare backbones and data, for machines on which nothing was
    prepared before.
    """

    def __init__(self, resources: Resources, prepares: bool = False) -> None:
        super().__init__(resources)
        self.device = resolve(resources.device)
        # Summation order depends on the threads, so their number must not depend on the runs left.
        self.threads = threads_of(resources.threads, self.at_once)
        self.workers = workers_of(resources.workers, self.device, self.at_once)
        self.prepares = prepares
        self.processes: set[Process] = set()
        self.idle: list[Process] = []
        self.lock = threading.Lock()

    @property
    def at_once(self) -> int:
        return slots(self.device, self.resources.jobs)

    def prepare(self, runs: list[Run]) -> None:
        from auxbench.execution.preparation import prepare

        foretell(list(dict.fromkeys(run.backbone for run in runs)))
        prepare(runs)

    def run(self, attempt: Attempt) -> dict[str, Any] | None:
        order = attempt.order(self.device, self.threads, self.workers, self.prepares)
        with (attempt.folder / "log.txt").open("a", encoding="utf-8") as log:
            process = self.take(log)
        if process is None:
            return None
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # the process has died; `listen` finds out how
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
        try:
            ended = listen(process, attempt)
        finally:
            with self.lock:
                if process.poll() is None:
                    self.idle.append(process)
                else:
                    self.processes.discard(process)
                    if not self.stopping:
                        process.communicate()  # closes what led to it
        return None if self.stopping else ended

    def take(self, log: Any) -> Process | None:
        """An idle or a new process, or None if everything is being stopped."""
        with self.lock:
            if self.stopping:
                return None
            if self.idle:
                return self.idle.pop()
            process = taken(self.threads) or start(self.threads, log)
            self.processes.add(process)
        return process

    def close(self) -> None:
        with self.lock:
            for process in self.idle:
                process.communicate()  # closes its input, which makes it exit

    def stop(self) -> None:
        with self.lock:
            self.stopping = True
            alive = [process for process in self.processes if process.poll() is None]
        _stop(alive)
        self.close()


def listen(process: Process, attempt: Attempt) -> dict[str, Any]:
    """Forward a run's events until it ends; return its record, or one saying how it died.

    Errors: `Lost` if its process was ended by a signal.
    """
    run, ended = attempt.run, None
    code: int | None = None
    status = reason = ""
    assert process.stdout is not None
    while code is None and (line := process.stdout.readline()):
        try:
            event = json.loads(line, parse_constant=lambda name: None)
            if event["event"] == "record":
                given = {**event["record"], "id": run.id}
                if wrong := fault({"status": None, **given}):
                    raise ValueError(wrong)
                ended = given
            elif event["event"] == "ended":
                code, status, reason = int(event["code"]), str(event["status"]), event["reason"]
            elif event["event"] == "said":
                attempt.say(str(event["text"]))
            else:
                attempt.stepped(int(event["step"]), int(event["steps"]))
        except (ArithmeticError, ValueError, TypeError, LookupError, RecursionError):
            _stop([process])
            return record(run, "error", "its process sent a line that is no event; see log.txt")
    if code is None:  # the process itself has ended, and its run with it
        code = process.wait()
    if ended is not None:
        return ended
    if status:
        return record(run, status, str(reason))
    if code < 0:
        raise Lost(f"the process was ended by signal {-code}")
    if code == STOPPED:
        raise Lost("the process was asked to end from outside")
    return record(run, "error", f"the process ended with exit code {code}; see its log.txt")


def _stop(processes: Sequence[Process]) -> None:
    """End processes, which make their runs save, and kill those that do not; wait for them."""
    for process in processes:
        _end(process, signal.SIGTERM)
    for process in processes:
        try:
            process.wait(GRACE + 10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _end(process: Process, number: int) -> None:
    """Send a signal to a process and to those in its group."""
    with suppress(ProcessLookupError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, number)
        else:
            process.terminate()
