"""Runs on this machine: a process for each, several at a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from auxbench.execute.progress import Progress
from auxbench.runs import Run, record
from auxbench.store import Store
from auxbench.study import Study

Listener = Callable[[dict[str, Any]], None]


def carry_out(
    study: Study,
    store: Store,
    *,
    device: str = "auto",
    jobs: int | None = None,
    retry: bool = False,
    quiet: bool = False,
) -> None:
    """Run what of the study is missing in the store, and append a record for every run that ends.

    On Ctrl-C the processes are stopped; they go on from their checkpoints next time.
    """
    done, missing = study.split(store, retry)
    device = resolve(device)
    # The order of sums depends on the threads, so their number must not depend on what is missing.
    threads = max(1, cores() // slots(device, jobs))
    jobs = max(1, min(slots(device, jobs), len(missing)))
    prepare(missing)
    workers = Workers(store, device, threads)
    with Progress(missing, len(done), jobs, quiet) as progress, ThreadPoolExecutor(jobs) as pool:
        try:
            futures = [pool.submit(workers.run, run, progress) for run in missing]
            for future in futures:
                future.result()
        except BaseException:
            workers.stop()
            pool.shutdown(cancel_futures=True)
            raise


def cores() -> int:
    """The processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def slots(device: str, jobs: int | None) -> int:
    """How many runs at a time: what the user says, or one on a GPU, or one per core up to 8."""
    if jobs is not None:
        return jobs
    return 1 if device.startswith("cuda") else min(cores(), 8)


def resolve(device: str) -> str:
    """The device that 'auto' stands for; errors: `UsageError` for one that is not there."""
    import torch

    from auxbench.errors import UsageError

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
    from auxbench import backbone
    from auxbench.problem import make_dataset

    sets = [make_dataset(*of) for of in sorted({(run.dataset, run.recipe.side) for run in runs})]
    nets = sorted({(run.backbone, run.pretrained) for run in runs})
    for data in sets:  # a backbone that cannot be built is known in seconds, so it comes first
        for name, pretrained in nets:
            backbone.build(name, data.side, pretrained)
    for data in sets:
        data.prepare()


class Workers:
    """The processes that are running."""

    def __init__(self, store: Store, device: str, threads: int) -> None:
        self.store = store
        self.device = device
        self.threads = threads
        self.stopping = False
        self.processes: set[subprocess.Popen[str]] = set()
        self.lock = threading.Lock()

    def run(self, run: Run, progress: Progress) -> None:
        """Carry out one run in a process of its own, and store what it sends."""
        folder = self.store.run_folder(run.id)
        folder.mkdir(parents=True, exist_ok=True)
        order = {
            "run": run.to_json(),
            "folder": str(folder),
            "device": self.device,
            "threads": self.threads,
        }
        progress.started(run)
        with (folder / "log.txt").open("a", encoding="utf-8") as log:
            process = self.start(log)
            if process is None:
                return
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(order))
            process.stdin.close()
            ended = self.listen(run, process, progress)
        with self.lock:
            self.processes.discard(process)
            if self.stopping:
                return
        self.store.append(ended)
        progress.finished(run, ended)
        if ended["status"] == "done":
            (folder / "state.safetensors").unlink(missing_ok=True)

    def start(self, log: Any) -> subprocess.Popen[str] | None:
        """A fresh process, or None when everything is being stopped."""
        threads = str(self.threads)
        with self.lock:
            if self.stopping:
                return None
            process = subprocess.Popen(
                [sys.executable, "-m", "auxbench.execute.worker"],
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
        """Pass on the process's events until it ends; its record, or one that says how it died."""
        ended: dict[str, Any] | None = None
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "record":
                ended = event["record"]
            else:
                progress.stepped(run, event["step"], event["steps"])
        code = process.wait()
        if ended is not None:
            return ended
        if code < 0:
            return record(run, "killed", f"the process was ended by signal {-code}")
        return record(run, "error", f"the process ended with exit code {code}; see its log.txt")

    def stop(self) -> None:
        """End all processes; nothing is recorded of them."""
        with self.lock:
            self.stopping = True
            for process in self.processes:
                process.terminate()
