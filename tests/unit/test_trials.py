"""A tuning that is planned takes the runs that a tuning makes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import auxbench
from auxbench.cli.main import auxbench as command
from auxbench.errors import UsageError
from auxbench.execution.plan import plan
from auxbench.execution.study import Study
from auxbench.execution.trials import trials_of
from auxbench.records.ledger import Ledger
from auxbench.records.store import Store
from auxbench.report.plan import table
from auxbench.report.tables import render

SMALL = "toy:train=40:validation=4:test=4"
WORDS: dict[str, Any] = {"auxiliary": "helpful", "steps": 2, "batch": 4, "seeds": 2}


def study(methods: str = "single,gradnorm") -> Study:
    return Study.of(methods, SMALL, **WORDS)


@pytest.mark.parametrize(
    ("words", "runs"),
    [
        ({}, 8 * 2),
        ({"trials": 5, "tuning_seeds": 3}, 5 * 3),
        ({"trials": 5, "tuning_seeds": 3, "halving": True}, 5 + 3 + 2),
        ({"trials": 1, "tuning_seeds": 1}, 1),
    ],
)
def test_every_method_takes_as_many_runs(words: dict[str, Any], runs: int, tmp_path: Path) -> None:
    found = trials_of(study(), tmp_path, "", **words)
    assert [(one.runs, one.done, one.selected) for one in found.values()] == [(runs, 0, "")] * 2


def test_what_has_no_free_option_is_tried_with_its_own_alone(tmp_path: Path) -> None:
    fixed = study("single:lr=0.01:weight_decay=0.1")
    (one,) = trials_of(fixed, tmp_path, "", trials=5, tuning_seeds=2).values()
    assert one.runs == 2


def test_a_sampler_that_learns_waits_for_scores(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    (one,) = trials_of(study("single"), tmp_path, "", trials=6, sampler="tpe").values()
    assert one.runs == 6 * 2


@pytest.mark.parametrize(
    "words", [{"trials": 0}, {"tuning_seeds": 0}, {"trials": 10**9}, {"sampler": "sobel"}]
)
def test_wrong_numbers_are_refused_as_by_tune(words: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        trials_of(study(), tmp_path, "", **words)


@pytest.mark.slow
def test_a_plan_before_and_after_the_tuning_agrees_with_it(tmp_path: Path) -> None:
    words = {"trials": 3, "tuning_seeds": 2, "halving": True}
    store = Store(tmp_path)
    before = plan(study("gradnorm"), store, tuning=words)
    auxbench.tune("gradnorm", SMALL, results=tmp_path, jobs=2, quiet=True, **words, **WORDS)
    trials = Ledger(tmp_path).trials.runs()
    assert sum(cell.trials.runs for cell in before if cell.trials) == len(trials)
    assert [(cell.done, cell.missing) for cell in before] == [(0, 2)]
    after = plan(study("gradnorm"), store, tuning=words)
    selected = [one.selected for one in Ledger(tmp_path).tunings()]
    assert [cell.run.method for cell in after] == selected
    assert [(cell.done, cell.missing) for cell in after] == [(2, 0)]
    assert all(cell.trials and cell.trials.done == cell.trials.runs for cell in after)


def test_the_time_of_a_tuning_is_apart_from_that_of_the_runs(tmp_path: Path) -> None:
    cells = plan(study(), Store(tmp_path), tuning={"trials": 3})
    text = " ".join(render([table(cells, 1)], "text").split())
    assert "Tuning takes 12 more runs before these: about" in text
    assert "0 runs done, 4 to do" in text
    rows = json.loads(render([table(cells, 1)], "json"))
    assert '"trials": 6' in json.dumps(rows)


def test_the_config_of_a_tuning_can_be_planned(tmp_path: Path) -> None:
    config = tmp_path / "tune.toml"
    config.write_text(
        f'methods = "single"\ndataset = "{SMALL}"\nsteps = 2\nbatch = 4\nseeds = 1\n'
        'trials = 3\ntuning-seeds = 2\nhalving = true\nsampler = "sobol"\n',
        encoding="utf-8",
    )
    done = CliRunner().invoke(
        command, ["plan", "--config", str(config), "--results", str(tmp_path), "--format", "json"]
    )
    assert done.exit_code == 0, done.output
    assert '"trials": 5' in done.output
