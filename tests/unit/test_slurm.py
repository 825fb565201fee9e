"""Jobs of a cluster: by submitit on this machine, and on a real Slurm where one is running."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from auxbench.errors import UsageError
from auxbench.execution import slurm
from auxbench.execution.jobs import cancel, states
from auxbench.execution.progress import Progress
from auxbench.execution.resources import Resources
from auxbench.execution.slurm import FILLED, Slurm
from auxbench.execution.study import Study
from auxbench.records.claims import under_way
from auxbench.records.record import record
from auxbench.records.store import Store
from tests.unit._commands import interruptible

TOY = ("--dataset", "toy:train=60:validation=20:test=20", "--threads", "1", "--budget", "demo")
MANY = ("run", "--methods", "single,hps", *TOY, "--seeds", "6", "--steps", "60")
LONG = ("run", "--methods", "hps", *TOY, "--seeds", "1", "--steps", "400000")


def answers() -> bool:
    """Return whether a Slurm controller is running; without one, sinfo tries for minutes."""
    with suppress(subprocess.TimeoutExpired):
        return not subprocess.run(["sinfo"], capture_output=True, timeout=5).returncode
    return False


running = shutil.which("sinfo") and answers()
CLUSTERS = [
    "local",
    pytest.param("slurm", marks=pytest.mark.skipif(not running, reason="needs a running Slurm")),
]
Begin = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Start a command whose runs are carried out by jobs of a cluster; all end with the test."""
    begun: list[subprocess.Popen[bytes]] = []

    def start(words: tuple[str, ...], **options: object) -> subprocess.Popen[bytes]:
        file = tmp_path / "options.yml"
        file.write_text(json.dumps(options), encoding="utf-8")
        more = ("--results", str(tmp_path), "--executor", "slurm", "--executor-options", str(file))
        with (tmp_path / "said.txt").open("w") as out:  # local jobs would keep a pipe open
            process = subprocess.Popen(
                [sys.executable, "-m", "auxbench", *words, *more],
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
        begun.append(process)
        return process

    with interruptible():
        yield start
    cancel(tmp_path)
    for process in begun:
        process.kill()
        process.wait()


def said(process: subprocess.Popen[bytes], results: Path) -> str:
    """The text that a command has printed when it ends."""
    code = process.wait(600)
    text = (results / "said.txt").read_text(encoding="utf-8")
    assert code == 0, text
    return text


def auxbench(word: str, results: Path) -> str:
    words = [sys.executable, "-m", "auxbench", word, "--results", str(results)]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def wait_for(true: Callable[[], object], seconds: float = 180) -> None:
    patience = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < patience
        time.sleep(0.2)


def alive(results: Path) -> list[str]:
    """The jobs that have not ended, as far as known: there may be a Slurm that does not answer."""
    return [name for name, state in states(results).items() if state != "UNKNOWN"]


def steps(results: Path) -> int:
    """The last step of the only run that is known."""
    return max(
        (known.step for f in results.glob("runs/*") if (known := under_way(f)) is not None),
        default=0,
    )


@pytest.mark.slow
@pytest.mark.parametrize("cluster", CLUSTERS)
def test_every_run_is_recorded_once(tmp_path: Path, begin: Begin, cluster: str) -> None:
    text = said(begin(MANY, cluster=cluster, timeout_min=10), tmp_path)
    assert "submitted 1 job" in text
    lines = (tmp_path / "records.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == len({json.loads(line)["id"] for line in lines}) == 12
    assert {record["status"] for record in Store(tmp_path).runs()} == {"done"}
    text = said(begin(MANY, cluster=cluster), tmp_path)
    assert "Already done: 12 runs." in text
    assert "submitted" not in text


@pytest.mark.slow
@pytest.mark.parametrize("cluster", CLUSTERS)
def test_jobs_go_on_without_the_command_until_they_are_cancelled(
    tmp_path: Path, begin: Begin, cluster: str
) -> None:
    process = begin(LONG, cluster=cluster, timeout_min=60)
    wait_for(lambda: steps(tmp_path))
    process.send_signal(signal.SIGINT)
    process.wait(60)
    before = steps(tmp_path)
    wait_for(lambda: steps(tmp_path) > before)
    again = begin(LONG, cluster=cluster, timeout_min=60)
    wait_for(lambda: "1 run of earlier jobs" in (tmp_path / "said.txt").read_text())
    again.send_signal(signal.SIGINT)
    again.wait(60)
    assert len(alive(tmp_path)) == 1, "nothing was submitted again"
    told = auxbench("status", tmp_path)
    assert "RUNNING" in told
    assert "auxbench cancel ends them" in told
    assert "ended" in auxbench("cancel", tmp_path)
    wait_for(lambda: not alive(tmp_path), 120)
    (folder,) = tmp_path.glob("runs/*")
    assert (folder / "state.pt").exists(), "it was saved"
    assert Store(tmp_path).records() == []


@pytest.mark.slow
@pytest.mark.skipif(not running, reason="needs a running Slurm")
def test_a_job_that_is_preempted_goes_on_from_its_checkpoint(tmp_path: Path, begin: Begin) -> None:
    """Of examples/slurm-on-one-machine.sh, whose partition `urgent` preempts the other one."""
    process = begin(LONG, slurm_partition="patient", timeout_min=60)
    wait_for(lambda: steps(tmp_path))
    (folder,) = tmp_path.glob("runs/*")
    urgent = ["sbatch", "--partition=urgent", "--exclusive", "--output=/dev/null"]
    subprocess.run([*urgent, "--wrap", "sleep 20"], check=True, capture_output=True)
    wait_for(lambda: "PENDING" in states(tmp_path).values())
    saved = (folder / "state.pt").read_bytes()
    wait_for(lambda: "RUNNING" in states(tmp_path).values(), 300)
    wait_for(lambda: steps(tmp_path))
    known = under_way(folder)
    assert known is not None
    assert known.first > 100, "it went on from its checkpoint"
    assert saved
    auxbench("cancel", tmp_path)
    process.send_signal(signal.SIGINT)
    process.wait(60)
    wait_for(lambda: not alive(tmp_path), 120)


def test_a_job_has_as_many_runs_as_its_time_limit_has_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("submitit")
    study = Study.of("single,hps", "toy", seeds=5)
    options = {"cluster": "local", "timeout_min": 10, "cpus_per_task": 4}
    long = Slurm(Resources(threads=2, options=options))
    single, hps = study.runs[:2]
    seconds = {replace(single, seed=0): 100.0, replace(hps, seed=0): 300.0}
    monkeypatch.setattr(long, "estimates", lambda *words: seconds)
    store = Store(tmp_path)
    bundles = list(long.bundles(study.runs, store, False))
    assert [run for bundle in bundles for run in bundle] == list(study.runs)
    limit = FILLED * 600 * 2  # two runs at a time
    sums = [sum(seconds[replace(run, seed=0)] for run in bundle) for bundle in bundles]
    assert max(sums) <= limit
    assert [len(bundle) for bundle in bundles] == [5, 4, 1]
    assert long.inside.jobs == 2
    short = Slurm(Resources(threads=2, options={"cluster": "local", "timeout_min": 1}))
    monkeypatch.setattr(short, "estimates", lambda *words: seconds)
    assert len(list(short.bundles(study.runs, store, False))) == 10


@pytest.mark.parametrize(
    ("options", "device"),
    [
        ({}, "cpu"),
        ({"gpus_per_node": 1}, "cuda"),
        ({"slurm_gpus_per_node": 1}, "cuda"),
        ({"slurm_gpus_per_task": 1}, "cuda"),
        ({"slurm_gres": "gpu:a100:1"}, "cuda"),
        ({"slurm_gres": "lustre:1"}, "cpu"),
        ({"slurm_additional_parameters": {"gpus": 1}}, "cuda"),
        ({"slurm_additional_parameters": {"gres": "gpu"}}, "cuda"),
        ({"slurm_additional_parameters": {"reservation": "gpu"}}, "cpu"),
    ],
)
def test_a_gpu_that_is_asked_for_is_used(options: dict[str, Any], device: str) -> None:
    pytest.importorskip("submitit")
    resources = Resources(threads=1, options={"cluster": "local", "cpus_per_task": 2, **options})
    inside = Slurm(resources).inside
    assert (inside.device, inside.jobs) == (device, 1 if device == "cuda" else 2)


def test_slurm_is_not_asked_at_every_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit")
    study, store = Study.of("single", "toy", seeds=1), Store(tmp_path)
    looks, asked = list[str](), list[Path]()

    def look(folder: Path) -> None:
        looks.append(folder.name)
        if len(looks) == 20:
            store.append(record(study.runs[0], "error", "made up"))

    def ask(folder: Path) -> dict[str, str]:
        asked.append(folder)
        return {"1": "RUNNING"}

    for name, value in (("under_way", look), ("states", ask), ("LOOK", 0.001)):
        monkeypatch.setattr(slurm, name, value)
    executor = Slurm(Resources(threads=1, options={"cluster": "local"}))
    with Progress(study.runs, 0, 1, quiet=True) as told:
        executor.watch(study.runs, store, store.tail(), told)
    assert len(looks) == 20
    assert len(asked) == 1


def test_a_slurm_that_does_not_answer_does_not_keep_a_job_from_saving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    squeue = tmp_path / "squeue"
    squeue.write_text("#!/bin/sh\necho RUNNING\nexec sleep 30\n", encoding="utf-8")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(slurm, "ANSWER", 0.5)
    begun = time.monotonic()
    assert slurm._state("1") == ""
    assert time.monotonic() - begun < 20
    squeue.write_text("#!/bin/sh\necho RUNNING\n", encoding="utf-8")
    assert slurm._state("1") == "RUNNING"


def test_mistakes_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="needs sbatch"):
        Slurm(Resources())
    monkeypatch.undo()
    study, store = Study.of("single", "toy", seeds=1), Store(tmp_path)
    executor = Slurm(Resources(options={"cluster": "local", "slurm_partitoin": "a"}))
    with pytest.raises(UsageError, match="do not suit submitit"):
        executor.submit([study.runs], store, False)
