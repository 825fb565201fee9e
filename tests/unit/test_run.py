"""Runs: identity, interruption, and what becomes of a process that dies."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from auxbench.execution import execute as run_module
from auxbench.execution.execute import begin, execute
from auxbench.execution.limits import Limits
from auxbench.execution.local import listen
from auxbench.execution.queue import Attempt, Lost
from auxbench.execution.study import Study
from auxbench.records.claims import under_way
from auxbench.records.store import Store
from auxbench.spec.budget import BUDGETS
from auxbench.spec.run import Run
from auxbench.training import checkpoint as state
from tests.unit._records import PRIMARY

RUN = Run(
    "rooms:test=4:train=8:validation=4",
    "segmentation",
    ("depth",),
    "test_resnet",
    False,
    "auxnas+gradnorm+pcgrad",
    BUDGETS["demo"].with_changes(steps=4, batch=4, side=32),
    0,
)


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUXBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        begin(RUN).problem.dataset.prepare()
        yield


def test_the_id_is_of_everything_that_decides_a_number() -> None:
    changed = [
        replace(RUN, seed=1),
        replace(RUN, method="hps"),
        replace(RUN, auxiliaries=("normals",)),
        replace(RUN, pretrained=True),
        replace(RUN, protocol="1"),
        replace(RUN, recipe=RUN.recipe.with_changes(steps=5)),
    ]
    assert len({run.id for run in [RUN, *changed]}) == 7
    assert Run.from_json(RUN.to_json()).id == RUN.id


def test_two_spellings_of_a_study_are_the_same_runs() -> None:
    def ids(methods: str, dataset: str) -> list[str]:
        return [run.id for run in Study.of(methods, dataset, seeds=1).runs]

    assert ids("pcgrad", "rooms:train=600") == ids("hps+pcgrad", "rooms")
    assert ids("auxnas:l1=100+sum", "rooms") == ids("auxnas", "rooms")
    assert ids("gradnorm:lr=0.1:alpha=1", "rooms") == ids("gradnorm:alpha=1:lr=1e-1", "rooms")
    assert ids("auxnas:lr=0.1+pcgrad", "rooms") == ids("auxnas+pcgrad:lr=0.1", "rooms")


def test_every_method_meets_the_same_problem_under_one_seed() -> None:
    runs = Study.of("single,hps,auxnas", "rooms", seeds=2).runs
    assert [run.seed for run in runs] == [0, 0, 0, 1, 1, 1]
    assert len({(run.dataset, run.primary, run.auxiliaries) for run in runs}) == 1


class Stop(Exception):
    pass


def test_an_interrupted_run_ends_like_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "SAVE_EVERY", 0.0)
    whole = execute(RUN, tmp_path / "whole", report=lambda event: None)

    folder = tmp_path / "stopped"
    original = state.save

    def save_and_stop(path: Path, tree: Any) -> Path:
        saved = original(path, tree)
        if tree["training"]["step"] == 2:
            raise Stop
        return saved

    monkeypatch.setattr(state, "save", save_and_stop)
    with pytest.raises(Stop):
        execute(RUN, folder, report=lambda event: None)
    monkeypatch.setattr(state, "save", original)
    resumed = execute(RUN, folder, report=lambda event: None)
    for key in ("scores", "curve", "selected", "primary"):
        assert resumed[key] == whole[key], key
    for key in ("forward", "backward", "partial", "examples", "flops"):
        assert resumed["training"][key] == whole["training"][key], key


def test_the_first_and_the_last_step_are_told_however_short_a_run_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "TELL_EVERY", 1000.0)
    told: list[dict[str, Any]] = []
    execute(RUN, tmp_path, report=told.append)
    assert [event["step"] for event in told if event["event"] == "step"] == [1, RUN.recipe.steps]


def test_the_checkpoint_of_another_seed_does_not_change_a_run(tmp_path: Path) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    whole = execute(RUN, tmp_path / "whole", report=lambda event: None)
    execute(replace(RUN, seed=1), other, report=lambda event: None)
    own.mkdir()
    (other / "state.pt").rename(own / "state.pt")
    said: list[str] = []
    again = execute(RUN, own, report=lambda event: said.append(event.get("text", "")))
    assert again["scores"] == whole["scores"]
    assert "differs from this run in its id" in "".join(said)
    (own / "state.pt").write_bytes(b"cut short")
    again = execute(RUN, own, report=lambda event: said.append(event.get("text", "")))
    assert again["scores"] == whole["scores"]
    assert "is damaged; it is set aside as 'state.aside.pt'" in "".join(said)


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        ("raise SystemExit(3)", "error", "exit code 3"),
        ("print('{\"event\": ')", "error", "a line that is no event"),
        ("print('[' * 100000)", "error", "a line that is no event"),
        ("print('[1]')", "error", "a line that is no event"),
        ("import os; os.write(1, b'\\xff\\xfe\\n')", "error", "a line that is no event"),
        ('print(\'{"event": "record", "record": {}}\')', "error", "a line that is no event"),
        ('print(\'{"event": "ended", "code": "x"}\')', "error", "a line that is no event"),
        ('print(\'{"event": "x", "step": 1e999, "steps": 1}\')', "error", "no event"),
    ],
)
def test_a_process_that_dies_leaves_a_record(
    tmp_path: Path, code: str, status: str, reason: str
) -> None:
    ended = heard(code, tmp_path)
    assert ended["status"] == status
    assert reason in ended["reason"]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os; os.kill(os.getpid(), 9)", "ended by signal 9"),
        ("raise SystemExit(143)", "asked to end from outside"),
    ],
)
def test_a_process_that_is_killed_is_lost(tmp_path: Path, code: str, reason: str) -> None:
    with pytest.raises(Lost, match=reason):
        heard(code, tmp_path)


def heard(code: str, folder: Path) -> dict[str, Any]:
    """The record of a run whose process executes some code in place of training."""
    attempt = Attempt(RUN, folder, Limits(), lambda step, steps: None, lambda text: None)
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, errors="replace") as process:
        return listen(process, attempt)


def test_failed_runs_are_tried_again_and_diverged_ones_are_not(tmp_path: Path) -> None:
    study = Study.of("single", "rooms", seeds=4)
    store = Store(tmp_path)
    for run, status in zip(study.runs, ["done", "diverged", "killed", "oom"], strict=True):
        made_by = run_module.provenance_of(run)
        scored = {"primary": PRIMARY} if status == "done" else {}
        store.append(run_module.record(run, status, provenance=made_by, **scored))
    assert [run.seed for run in study.split(store).missing] == [2, 3]
    assert [run.seed for run in study.split(store, retry=True).missing] == [1, 2, 3]


def test_a_study_that_is_told_to_stop_saves_its_runs_and_goes_on_later(tmp_path: Path) -> None:
    words = "run --methods single --seeds 1 --steps 100000 --batch 4 --side 32 --budget demo"
    command = [sys.executable, "-m", "auxbench", *words.split()]
    command += ["--dataset", RUN.dataset, "--backbone", "test_resnet", "--results", str(tmp_path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    (run,) = Study.of(
        "single",
        RUN.dataset,
        backbone="test_resnet",
        seeds=1,
        steps=100_000,
        batch=4,
        side=32,
        budget="demo",
    ).runs
    folder = Store(tmp_path).run_folder(run.id)
    patience = time.monotonic() + 120
    while not ((known := under_way(folder)) and known.step) and time.monotonic() < patience:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, text = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command continues from here" in text
    assert Store(tmp_path).records() == []
    assert 0 < state.load(folder / "state")["training"]["step"] < 100_000


def test_a_script_without_a_main_guard_can_run_a_study(tmp_path: Path) -> None:
    script = tmp_path / "mine.py"
    script.write_text(
        "import auxbench\n"
        "frame = auxbench.run('single', 'toy', budget='demo', steps=2, seeds=2, jobs=2,\n"
        f"    quiet=True, results={str(tmp_path / 'results')!r})\n"
        "print(list(frame['status']))\n",
        encoding="utf-8",
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=300)
    assert done.stdout.splitlines() == ["['done', 'done']"], done.stderr
