"""Runs on a Ray cluster: every run is a task, placed where its cores, memory and GPU are free.

A node that sees the results folder works in it. Others get the run's checkpoint through Ray's
object store, and send new ones and the record back through it, so that a run whose node dies goes
on elsewhere from the last checkpoint. A task is carried out by the worker process of `Local`, so
limits, logs and results are those of a run on this machine.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from auxbench.errors import UsageError, reason, suggestion
from auxbench.execution.limits import GRACE
from auxbench.execution.node import CHECKPOINT, Bell, carry
from auxbench.execution.queue import Attempt, Lost, Queue
from auxbench.execution.resources import Resources, threads_of
from auxbench.networks.pretrained import kept
from auxbench.records.claims import owner_of
from auxbench.spec.run import Run

OPTIONS = ("num_gpus", "resources", "scheduling_strategy", "shared")


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
        self.waiting = set[Any]()  # tasks that have not answered yet; they may not have a node
        self.told = False
        self.connect()
        self.task = self.ray.remote(num_returns="streaming")(carry)
        self.bell = self._bell()

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

    def _bell(self) -> Any:
        """A bell on this node, since it must not end with a node that only carries out runs."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = self.ray.get_runtime_context().get_node_id()
        place = NodeAffinitySchedulingStrategy(here, soft=False)
        return self.ray.remote(num_cpus=0, scheduling_strategy=place)(Bell).remote()

    @property
    def at_once(self) -> int:
        """The runs that the cluster has room for now, unless `jobs` says another number."""
        if self.resources.jobs is not None:
            if self.resources.jobs < 1:
                raise UsageError(f"jobs is {self.resources.jobs}; ask for at least 1.")
            return self.resources.jobs
        return max(1, self.room())

    def room(self) -> int:
        """The runs that the nodes of the cluster have all the resources for, whoever uses them."""
        named = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory"}
        needs = {key: self.needs.get(name) for key, name in named.items()}
        needs |= self.needs.get("resources") or {}
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        return sum(
            min(int(node.get(key, 0) / share + 1e-9) for key, share in needs.items() if share)
            for node in nodes
        )

    def prepare(self, runs: list[Run]) -> None:
        """Send initial weights to the cluster; data are prepared on the nodes that need them."""
        for digest in {run.weights for run in runs} - {""}:
            file = kept(digest)
            self.weights[digest] = self.ray.put((file.suffix, file.read_bytes()))

    def run(self, attempt: Attempt) -> dict[str, Any] | None:
        run, folder = attempt.run, attempt.folder
        owner = owner_of(folder)
        order = {
            **attempt.order(self.device, self.threads, self.resources.workers),
            "folder": str(folder.resolve()),
            "token": owner.token if owner and self.shared else "",
        }
        file, ended = folder / CHECKPOINT, None
        state = self.ray.put(file.read_bytes()) if file.exists() else None
        # A reference inside a list is fetched only by a node that asks for it.
        sent = {
            "state": [state],
            "weights": [self.weights.get(run.weights)],
            "files": [Path(path).read_bytes() for _, path in run.files],
        }
        if not self.room():
            self.lacking(attempt.say)
        with self.lock:
            if self.stopping:
                return None
            answers = self.task.options(**self.needs).remote(order, sent, self.bell)
            self.waiting.add(answers)
            self.left += 1
        try:
            for answer in answers:
                kind, value = self.ray.get(answer)
                self.waiting.discard(answers)
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
            self.waiting.discard(answers)
            with self.lock:
                self.left -= 1
        return ended

    def lacking(self, say: Callable[[str], None]) -> None:
        """Say once that no node can carry out a run, which waits for one that can."""
        with self.lock:
            told, self.told = self.told, True
        if not told:
            needs = ", ".join(f"{key} {value}" for key, value in self.needs.items() if value)
            say(f"no node of the cluster has what a run needs ({needs}); it waits for one")

    def close(self) -> None:
        if not self.joined:
            self.ray.shutdown()

    def stop(self) -> None:
        with suppress(Exception):  # the cluster may be what has failed
            self.bell.ring.remote()
            for answers in list(self.waiting):
                self.ray.cancel(answers)
        patience = time.monotonic() + GRACE + 10
        while self.left and time.monotonic() < patience:
            time.sleep(0.1)
        self.close()


def _replace(file: Path, content: bytes) -> None:
    draft = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    draft.write_bytes(content)
    os.replace(draft, file)
