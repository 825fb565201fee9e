"""Plans: passes are those that a run makes, and what is not there is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from auxbench.cost.training import PASSES, Meter
from auxbench.execution import plan as planning
from auxbench.execution.environment import environment
from auxbench.execution.execute import begin, provenance_of
from auxbench.execution.plan import Paces, counted, plan, rehearse
from auxbench.execution.study import Study
from auxbench.records.record import record
from auxbench.records.store import Store
from auxbench.report.plan import table
from auxbench.report.tables import render
from auxbench.spec.registry import METHODS
from auxbench.spec.run import Run
from tests.unit._records import PRIMARY

SMALL = "toy:train=40:validation=4:test=4"
CHAINS = ["arml+forkmerge", "auxnas:warmup=3+autolambda", "auxilearn+pcgrad"]
# Which of the tasks cost a partial pass depends on the gradients of the batch.
GATED = {"gcs", "pripcgrad"}


def planned(method: str, steps: int, **words: Any) -> Run:
    words = {"dataset": SMALL, "auxiliary": "helpful,useless,harmful", "batch": 4} | words
    return Study.of(method, steps=steps, seeds=1, budget="demo", **words).runs[0]


def made(run: Run) -> dict[str, int]:
    """The passes of a run that is carried to its end."""
    training = begin(run)
    training.meter = training.learner.objective.meter = Meter(flops=False)
    training.run()
    return {key: training.meter.summary()[key] for key in PASSES}


def foreseen(run: Run) -> dict[str, int]:
    """The passes that are planned."""
    training = planning._miniature(run)
    (stage, *others) = training.learner.stages
    passes = counted(training, stage)
    for other in others:
        passes = {key: passes[key] + number for key, number in counted(training, other).items()}
    return passes


@pytest.mark.parametrize("method", [*sorted({*METHODS.names()} - {"maxl"}), *CHAINS])
def test_passes_are_those_that_a_run_makes(method: str) -> None:
    run = planned(method, 23)
    keys = [key for key in PASSES if key != "partial" or method not in GATED]
    wanted, found = made(run), foreseen(run)
    assert {key: found[key] for key in keys} == {key: wanted[key] for key in keys}


@pytest.mark.parametrize("steps", [1, 7, 45, 150])
@pytest.mark.parametrize("method", ["arml", "forkmerge:merges=3", "arml:every=6+forkmerge"])
def test_what_recurs_counts_in_runs_of_any_length(method: str, steps: int) -> None:
    run = planned(method, steps, auxiliary="helpful,useless")
    assert foreseen(run) == made(run)


def test_a_long_run_is_counted_from_few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    run = planned("arml", 20_000, auxiliary="helpful,useless")
    training = planning._miniature(run)
    taken: list[int] = []
    iterate = training.iterate
    monkeypatch.setattr(
        training, "iterate", lambda stage, step: taken.append(step) or iterate(stage, step)
    )
    passes = counted(training, training.learner.stages[0])
    assert passes["backward"] == 20_000 // 20 * 3 + 20_000 - 20_000 // 20
    assert len(taken) < 60


def test_a_forkmerge_reads_as_many_held_out_samples_as_there_are() -> None:
    few, many = (
        planned("forkmerge", 16, dataset=f"toy:train={count}:validation=4:test=4")
        for count in (40, 400)
    )
    assert foreseen(few) == made(few)
    assert foreseen(many) == made(many)
    assert foreseen(many)["forward"] > foreseen(few)["forward"]


def test_operations_stand_for_steps_where_these_are_dear(monkeypatch: pytest.MonkeyPatch) -> None:
    words = {"dataset": "rooms", "backbone": "test_resnet", "auxiliary": "depth,normals"}
    runs = [planned(m, 1000, **words) for m in ("single", "hps", "pcgrad", "auxnas+pcgrad")]
    monkeypatch.setattr(planning, "SHORT", 0.0)
    paces = Paces("cpu")
    times = [rehearse(run, paces)["seconds"] for run in runs]
    assert times == sorted(times)
    assert times[0] > 0
    twice = planned("pcgrad", 2000, **words)
    assert rehearse(twice, paces)["seconds"] == pytest.approx(2 * times[2])


def test_backward_passes_beyond_those_of_steps_take_every_loss_alone() -> None:
    """Of 4 steps with 3 losses, 1 takes each alone: 3 backwards of all, 1 of each, 6 together."""
    passes = {"forward": 4, "backward": 6, "jvp": 1}
    costs = planning.Operations.__new__(planning.Operations)
    costs.forward, costs.of_all, costs.of_each = 10, 20, [20, 30, 50]
    assert costs.of(passes) == (4 + 2) * 10 + 3 * 20 + (20 + 30 + 50)
    assert costs.of({**passes, "backward": 2}) == (4 + 2) * 10 + 2 * 20
    assert costs.of({**passes, "backward": 12}) == (4 + 2) * 10 + 4 * (20 + 30 + 50)


def test_data_that_are_not_there_are_named_with_what_makes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUXBENCH_CACHE", str(tmp_path / "cache"))
    study = Study.of("single,hps", "nyuv2", backbone="test_resnet", seeds=2, steps=4, batch=2)
    cells = plan(study, Store(tmp_path))
    assert [(cell.missing, cell.impossible) for cell in cells] == [(2, ""), (2, "")]
    text = " ".join(render([table(cells, 1)], "text").split())
    assert "4 of the runs cannot start yet: data set 'nyuv2' is not prepared in" in text
    assert "auxbench data prepare nyuv2 --source DIR" in text


def test_stale_runs_are_counted_and_recorded_seconds_preferred(tmp_path: Path) -> None:
    study = Study.of("single", SMALL, seeds=3, steps=4, batch=4, budget="demo")
    store = Store(tmp_path)
    costs = {"primary": PRIMARY, "training": {"seconds": 123.0}, "environment": environment()}
    store.append(record(study.runs[0], "done", provenance=provenance_of(study.runs[0]), **costs))
    store.append(record(study.runs[1], "done", **costs))
    (cell,) = plan(study, store, threads=torch.get_num_threads())
    assert (cell.done, cell.missing, cell.stale) == (1, 2, 1)
    assert (cell.seconds, cell.recorded) == (123.0, True)
    assert (cell.forward, cell.lacking) == (4, "")
    assert "Stale runs were recorded with code or data that" in render([table([cell], 1)], "text")


def test_seconds_of_other_hardware_are_not_an_estimate(tmp_path: Path) -> None:
    study = Study.of("single", SMALL, seeds=2, steps=4, batch=4, budget="demo")
    store = Store(tmp_path)
    other = {**environment(), "device_name": "another processor"}
    costs = {"primary": PRIMARY, "training": {"seconds": 123.0}, "environment": other}
    store.append(record(study.runs[0], "done", provenance=provenance_of(study.runs[0]), **costs))
    (cell,) = plan(study, store, threads=torch.get_num_threads())
    assert not cell.recorded
    assert cell.seconds is not None
    assert cell.seconds < 100


def test_what_cannot_be_trained_is_impossible_before_it_runs(tmp_path: Path) -> None:
    study = Study.of("maxl,hps", SMALL, seeds=2, steps=4, batch=4)
    maxl, hps = plan(study, Store(tmp_path))
    assert "divides the classes of the primary" in maxl.impossible
    assert hps.impossible == ""
    assert ", 2 to do" in render([table([maxl, hps], 1)], "text")
