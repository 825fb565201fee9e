"""The worker process that is started before it is known which runs there are."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from auxbench.execution import process


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[process.Process]]:
    """Processes that wait for a line, in place of workers."""
    made: list[process.Process] = []

    def start(threads: int, log: Any = None) -> process.Process:
        waiting = [sys.executable, "-c", "input()"]
        pipe = subprocess.PIPE
        made.append(subprocess.Popen(waiting, stdin=pipe, stdout=pipe, stderr=pipe, text=True))
        return made[-1]

    monkeypatch.setattr(process, "start", start)
    yield made
    for one in made:
        one.kill()
        one.communicate()


def test_the_early_process_is_the_first_runs(started: list[process.Process]) -> None:
    process.start_early("cpu", jobs=1, threads=3)
    assert process.taken(3) is started[0]
    assert process.taken(3) is None


def test_with_other_threads_it_is_not_used_and_ends(started: list[process.Process]) -> None:
    process.start_early("cpu", jobs=1, threads=3)
    assert process.taken(2) is None
    assert started[0].wait(10) != 0
    assert process.taken(3) is None


def test_one_that_has_died_is_not_used(started: list[process.Process]) -> None:
    process.start_early("cpu", jobs=2, threads=1)
    started[0].kill()
    started[0].wait(10)
    assert process.taken(1) is None
