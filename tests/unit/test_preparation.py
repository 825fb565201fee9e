"""Preparation: whatever needs the same data at the same time, one process prepares them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from auxbench.errors import Stopped
from auxbench.execution.preparation import prepare
from auxbench.execution.study import Study

PROCESSES = 6
CODE = """
import json, os, sys, time
from pathlib import Path
from auxbench.data import dataset
from auxbench.execution import worker
from auxbench.execution.study import Study

folder = Path(sys.argv[1])

class Slow:
    size, features = (16,), 16

    def prepare(self):
        made = folder / "made"
        if not made.exists():
            with (folder / "said.txt").open("a") as file:
                file.write("prepared\\n")
            time.sleep(0.5)
            made.touch()

(run,) = Study.of("single", "toy", seeds=1).runs
dataset.make_dataset = lambda *words: Slow()
worker.execute = lambda *words: {"found": (folder / "made").exists()}
order = {"threads": 1, "workers": 0, "prepare": True, "folder": str(folder), "device": "cpu"}
order["keep"] = False
reader, writer = os.pipe()
for _ in range(int(sys.argv[2])):
    if os.fork() == 0:
        os.close(writer)
        os.read(reader, 1)  # until all are there
        found = worker.outcome(run, order, print, lambda: False)
        os.write(1, json.dumps(found).encode() + b"\\n")
        os._exit(0)
os.close(writer)
for _ in range(int(sys.argv[2])):
    os.wait()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forks")
def test_of_processes_that_start_together_one_prepares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUXBENCH_CACHE", str(tmp_path / "cache"))
    command = [sys.executable, "-c", CODE, str(tmp_path), str(PROCESSES)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert found == [{"found": True}] * PROCESSES
    assert (tmp_path / "said.txt").read_text(encoding="utf-8") == "prepared\n"


def test_who_waits_for_another_process_can_be_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUXBENCH_CACHE", str(tmp_path))
    asked = iter([False, True])
    with FileLock(tmp_path / ".prepare.lock", is_singleton=False), pytest.raises(Stopped):
        prepare(list(Study.of("single", "toy", seeds=1).runs), lambda: next(asked))
    assert next(asked, None) is None
    prepare(list(Study.of("single", "toy", seeds=1).runs))
