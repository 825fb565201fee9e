"""Runs on this machine: each in its own process, several at a time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from auxbench.errors import AuxbenchError
from auxbench.execution.limits import GRACE, Limits
from auxbench.execution.preparation import prepare
from auxbench.execution.progress import Progress
from auxbench.execution.resources import Resources, resolve, slots, threads_of
from auxbench.execution.study import Study
from auxbench.execution.together import TEAM, Order
from auxbench.records.claims import Claims, owner_of
from auxbench.records.record import FINAL, record
from auxbench.records.store import Store
from auxbench.records.tail import Tail
from auxbench.spec.run import Run

NO_LIMITS = Limits()
AGAIN = 2  # times that a run is tried again whose process was killed, as by a lack of memory
BY_SIGNAL = "the process was ended by signal"
WAIT = 2.0  # seconds between two looks at runs that other processes carry out


def carry_out(
    study: Study,
    store: Store,
    resources: Resources,
    *,
    retry: bool = False,
    quiet: bool = False,
) -> None:
    """Carry out the study's missing runs, and append a record to the store for every run that ends.

    Other processes may do the same at the same time: what one of them has claimed is theirs, and is
    waited for. On Ctrl-C the processes are stopped; they go on from their checkpoints next time. A
    team of processes trains one run at a time.
    """
    tail = store.tail()  # before what is recorded is read, so that nothing is missed between
    done, missing, stale = study.split(store, retry)
    device = resolve(resources.device)
    # Summation order depends on the threads, so their number must not depend on what is missing.
    at_once = 1 if TEAM else slots(device, resources.jobs)
    threads = threads_of(resources.threads, TEAM[0].here if TEAM else at_once)
    for team in TEAM:
        team.check(missing, device, resources.jobs, resources.limits)
    jobs = max(1, min(at_once, len(missing)))
    prepare(missing)
    reasons = Counter(stale.values())
    with (
        Claims() as claims,
        Progress(missing, len(done), jobs, quiet, reasons) as progress,
        ThreadPoolExecutor(jobs) as pool,
    ):
        workers = Workers(store, device, threads, claims, tail, resources.limits)
        try:
            left = list(missing)
            while left:
                settled = pool.map(workers.attempt, left, [progress] * len(left))
                before = len(left)
                left = [run for run, done in zip(left, list(settled), strict=True) if not done]
                if len(left) == before:
                    progress.waits(len(left), owner_of(store.run_folder(left[0].id)))
                    time.sleep(WAIT)
            workers.close()
        except BaseException:
            workers.stop()
            pool.shutdown(cancel_futures=True)
            raise


class Workers:
    """The worker processes, one for every run in progress (see `worker`)."""

    def __init__(
        self,
        store: Store,
        device: str,
        threads: int,
        claims: Claims,
        tail: Tail,
        limits: Limits = NO_LIMITS,
    ) -> None:
        self.store = store
        self.device = device
        self.threads = threads
        self.claims = claims
        self.tail = tail
        self.limits = limits
        self.stopping = False
        self.processes: set[subprocess.Popen[str]] = set()
        self.idle: list[subprocess.Popen[str]] = []
        self.lock = threading.Lock()

    def attempt(self, run: Run, progress: Progress) -> bool:
        """Carry out a run unless another process does; False if it is not settled yet."""
        if run.id in self.tail.statuses():
            progress.settled(run)
            return True
        if not self.claims.take(run.id, self.store.run_folder(run.id), run.to_json()):
            return False
        try:
            if run.id in self.tail.statuses():  # recorded between the look and the claim
                progress.settled(run)
            else:
                self.run(run, progress)
        finally:
            self.claims.release(run.id)
        return True

    def run(self, run: Run, progress: Progress) -> None:
        """Carry out one run, in its own process or with the team, and store its record."""
        folder = self.store.run_folder(run.id)
        order = {
            "run": run.to_json(),
            "where": run.where,
            "folder": str(folder),
            "device": self.device,
            "threads": self.threads,
            "limits": asdict(self.limits),
        }
        progress.started(run)
        ended = self.together(run, order, progress) if TEAM else self.apart(run, order, progress)
        if ended is None:
            return
        if self.claims.is_held(run.id):
            self.store.append(ended)
        progress.finished(run, ended)
        if ended["status"] == "done":
            for checkpoint in folder.glob("state*.pt"):
                checkpoint.unlink()
        if TEAM and ended["status"] not in FINAL:
            raise AuxbenchError(f"{run.label} failed, and other processes may wait for it.")

    def together(self, run: Run, order: Order, progress: Progress) -> dict[str, Any]:
        """Carry out a run in this process and all others of the team; return its record."""
        return TEAM[0].lead(order, lambda event: self.hear(run, event, progress))

    def apart(self, run: Run, order: Order, progress: Progress) -> dict[str, Any] | None:
        """Carry out a run in its own process; return its record, or None when all are stopped."""
        log_file = Path(order["folder"], "log.txt")
        for left in reversed(range(1 + AGAIN)):
            with log_file.open("a", encoding="utf-8") as log:
                process = self.take(log)
            if process is None:
                return None
            assert process.stdin is not None
            with suppress(BrokenPipeError):  # the process has died; `listen` finds out how
                process.stdin.write(json.dumps(order) + "\n")
                process.stdin.flush()
            ended = self.listen(run, process, progress)
            with self.lock:
                if self.stopping:
                    return None
                if process.poll() is None:
                    self.idle.append(process)
                else:
                    self.processes.discard(process)
                    process.communicate()  # closes what led to it
            if not (left and ended["reason"].startswith(BY_SIGNAL)):
                break
            progress.say(f"{run.dataset} {run.label}: {ended['reason']}; it is tried again")
        return ended

    def take(self, log: Any) -> subprocess.Popen[str] | None:
        """An idle or a new process, or None if everything is being stopped."""
        threads = str(self.threads)
        with self.lock:
            if self.stopping:
                return None
            if self.idle:
                return self.idle.pop()
            process = subprocess.Popen(
                [sys.executable, "-m", "auxbench.execution.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
                start_new_session=True,  # Ctrl-C reaches only this process, which stops the others
                env={**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads},
            )
            self.processes.add(process)
        return process

    def listen(
        self, run: Run, process: subprocess.Popen[str], progress: Progress
    ) -> dict[str, Any]:
        """Forward the run's events until it ends; return its record, or one saying how it died."""
        ended: dict[str, Any] | None = None
        code: int | None = None
        status = reason = ""
        assert process.stdout is not None
        while code is None and (line := process.stdout.readline()):
            try:
                event = json.loads(line)
                if event["event"] == "record":
                    ended = {**event["record"], "id": run.id}
                elif event["event"] == "ended":
                    code, status, reason = event["code"], event["status"], event["reason"]
                else:
                    self.hear(run, event, progress)
            except (ValueError, TypeError, KeyError, RecursionError):
                _stop([process])
                return record(run, "error", "its process sent a line that is no event; see log.txt")
        if code is None:  # the process itself has ended, and its run with it
            code = process.wait()
        if ended is not None:
            return ended
        if status:
            return record(run, status, reason)
        if code < 0:
            return record(run, "killed", f"{BY_SIGNAL} {-code}")
        return record(run, "error", f"the process ended with exit code {code}; see its log.txt")

    def hear(self, run: Run, event: dict[str, Any], progress: Progress) -> None:
        """Pass on what a run says or how far it is."""
        if event["event"] == "said":
            progress.say(f"{run.dataset} {run.label}: {event['text']}")
        else:
            progress.stepped(run, int(event["step"]), int(event["steps"]))
            self.claims.stepped(run.id, int(event["step"]), int(event["steps"]))

    def close(self) -> None:
        """Let the idle processes exit."""
        with self.lock:
            for process in self.idle:
                process.communicate()  # closes its input, which makes it exit

    def stop(self) -> None:
        """Stop all processes without recording their runs."""
        for team in TEAM:
            team.stopping.set()
        with self.lock:
            self.stopping = True
            alive = [process for process in self.processes if process.poll() is None]
        _stop(alive)
        self.close()


def _stop(processes: Sequence[subprocess.Popen[str]]) -> None:
    """End processes, which make their runs save, and kill those that do not; wait for them."""
    for process in processes:
        _end(process, signal.SIGTERM)
    for process in processes:
        try:
            process.wait(GRACE + 10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _end(process: subprocess.Popen[str], number: int) -> None:
    """Send a signal to a process and to those in its group."""
    with suppress(ProcessLookupError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, number)
        else:
            process.terminate()
