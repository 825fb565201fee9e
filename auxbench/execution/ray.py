"""Runs on a Ray cluster: every run is a task, placed where its cores, memory and GPU are free.

A node that sees the results folder works in it. Others get the run's checkpoint through Ray's
object store, and send new ones and the record back through it, so that a run whose node dies goes
on elsewhere from the last checkpoint. A task is carried out by the worker process of `Local`, so
limits, logs and results are those of a run on this machine.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from auxbench.errors import UsageError, reason, suggestion
from auxbench.execution.limits import GRACE, Limits
from auxbench.execution.local import Local
from auxbench.execution.queue import Attempt, Lost, Queue
from auxbench.execution.resources import Resources, threads_of
from auxbench.networks.pretrained import adopt, kept
from auxbench.records.claims import owner_of
from auxbench.spec.run import Run

CHECKPOINT, LOG = "state.pt", "log.txt"
LOOK = 1.0  # seconds between two looks of a node at a run's checkpoint and at the bell
OPTIONS = ("num_gpus", "resources", "scheduling_strategy", "shared")

Event = tuple[str, Any]

_LOCALS: dict[str, Local] = {}


class Ray(Queue):
    """Tasks on a Ray cluster: at `address` or RAY_ADDRESS, or else on one of this machine.

    Its options are `num_gpus` of a run, which may be a fraction, `resources` and
    `scheduling_strategy`, which are Ray's, and `shared`: false if no node sees the results folder.
    """

    def __init__(self, resources: Resources) -> None:
        super().__init__(resources)
        unknown = [key for key in resources.options if key not in OPTIONS]
        if unknown:
            raise UsageError(
                f"executor ray has no option '{unknown[0]}'; {suggestion(unknown[0], OPTIONS)}"
            )
        try:
            import ray
        except ImportError:
            raise UsageError(
                "executor 'ray' needs the package ray; pip install 'auxbench[ray]'."
            ) from None
        self.ray: Any = ray
        self.threads = threads_of(resources.threads or 1, 1)
        options = dict(resources.options)
        self.shared = bool(options.pop("shared", True))
        gpu = bool(options.get("num_gpus")) or resources.device.startswith("cuda")
        self.device = ("cuda" if gpu else "cpu") if resources.device == "auto" else resources.device
        self.needs = {"num_cpus": self.threads, "num_gpus": int(gpu), "max_retries": 0, **options}
        if resources.limits.memory < float("inf"):
            self.needs["memory"] = int(resources.limits.memory)
        self.weights: dict[str, Any] = {}
        self.lock = threading.Lock()
        self.left = 0
        self.connect()
        self.task = self.ray.remote(num_returns="streaming")(carry)
        self.bell = self.ray.remote(num_cpus=0)(Bell).remote()

    def connect(self) -> None:
        """Connect to the cluster, or start one on this machine."""
        self.joined = self.ray.is_initialized()  # by the user's own script
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        address = self.resources.address or os.environ.get("RAY_ADDRESS")
        try:
            self.ray.init(
                address=address,
                log_to_driver=False,
                logging_level="error",
                ignore_reinit_error=True,
            )
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            raise UsageError(
                f"address '{address}' leads to no Ray cluster ({reason(error)}); start one with "
                "ray start --head, or name another."
            ) from None
        finally:
            for number, handler in handlers.items():  # Ray replaces that of SIGTERM
                with suppress(ValueError):  # only the main thread may
                    signal.signal(number, handler)

    @property
    def at_once(self) -> int:
        """The runs that the cluster has cores or GPUs for, unless `jobs` says another number."""
        if self.resources.jobs is not None:
            if self.resources.jobs < 1:
                raise UsageError(f"jobs is {self.resources.jobs}; ask for at least 1.")
            return self.resources.jobs
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        kind, share = ("GPU", self.needs["num_gpus"])
        if not share:
            kind, share = ("CPU", self.threads)
        return max(1, sum(int(node.get(kind, 0) / share) for node in nodes))

    def prepare(self, runs: list[Run]) -> None:
        """Send initial weights to the cluster; data are prepared on the nodes that need them."""
        for digest in {run.weights for run in runs} - {""}:
            file = kept(digest)
            self.weights[digest] = self.ray.put((file.suffix, file.read_bytes()))

    def run(self, attempt: Attempt) -> dict[str, Any] | None:
        run, folder = attempt.run, attempt.folder
        owner = owner_of(folder)
        order = {
            "run": run.to_json(),
            "where": run.where,
            "folder": str(folder.resolve()),
            "token": owner.token if owner and self.shared else "",
            "device": self.device,
            "threads": self.threads,
            "workers": self.resources.workers,
            "limits": asdict(self.resources.limits),
        }
        file, ended = folder / CHECKPOINT, None
        state = self.ray.put(file.read_bytes()) if file.exists() else None
        # A reference inside a list is fetched only by a node that asks for it.
        sent = {"state": [state], "weights": [self.weights.get(run.weights)]}
        with self.lock:
            if self.stopping:
                return None
            self.left += 1
        try:
            for answer in self.task.options(**self.needs).remote(order, sent, self.bell):
                kind, value = self.ray.get(answer)
                if kind == "record":
                    ended = value
                elif kind == "step":
                    attempt.stepped(*value)
                elif kind == "said":
                    attempt.say(value)
                elif kind == "lost":
                    raise Lost(value)
                else:
                    _replace(folder / kind, value)
        except self.ray.exceptions.RayTaskError as error:
            raise Lost(f"its node could not carry it out: {reason(error.cause)}") from None
        except self.ray.exceptions.RayError as error:
            raise Lost(f"its node was lost ({type(error).__name__})") from None
        finally:
            with self.lock:
                self.left -= 1
        return ended

    def close(self) -> None:
        if not self.joined:
            self.ray.shutdown()

    def stop(self) -> None:
        with suppress(Exception):  # the cluster may be what has failed
            self.bell.ring.remote()
        patience = time.monotonic() + GRACE + 10
        while self.left and time.monotonic() < patience:
            time.sleep(0.1)
        self.close()


class Bell:
    """An actor that tells all nodes when runs are to be saved and stopped."""

    def __init__(self) -> None:
        self.rung = False

    def ring(self) -> None:
        """Have all runs stopped."""
        self.rung = True

    def is_rung(self) -> bool:
        """Return whether runs are to stop."""
        return self.rung


def carry(order: Mapping[str, Any], sent: Mapping[str, Any], bell: Any) -> Iterator[Event]:
    """Carry out a run on a node, and yield what happens to it.

    Events are ("step", (step, steps)), ("said", text), (name, bytes) for a file of the run's folder
    that the other side cannot see, and finally ("record", record or None) or ("lost", reason).
    """
    import ray

    folder = Path(order["folder"])
    owner = owner_of(folder) if order["token"] else None
    shares = owner is not None and owner.token == order["token"]
    if not shares:
        folder = Path(tempfile.mkdtemp(prefix="auxbench-"))
    try:
        if not shares and sent["state"][0] is not None:
            (folder / CHECKPOINT).write_bytes(ray.get(sent["state"][0]))
        if sent["weights"][0] is not None:
            adopt(order["run"]["weights"], *ray.get(sent["weights"][0]))
        yield from _events(order, folder, shares, bell)
    finally:
        if not shares:
            shutil.rmtree(folder, ignore_errors=True)


def _events(order: Mapping[str, Any], folder: Path, shares: bool, bell: Any) -> Iterator[Event]:
    import ray

    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    run = replace(Run.from_json(order["run"]), where=order["where"])
    attempt = Attempt(
        run,
        folder,
        Limits(**order["limits"]),
        lambda step, steps: events.put(("step", (step, steps))),
        lambda text: events.put(("said", text)),
    )
    local = _local(order)

    def work() -> None:
        try:
            events.put(("record", local.run(attempt)))
        except Lost as loss:
            events.put(("lost", str(loss)))
        except BaseException as error:
            events.put(("lost", f"{type(error).__name__}: {reason(error)}"))

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    seen, looked = _time(folder / CHECKPOINT), time.monotonic()
    try:
        while True:
            with suppress(queue.Empty):
                kind, value = events.get(timeout=LOOK)
                if kind in ("record", "lost"):
                    if not shares:
                        yield from _files(folder, seen)
                    yield kind, value
                    return
                yield kind, value
            if time.monotonic() - looked < LOOK:
                continue
            looked = time.monotonic()
            if not shares and (now := _time(folder / CHECKPOINT)) != seen:
                seen = now
                yield CHECKPOINT, (folder / CHECKPOINT).read_bytes()
            if not local.stopping and ray.get(bell.is_rung.remote()):
                local.stop()
    finally:
        if worker.is_alive() or local.stopping:  # also where Ray cancels the task
            _LOCALS.clear()
            local.stop()


def _local(order: Mapping[str, Any]) -> Local:
    """The worker processes of this Ray process, kept for its next run."""
    words = {key: order[key] for key in ("device", "threads", "workers")}
    key = json.dumps([words, os.environ.get("CUDA_VISIBLE_DEVICES")])
    if key not in _LOCALS:
        _LOCALS[key] = Local(Resources(**words, jobs=1), prepares=True)
    return _LOCALS[key]


def _files(folder: Path, seen: int) -> Iterator[Event]:
    """The log of a run, and its checkpoint if it is newer than what was sent."""
    if (folder / LOG).exists():
        yield LOG, (folder / LOG).read_bytes()
    if _time(folder / CHECKPOINT) != seen:
        yield CHECKPOINT, (folder / CHECKPOINT).read_bytes()


def _time(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _replace(file: Path, content: bytes) -> None:
    draft = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    draft.write_bytes(content)
    os.replace(draft, file)
