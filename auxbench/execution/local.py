"""Runs on this machine: a process for each, several at a time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from auxbench.data.machine import cores
from auxbench.errors import UsageError
from auxbench.execution.progress import Progress
from auxbench.execution.study import Study
from auxbench.records.record import record
from auxbench.records.store import Store
from auxbench.spec.run import Run

Listener = Callable[[dict[str, Any]], None]


def carry_out(
    study: Study,
    store: Store,
    *,
    device: str = "auto",
    jobs: int | None = None,
    threads: int | None = None,
    retry: bool = False,
    quiet: bool = False,
) -> None:
    """Run what of the study is missing in the store, and append a record for every run that ends.

    On Ctrl-C the processes are stopped; they go on from their checkpoints next time.
    """
    done, missing, stale = study.split(store, retry)
    device = resolve(device)
    # The order of sums depends on the threads, so their number must not depend on what is missing.
    threads = threads_of(threads, slots(device, jobs))
    jobs = max(1, min(slots(device, jobs), len(missing)))
    prepare(missing)
    workers = Workers(store, device, threads)
    reasons = Counter(stale.values())
    with (
        Progress(missing, len(done), jobs, quiet, reasons) as progress,
        ThreadPoolExecutor(jobs) as pool,
    ):
        try:
            futures = [pool.submit(workers.run, run, progress) for run in missing]
            for future in futures:
                future.result()
            workers.close()
        except BaseException:
            workers.stop()
            pool.shutdown(cancel_futures=True)
            raise


def slots(device: str, jobs: int | None) -> int:
    """The number of runs at a time: the user's, or one on a GPU, or one per core up to 8.

    Errors: `UsageError` for fewer than one.
    """
    if jobs is not None:
        if jobs < 1:
            raise UsageError(f"jobs is {jobs}; ask for at least 1.")
        return jobs
    return 1 if device.startswith("cuda") else min(cores(), 8)


def threads_of(asked: int | None, at_once: int) -> int:
    """The threads of a run: what the user says, or OMP_NUM_THREADS, or its share of the cores.

    Errors: `UsageError` for fewer than one.
    """
    if asked is not None:
        if asked < 1:
            raise UsageError(f"threads is {asked}; ask for at least 1.")
        return asked
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if first.isdecimal() and int(first):
        return int(first)
    return max(1, cores() // at_once)


def resolve(device: str) -> str:
    """The device that 'auto' stands for; errors: `UsageError` for one that is not there."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(
            f"device '{device}' cannot be used ({reason}); choose cpu, or cuda with a GPU."
        ) from None
    return device


def prepare(runs: list[Run]) -> None:
    """Make backbones and data ready once, before many processes want them at the same time."""
    from auxbench.data.dataset import make_dataset
    from auxbench.networks import backbone
    from auxbench.networks.pretrained import kept

    sets = {
        (run.located, run.recipe.side, run.draw): make_dataset(
            run.located, run.recipe.side, run.draw
        )
        for run in runs
    }
    nets = {
        (run.located, run.recipe.side, run.backbone, run.pretrained, run.weights): run
        for run in runs
    }
    # first, because one that cannot be built is known in seconds
    for run in nets.values():
        data = sets[run.located, run.recipe.side, run.draw]
        start = kept(run.weights) if run.weights else run.pretrained
        backbone.build(run.backbone, data.size, start, data.features)
    for data in sets.values():
        data.prepare()


class Workers:
    """The processes in which runs are born, one for every run that is under way (see `worker`)."""

    def __init__(self, store: Store, device: str, threads: int) -> None:
        self.store = store
        self.device = device
        self.threads = threads
        self.stopping = False
        self.processes: set[subprocess.Popen[str]] = set()
        self.idle: list[subprocess.Popen[str]] = []
        self.lock = threading.Lock()

    def run(self, run: Run, progress: Progress) -> None:
        """Carry out one run in a process of its own, and store what it sends."""
        folder = self.store.run_folder(run.id)
        folder.mkdir(parents=True, exist_ok=True)
        order = {
            "run": run.to_json(),
            "where": run.where,
            "folder": str(folder),
            "device": self.device,
            "threads": self.threads,
        }
        progress.started(run)
        with (folder / "log.txt").open("a", encoding="utf-8") as log:
            process = self.take(log)
        if process is None:
            return
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            pass  # it has died; listening tells how
        ended = self.listen(run, process, progress)
        with self.lock:
            if self.stopping:
                return
            if process.poll() is None:
                self.idle.append(process)
            else:
                self.processes.discard(process)
        self.store.append(ended)
        progress.finished(run, ended)
        if ended["status"] == "done":
            for checkpoint in folder.glob("state*.pt"):
                checkpoint.unlink()

    def take(self, log: Any) -> subprocess.Popen[str] | None:
        """An idle process or a fresh one, or None when everything is being stopped."""
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
                start_new_session=True,  # Ctrl-C is for this process, which then ends the others
                env={**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads},
            )
            self.processes.add(process)
        return process

    def listen(
        self, run: Run, process: subprocess.Popen[str], progress: Progress
    ) -> dict[str, Any]:
        """Pass on the run's events until it ends; its record, or one that says how it died."""
        ended: dict[str, Any] | None = None
        code: int | None = None
        assert process.stdout is not None
        while code is None and (line := process.stdout.readline()):
            event = json.loads(line)
            if event["event"] == "record":
                ended = event["record"]
            elif event["event"] == "ended":
                code = event["code"]
            elif event["event"] == "said":
                progress.say(f"{run.dataset} {run.label}: {event['text']}")
            else:
                progress.stepped(run, event["step"], event["steps"])
        if code is None:  # the process itself has ended, and the run with it
            code = process.wait()
        if ended is not None:
            return ended
        if code < 0:
            return record(run, "killed", f"the process was ended by signal {-code}")
        return record(run, "error", f"the process ended with exit code {code}; see its log.txt")

    def close(self) -> None:
        """Let the idle processes end."""
        with self.lock:
            for process in self.idle:
                process.communicate()  # closes its input, which is the end of its work

    def stop(self) -> None:
        """End all processes; nothing is recorded of them."""
        with self.lock:
            self.stopping = True
            for process in self.processes:
                if process.poll() is None:
                    _terminate(process)
        self.close()


def _terminate(process: subprocess.Popen[str]) -> None:
    """End a process and the run that it has forked, which saves its state first."""
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGTERM)
    else:
        process.terminate()
