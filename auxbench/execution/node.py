"""A node of a Ray cluster: what it does for a run, and what it sends back."""

from __future__ import annotations

import json
import os
import queue
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from auxbench.errors import reason
from auxbench.execution.limits import Limits
from auxbench.execution.local import Local
from auxbench.execution.queue import Attempt, Lost
from auxbench.execution.resources import Resources
from auxbench.execution.weights import FILE as WEIGHTS
from auxbench.networks.pretrained import adopt
from auxbench.records.claims import owner_of
from auxbench.records.predictions import FILE as PREDICTIONS
from auxbench.spec.files import Files
from auxbench.spec.run import Run

CHECKPOINT, LOG = "state.pt", "log.txt"
SENT = (LOG, PREDICTIONS, WEIGHTS)  # what a run leaves in its folder
LOOK = 1.0  # seconds between two looks at a run's checkpoint and at the bell

Event = tuple[str, Any]

_LOCALS: dict[str, Local] = {}


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
    folder, parts = Path(order["folder"]), Path(tempfile.mkdtemp(prefix="auxbench-parts-"))
    owner = owner_of(folder) if order["token"] else None
    shares = owner is not None and owner.token == order["token"]
    if not shares:
        folder = Path(tempfile.mkdtemp(prefix="auxbench-"))
    try:
        if not shares and sent["state"][0] is not None:
            (folder / CHECKPOINT).write_bytes(_get(sent["state"][0]))
        if sent["weights"][0] is not None:
            adopt(order["run"]["weights"], *_get(sent["weights"][0]))
        order = {**order, "files": _present(order["files"], sent["files"], parts)}
        yield from _events(order, folder, shares, bell)
    finally:
        shutil.rmtree(parts, ignore_errors=True)
        if not shares:
            shutil.rmtree(folder, ignore_errors=True)


def _present(files: Files, contents: Sequence[bytes], parts: Path) -> Files:
    """The files of the user's own parts on this node; those that it lacks are written to `parts`.

    Others may lie beside them there, such as data, so they are not moved without need.
    """
    found = []
    for (registry, path), content in zip(files, contents, strict=True):
        file = Path(path)
        if not (file.is_file() and file.read_bytes() == content):
            file = parts / registry / file.name
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(content)
        found.append((registry, str(file)))
    return tuple(found)


def _events(order: Mapping[str, Any], folder: Path, shares: bool, bell: Any) -> Iterator[Event]:
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    run = Run.ordered(order)
    attempt = Attempt(
        run,
        folder,
        Limits(**order["limits"]),
        lambda step, steps: events.put(("step", (step, steps))),
        lambda text: events.put(("said", text)),
        order["predictions"],
        order["keep"],
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
                        done = kind == "record" and value and value["status"] == "done"
                        yield from _files(folder, _time(folder / CHECKPOINT) if done else seen)
                    yield kind, value
                    return
                yield kind, value
            if time.monotonic() - looked < LOOK:
                continue
            looked = time.monotonic()
            if not shares and (now := _time(folder / CHECKPOINT)) != seen:
                seen = now
                yield CHECKPOINT, (folder / CHECKPOINT).read_bytes()
            if not local.stopping and _get(bell.is_rung.remote()):
                local.stop()
    finally:
        if worker.is_alive() or local.stopping:  # also where Ray cancels the task
            _LOCALS.clear()
            local.stop()


def _get(reference: Any) -> Any:
    """The object of a reference, waited for outside the main thread.

    While the main thread of a task waits for an object, Ray gives the task's cores to another task.
    """
    import ray

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(ray.get, reference).result()


def _local(order: Mapping[str, Any]) -> Local:
    """The worker processes of this Ray process, kept for its next run."""
    words = {key: order[key] for key in ("device", "threads", "workers")}
    key = json.dumps([words, os.environ.get("CUDA_VISIBLE_DEVICES")])
    if key not in _LOCALS:
        _LOCALS[key] = Local(Resources(**words, jobs=1), prepares=True)
    return _LOCALS[key]


def _files(folder: Path, seen: int) -> Iterator[Event]:
    """The files that a run leaves, and its checkpoint if it is newer than the one that was sent."""
    for name in SENT:
        if (folder / name).exists():
            yield name, (folder / name).read_bytes()
    if _time(folder / CHECKPOINT) != seen:
        yield CHECKPOINT, (folder / CHECKPOINT).read_bytes()


def _time(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
