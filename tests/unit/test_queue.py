"""The queue: as many runs as there is room for, and one record of each, whoever carries it out."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from auxbench.execution import progress, queue
from auxbench.execution.queue import Attempt, Queue
from auxbench.execution.resources import Resources
from auxbench.execution.study import Study
from auxbench.records import claims
from auxbench.records.claims import FILE, Owner
from auxbench.records.record import record
from auxbench.records.store import Store
from auxbench.spec.run import Run


class Pretended(Queue):
    """An executor whose runs do something else, and end in an error."""

    def __init__(self, does: Callable[[Attempt], None], room: int = 1) -> None:
        super().__init__(Resources())
        self.does = does
        self.room = room

    @property
    def at_once(self) -> int:
        return self.room

    def prepare(self, runs: list[Run]) -> None: ...

    def run(self, attempt: Attempt) -> dict[str, Any]:
        self.does(attempt)
        return record(attempt.run, "error", "pretended")

    def stop(self) -> None: ...


def carry_out(executor: Queue, seeds: int, folder: Path) -> list[dict[str, Any]]:
    """The records, as they were appended, of a study that an executor has carried out."""
    study, store = Study.of("single", "toy", seeds=seeds), Store(folder)
    executor.carry_out(study, store, retry=False, quiet=True)
    return [json.loads(line) for line in store.file.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "LOOK", 0.02)
    monkeypatch.setattr(queue, "WAIT", 0.02)


def test_room_that_is_added_later_is_used(tmp_path: Path) -> None:
    together = threading.Barrier(3)

    def does(attempt: Attempt) -> None:
        executor.room = 3
        together.wait(30)  # for two more, which start while this one is carried out

    executor = Pretended(does)
    assert len(carry_out(executor, 6, tmp_path)) == 6


def test_room_that_is_taken_away_is_not_used(tmp_path: Path) -> None:
    lock, busy, most = threading.Lock(), set[str](), list[int]()

    def does(attempt: Attempt) -> None:
        with lock:
            busy.add(attempt.run.id)
            most.append(len(busy))
        threading.Event().wait(0.05)
        with lock:
            busy.remove(attempt.run.id)
            executor.room = 1

    executor = Pretended(does, room=3)
    assert len(carry_out(executor, 8, tmp_path)) == 8
    assert max(most) == 3
    assert most[-1] == 1


def test_a_run_that_fails_in_the_queue_ends_the_command_at_once(tmp_path: Path) -> None:
    first = threading.Event()

    def does(attempt: Attempt) -> None:
        if attempt.run.seed == 0:
            assert first.wait(30), "nobody has ended it"
        else:
            raise ZeroDivisionError

    executor = Pretended(does, room=2)
    executor.stop = first.set  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        carry_out(executor, 2, tmp_path)


def test_what_another_process_has_taken_over_is_its_to_record(tmp_path: Path) -> None:
    """As when this process was suspended while it carried out the run."""
    parent = os.getppid()
    other = replace(Owner.here(), pid=parent, started=claims._started(parent), token="other")
    timers = []

    def does(attempt: Attempt) -> None:
        (attempt.folder / "state.pt").write_bytes(b"its checkpoint")
        (attempt.folder / FILE).write_text(json.dumps(vars(other)), encoding="utf-8")
        ended = record(attempt.run, "killed", "by the other process")
        timers.append(threading.Timer(0.3, Store(tmp_path).append, [ended]))
        timers[-1].start()

    (known,) = carry_out(Pretended(does), 1, tmp_path)
    assert known["reason"] == "by the other process"
    assert len(timers) == 1, "it was carried out once"
    (state,) = tmp_path.glob("runs/*/state.pt")
    assert state.read_bytes() == b"its checkpoint"


def test_a_run_is_recorded_although_its_folder_was_deleted(tmp_path: Path) -> None:
    (known,) = carry_out(Pretended(lambda attempt: shutil.rmtree(attempt.folder)), 1, tmp_path)
    assert known["reason"] == "pretended"


def test_the_time_left_does_not_count_what_came_before_the_first_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    runs = Study.of("hps", "toy", seeds=2, steps=100).runs
    shown = progress.Progress(runs, 0, 1, quiet=True)
    with shown:
        shown.started(runs[0])
        now[0] = 130.0  # importing torch, reading data
        shown.stepped(runs[0], 1, 100)
        assert shown.pace == {}
        now[0] = 131.0
        shown.stepped(runs[0], 11, 100)
        assert shown.pace == {"hps": pytest.approx(0.1)}
