"""Limits: time, stalls and memory inside a step, and nothing that outlives its parent."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from auxbench.errors import UsageError
from auxbench.execution.limits import Limits
from auxbench.execution.study import Study
from auxbench.records.claims import under_way
from auxbench.records.store import Store

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="runs are forks")

SUPERVISED = """
import os, signal, sys, time
from auxbench.execution import limits
from auxbench.execution.limits import Beats, Limits, Wake, supervise
limits.GRACE = {grace}
wake, beats = Wake(), Beats()
child = os.fork()
if child == 0:
    os.setpgid(0, 0)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, signal.{term})
    {body}
    os._exit(0)
print("started", flush=True)
start = time.monotonic()
print(supervise(child, Limits({limits}), beats, wake), time.monotonic() - start < 10, flush=True)
"""
DEAF = "while True: pass"  # which ignores SIGTERM from the first moment


def supervised(body: str, limits: str = "", grace: float = 0.5) -> subprocess.Popen[str]:
    term = "SIG_IGN" if body.endswith(DEAF) else "SIG_DFL"
    code = SUPERVISED.format(body=body, limits=limits, grace=grace, term=term)
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    return process


@pytest.mark.parametrize(
    ("body", "limits", "expected"),
    [
        ("pass", "", "(0, '', '')"),
        ("os._exit(3)", "", "(3, '', '')"),
        ("os.kill(os.getpid(), 9)", "", "(-9, '', '')"),
        (DEAF, "timeout=0.3", "(-9, 'killed', 'it took longer than the timeout of 0 s')"),
        (
            "time.sleep(60)",
            "timeout=0.3",
            "(-15, 'killed', 'it took longer than the timeout of 0 s')",
        ),
        (
            "beats.beat()\n    " + DEAF,
            "stall=1",
            "(-9, 'killed', 'it took no step for 1 s, the stall limit')",
        ),
        (
            "for _ in range(20): beats.beat(); time.sleep(0.1)",
            "stall=1",
            "(0, '', '')",
        ),
        (
            "held = bytearray(300_000_000)\n    " + DEAF,
            "memory=2e8",
            "(-9, 'oom', 'it used more than the memory limit of 0.2 GB')",
        ),
    ],
)
def test_a_run_is_ended_inside_a_step(body: str, limits: str, expected: str) -> None:
    process = supervised(body, limits)
    assert process.stdout is not None
    out = process.stdout.readline()  # its input stays open as long as it works
    process.communicate(timeout=60)
    assert out == f"{expected} True\n"


def test_a_run_that_goes_on_taking_memory_is_killed_at_once() -> None:
    eats = "held = []\n    while True: held.append(b'x' * 10**7); time.sleep(0.01)"
    body = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    " + eats
    process = supervised(body, "memory=4e8", grace=60)
    assert process.stdout is not None
    out = process.stdout.readline()
    process.communicate(timeout=60)
    assert out == "(-9, 'oom', 'it used more than the memory limit of 0.4 GB') True\n"


@pytest.mark.parametrize("end", ["terminate", "orders"])
def test_a_run_that_does_not_listen_ends_with_the_process_that_forked_it(end: str) -> None:
    process = supervised(DEAF)
    if end == "terminate":
        process.send_signal(signal.SIGTERM)
    else:  # as when the process that gives the orders is killed
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    out, _ = process.communicate(timeout=60)
    assert out.startswith("(-9, '', '') True")


def test_limits_are_read_as_people_write_them() -> None:
    assert Limits.of() == Limits(math.inf, math.inf, math.inf)
    assert Limits.of("1.5h", 90, "800MB") == Limits(5400.0, 90.0, 8e8)
    assert Limits.of("2 min", "3d", 4_000_000_000) == Limits(120.0, 259_200.0, 4e9)


@pytest.mark.parametrize("wrong", ["", "0", "-1", "1x", "nan", "inf", "1e3", "h"])
@pytest.mark.parametrize("name", ["timeout", "stall", "memory"])
def test_what_is_no_limit_is_refused(name: str, wrong: str) -> None:
    with pytest.raises(UsageError, match=f"{name} is '{wrong}'; write an amount above 0 such as"):
        Limits.of(**{name: wrong})


def study(folder: Path, *more: str) -> tuple[subprocess.Popen[str], Path]:
    """A command that trains for a very long time, and the folder of its run."""
    words: dict[str, Any] = {"seeds": 1, "steps": 1_000_000, "budget": "demo"}
    (run,) = Study.of("single", "toy", **words).runs
    command = [sys.executable, "-m", "auxbench", "run", "--methods", "single", "--dataset", "toy"]
    command += [word for key, value in words.items() for word in (f"--{key}", str(value))]
    command += ["--results", str(folder), *more]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return process, Store(folder).run_folder(run.id)


def wait(condition: Any, seconds: float = 120) -> bool:
    patience = time.monotonic() + seconds
    while not condition() and time.monotonic() < patience:
        time.sleep(0.1)
    return bool(condition())


def children(pid: int) -> list[int]:
    """The processes below a process."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            number = int(file.parent.name)
            found += [number, *children(number)]
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs the list of processes")
@pytest.mark.parametrize(
    "number", [signal.SIGKILL, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)]
)
def test_when_the_command_dies_its_runs_save_and_end(tmp_path: Path, number: int) -> None:
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("the signal is ignored here, as under nohup")
    process, folder = study(tmp_path)
    assert wait(lambda: (known := under_way(folder)) and known.step)
    below = children(process.pid)
    assert len(below) >= 2
    process.send_signal(number)
    process.communicate(timeout=60)
    assert wait(lambda: not any(Path(f"/proc/{pid}").exists() for pid in below), 60)
    assert (folder / "state.pt").is_file()
    assert Store(tmp_path).records() == []


@pytest.mark.slow
def test_a_timeout_leaves_a_record_and_a_checkpoint(tmp_path: Path) -> None:
    process, folder = study(tmp_path, "--timeout", "8")
    _, said = process.communicate(timeout=200)
    assert "killed (it took longer than the timeout of 8 s)" in said
    (record,) = Store(tmp_path).records()
    assert (record["status"], record["reason"]) == (
        "killed",
        "it took longer than the timeout of 8 s",
    )
    assert (folder / "state.pt").is_file()
    assert json.loads((tmp_path / "records.jsonl").read_text())["id"] == record["id"]


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b", "1/0", "-1/3", "1/3/4", ""])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="write one such as 1/4"):
        Study.of("single,hps", "toy", seeds=3).shard(text)


def test_shards_are_all_of_a_study_and_each_run_once() -> None:
    whole = Study.of("single,hps", "toy", seeds=5)
    parts = [whole.shard(f"{part}/4").runs for part in range(1, 5)]
    assert {len(part) for part in parts} <= {2, 3}
    assert sorted(run.id for part in parts for run in part) == sorted(r.id for r in whole.runs)
    assert whole.shard(None) == whole
