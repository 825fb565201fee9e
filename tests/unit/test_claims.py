"""Claims: one process per run, whatever dies, and an attempt that fails hides nothing."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from auxbench.records import claims
from auxbench.records.claims import FILE, Claim, Claims, Owner, owner_of, under_way
from auxbench.records.store import Store
from tests.unit._records import record


def owned(folder: Path, **changes: object) -> Owner:
    """A claim as another process would have left it."""
    owner = replace(Owner.here(), token="other", **changes)  # type: ignore[arg-type]
    folder.mkdir(exist_ok=True)
    (folder / FILE).write_text(json.dumps(vars(owner)), encoding="utf-8")
    return owner


def ended() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_the_claim_of_a_living_process_is_respected(tmp_path: Path) -> None:
    owned(tmp_path, pid=os.getppid(), started=claims._started(os.getppid()))
    assert Claim.take(tmp_path) is None


def test_the_claim_of_a_process_that_died_here_is_taken_over_at_once(tmp_path: Path) -> None:
    owned(tmp_path, pid=ended())
    claim = Claim.take(tmp_path)
    assert claim is not None
    assert owner_of(tmp_path) == claim.owner


def test_a_number_that_belongs_to_a_later_process_does_not_keep_a_claim(tmp_path: Path) -> None:
    owned(tmp_path, pid=os.getppid(), started="1")
    assert Claim.take(tmp_path) is not None


def test_of_another_machine_only_the_heartbeat_counts(tmp_path: Path) -> None:
    owned(tmp_path, machine="elsewhere", pid=ended())
    assert Claim.take(tmp_path) is None
    past = time.time() - claims.STALE - 1
    os.utime(tmp_path / FILE, (past, past))
    assert Claim.take(tmp_path) is not None


@pytest.mark.parametrize("content", ["", "[", "[1]", "{}", '{"host": 1}', "[" * 100_000])
def test_a_claim_that_cannot_be_read_counts_by_its_heartbeat(tmp_path: Path, content: str) -> None:
    file = tmp_path / FILE
    file.write_text(content, encoding="utf-8")
    assert owner_of(tmp_path) is None
    assert Claim.take(tmp_path) is None
    os.utime(file, (1, 1))
    assert Claim.take(tmp_path) is not None


def test_who_was_suspended_for_too_long_does_not_hold_the_claim(tmp_path: Path) -> None:
    first = Claim.take(tmp_path)
    assert first is not None
    assert first.is_held
    owned(tmp_path, machine="elsewhere")
    assert not first.is_held
    first.touch()
    first.release()
    assert owner_of(tmp_path) is not None, "the claim of the other one stays"


def _steps(folder: Path) -> tuple[int, int] | None:
    known = under_way(folder)
    return (known.step, known.steps) if known and known.steps else None


def test_the_heart_beats_and_says_how_far_the_run_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "BEAT", 0.05)
    folder = tmp_path / "run"
    with Claims() as held:
        assert held.take("run", folder, {"seed": 0})
        os.utime(folder / FILE, (1, 1))
        held.stepped("run", 3, 10)
        patience = time.monotonic() + 10
        while _steps(folder) is None and time.monotonic() < patience:
            time.sleep(0.02)
        assert _steps(folder) == (3, 10)
        assert (folder / FILE).stat().st_mtime > 1
    assert owner_of(folder) is None
    assert list(folder.iterdir()) == []


def test_progress_that_is_written_while_a_run_is_released_does_not_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "BEAT", 0.01)
    write, written = claims._replace, threading.Event()
    folder = tmp_path / "run"
    with Claims() as held:

        def late(file: Path, values: object) -> None:
            held.release("run")
            write(file, values)
            written.set()

        monkeypatch.setattr(claims, "_replace", late)
        assert held.take("run", folder, {"seed": 0})
        assert written.wait(10)
    assert list(folder.iterdir()) == []


def work(folder: str, runs: int) -> None:
    """Carry out what is left of some runs, as a process of a study does."""
    store = Store(folder)
    tail = store.tail()
    done = {known["id"] for known in store.records()}
    with Claims() as held:
        for number in range(runs):
            made = record("hps", number, 0.5)
            if made["id"] in done | tail.statuses().keys():
                continue
            if held.take(made["id"], store.run_folder(made["id"]), made["run"]):
                if made["id"] not in tail.statuses():
                    time.sleep(0.002)
                    store.append(made)
                held.release(made["id"])


def test_ten_processes_on_sixty_runs_leave_sixty_records(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=work, args=(str(tmp_path), 60)) for _ in range(10)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    lines = (tmp_path / "records.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 60
    assert len({json.loads(line)["id"] for line in lines}) == 60


@pytest.mark.slow
def test_ten_commands_at_once_train_every_run_once(tmp_path: Path) -> None:
    words = "run --methods single,hps --dataset toy --steps 2 --seeds 30 --budget demo --jobs 1"
    command = [sys.executable, "-m", "auxbench", *words.split(), "--results", str(tmp_path)]
    processes = [
        subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(10)
    ]
    said = [process.communicate(timeout=600) for process in processes]
    assert [process.returncode for process in processes] == [0] * 10, said
    assert all("60 done" in out for out, _ in said)
    lines = (tmp_path / "records.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["status"] for line in lines] == ["done"] * 60
    assert len({json.loads(line)["id"] for line in lines}) == 60


def test_an_attempt_that_failed_does_not_hide_what_is_known(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append(record("hps", 0, 0.5))
    store.append(record("hps", 0, None, status="error"))
    store.append(record("hps", 1, None, status="killed"))
    store.append(record("hps", 1, None, status="oom"))
    store.append(record("hps", 2, 0.5))
    store.append(record("hps", 2, None, status="diverged"))
    statuses = {known["run"]["seed"]: known["status"] for known in store.records()}
    assert statuses == {0: "done", 1: "oom", 2: "diverged"}


def test_a_tail_has_what_others_appended_and_no_half_lines(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append(record("hps", 0, 0.5))
    tail = store.tail()
    assert tail.statuses() == {}
    later = record("hps", 1, 0.5)
    store.append(later)
    with store.file.open("ab") as file:
        file.write(b'{"id": "half')
    assert tail.statuses() == {later["id"]: "done"}
    store.append(record("hps", 2, None, status="error"))
    assert sorted(tail.statuses().values()) == ["done", "error"]
