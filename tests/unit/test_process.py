"""The worker process that is started before it is known which runs there are."""

from __future__ import annotations

import json
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
        waiting = [sys.executable, "-c", "import sys; print(sys.stdin.read())"]
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


def test_it_is_told_the_backbones_that_are_known(started: list[process.Process]) -> None:
    process.start_early("cpu", jobs=1, threads=3, backbones="resnet18, mlp")
    process.foretell(["test_resnet"])
    assert process.taken(3) is started[0]
    sent, _ = started[0].communicate()
    first, second = map(json.loads, sent.split("\n")[:2])
    assert first == {"backbones": ["resnet18", "mlp"]}
    assert second == {"backbones": ["test_resnet"]}


def test_one_that_has_died_is_told_nothing(started: list[process.Process]) -> None:
    process.start_early("cpu", jobs=1, threads=1)
    started[0].kill()
    started[0].wait(10)
    process.foretell(["resnet18"])
    assert process.taken(1) is None


def test_a_worker_imports_what_it_is_told_and_goes_on_to_the_order() -> None:
    code = (
        "import sys; from auxbench.execution import worker;"
        "order = worker._order(); print(order, 'auxbench.networks.image' in sys.modules)"
    )
    lines = [json.dumps({"backbones": ["no=name:", "test_resnet"]}), json.dumps({"run": 1})]
    done = subprocess.run(
        [sys.executable, "-c", code], input="\n".join(lines), capture_output=True, text=True
    )
    assert done.stdout.split("\n")[0] == "{'run': 1} True", done.stderr
