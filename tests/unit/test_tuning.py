"""Tuning: spaces, equal trials, selection on validation, the ledger, and what boards say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

import auxbench
from auxbench.errors import UsageError
from auxbench.execution.sampling import Point, Sobol, Tpe
from auxbench.execution.study import Study
from auxbench.execution.tuning import FIRST_SEED, Search
from auxbench.records.ledger import Ledger, Trial, Tuning
from auxbench.records.store import Store
from auxbench.report.board import boards
from auxbench.report.tuning import table
from auxbench.spec.method import Method
from auxbench.spec.registry import METHODS
from auxbench.spec.space import Space
from auxbench.stats import frame
from auxbench.stats.frame import _tuned
from tests.unit._records import record

WORDS: dict[str, Any] = {"auxiliary": "helpful", "steps": 6, "seeds": 2, "quiet": True, "jobs": 1}


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tuned")
    auxbench.tune("single,static,gradnorm", "toy", results=folder, trials=3, **WORDS)
    return folder


def test_every_method_has_as_many_trials_and_shares_the_points(tuned: Path) -> None:
    tunings = Ledger(tuned).tunings()
    assert [tuning.method for tuning in tunings] == ["single", "static", "gradnorm"]
    rates = []
    for tuning in tunings:
        assert len(tuning.trials) == 3
        assert tuning.trials[0].entry == tuning.method  # the defaults come first
        assert {trial.seeds for trial in tuning.trials} == {2}
        rates.append([Method.parse(trial.entry).training for trial in tuning.trials])
    assert rates[0] == rates[1] == rates[2]
    assert "helpful=" in tunings[1].trials[1].entry
    assert "alpha=" in tunings[2].trials[1].entry


def test_the_best_on_validation_is_selected_and_test_scores_play_no_part(tuned: Path) -> None:
    ledger = Ledger(tuned)
    records = ledger.trials.records()
    assert {r["run"]["seed"] for r in records} == {FIRST_SEED, FIRST_SEED + 1}
    for tuning in ledger.tunings():
        best = min(tuning.trials, key=lambda trial: trial.score or 0.0)
        assert tuning.selected == best.entry
        for trial in tuning.trials:
            own = [r for r in records if r["run"]["method"] == trial.entry]
            looks = [
                next(look for look in r["curve"] if look["step"] == r["selected"]["step"])
                for r in own
            ]
            values = [look["scores"][0]["value"] for look in looks]
            assert trial.score == pytest.approx(sum(values) / 2)
            assert {look["scores"][0]["split"] for look in looks} == {"validation"}


def test_final_runs_have_fresh_seeds_and_a_board_says_tuned(tuned: Path) -> None:
    records = Store(tuned).records()
    assert {r["run"]["seed"] for r in records} == {0, 1}
    (board,) = boards(frame(records, Ledger(tuned).tunings()))
    assert {row["method"] for row in board.rows} == {"single", "static", "gradnorm"}
    assert {row["tuning"] for row in board.rows} == {"tuned (3 trials)"}
    spent = {
        tuning.method: sum(trial.flops for trial in tuning.trials)
        for tuning in Ledger(tuned).tunings()
    }
    assert {row["method"]: row["tuning_flops"] for row in board.rows} == spent
    (bare,) = boards(records)
    assert {row["tuning"] for row in bare.rows} <= {"set by hand", "default"}
    assert {row["tuning_flops"] for row in bare.rows} == {None}


def test_the_same_command_again_trains_nothing_and_writes_nothing(tuned: Path) -> None:
    files = [tuned / name / "records.jsonl" for name in ("", "trials", "ledger")]
    before = [file.read_bytes() for file in files]
    auxbench.tune("single,static,gradnorm", "toy", results=tuned, trials=3, **WORDS)
    assert [file.read_bytes() for file in files] == before
    assert len(Ledger(tuned).tunings()) == 3


@pytest.mark.slow
def test_halving_drops_trials_after_a_seed(tmp_path: Path) -> None:
    auxbench.tune("single", "toy", results=tmp_path, trials=4, halving=True, **WORDS)
    (tuning,) = Ledger(tmp_path).tunings()
    assert sorted(trial.seeds for trial in tuning.trials) == [1, 1, 2, 2]
    assert next(t for t in tuning.trials if t.entry == tuning.selected).seeds == 2


@pytest.mark.slow
def test_halving_again_drops_the_same_trials(tmp_path: Path) -> None:
    """Also when scores of later seeds are known already, as after a tuning without halving."""
    words = {**WORDS, "steps": 12}
    auxbench.tune("single", "toy", results=tmp_path, trials=4, halving=True, **words)
    before = (tmp_path / "trials" / "records.jsonl").read_bytes()
    auxbench.tune("single", "toy", results=tmp_path, trials=4, halving=True, **words)
    assert (tmp_path / "trials" / "records.jsonl").read_bytes() == before
    auxbench.tune("single", "toy", results=tmp_path, trials=4, **words)
    (tuning,) = Ledger(tmp_path).tunings()
    assert [trial.seeds for trial in tuning.trials] == [2, 2, 2, 2]


@pytest.mark.slow
def test_optuna_learns_from_scores_and_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    auxbench.tune("single", "toy", results=tmp_path, trials=6, sampler="tpe", **WORDS)
    (tuning,) = Ledger(tmp_path).tunings()
    assert tuning.sampler == "tpe"
    tried = [trial.entry for trial in tuning.trials]
    assert len(set(tried)) == 6
    sobol = Search(Study.of("single", "toy", auxiliary="helpful").runs[0], [0])
    sobol.extend(Sobol(), 5)
    assert tried[:4] == sobol.entries[:4]
    assert not set(tried[4:]) & set(sobol.entries)
    before = (tmp_path / "trials" / "records.jsonl").read_bytes()
    auxbench.tune("single", "toy", results=tmp_path, trials=6, sampler="tpe", **WORDS)
    assert (tmp_path / "trials" / "records.jsonl").read_bytes() == before
    rows = frame(Store(tmp_path).records(), Ledger(tmp_path).tunings())
    assert set(rows["tuning"]) == {"tuned (6 trials, tpe)"}


def test_optuna_moves_towards_better_scores() -> None:
    """Of a score that is the distance from a corner of the space."""
    tpe, known = Tpe(), list[tuple[Point, float | None]]()
    for count in tpe.rounds(30):
        new = tpe.next(2, known, count)
        known += [(point, sum(point)) for point in new]
    early, late = (fmean(sum(p) for p, _ in part) for part in (known[:15], known[15:]))
    assert late < early / 2
    failed = [(point, None) for point, _ in known[:3]]
    assert len(tpe.next(2, failed, 1)) == 1


def test_a_sampler_that_needs_every_score_refuses_halving(tmp_path: Path) -> None:
    words = {**WORDS, "halving": True, "sampler": "tpe"}
    with pytest.raises(UsageError, match="halving drops trials; leave one of them out"):
        auxbench.tune("single", "toy", results=tmp_path, **words)
    with pytest.raises(UsageError, match="no sampler is called 'tpa'; did you mean 'tpe'"):
        auxbench.tune("single", "toy", results=tmp_path, sampler="tpa", **WORDS)


def test_tuning_again_shows(tuned: Path, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for tuning in Ledger(tuned).tunings():
        ledger.append(tuning)
    first = next(tuning for tuning in ledger.tunings() if tuning.method == "static")
    better = replace(first.trials[1], entry="static:helpful=2")
    again = replace(first, selected=better.entry, trials=(first.trials[0], better))
    ledger.append(again)
    records = Store(tuned).records()
    extra = record("static:helpful=2", 0, 1.0)
    rows = frame([*records, extra], ledger.tunings())
    old = rows[rows["entry"] == first.selected]
    assert set(old["method"]) == {f"{first.selected} (tuned before)"}
    assert set(old["tuning"]) == {"tuned before"}
    notes = " ".join(table(ledger.tunings()).notes)
    assert "Not every method had the same number of trials" in notes
    assert "Some methods were tuned more than once" in notes
    assert _tuned([first, again]) == "tuned (2 tunings, 4 trials)"


def test_seeds_of_tuning_are_refused_for_final_runs(tmp_path: Path) -> None:
    words = {**WORDS, "seeds": [FIRST_SEED + 1]}
    with pytest.raises(UsageError, match="seed 10001 is reserved for tuning"):
        auxbench.tune("single", "toy", results=tmp_path, **words)


def test_what_is_set_or_fixed_is_not_tuned() -> None:
    free = [d.option for d in Space.of(Method.parse("gradnorm:alpha=1:lr=0.01"), []).dimensions]
    assert free == ["weight_decay"]
    assert Space.of(Method.parse("auxnas-official"), ["depth"]).dimensions == ()


def test_a_default_beside_the_tuned_entry_is_told_apart() -> None:
    records = [record("hps", 0, 40.0), record("hps:lr=0.01", 0, 41.0)]
    problem = frame(records)["problem"].iloc[0]
    line = {"problem": problem, "method": "hps", "selected": "hps:lr=0.01", "direction": "up"}
    rows = frame(records, [Tuning(**line, trials=())])
    assert rows["method"].tolist() == ["hps (default)", "hps"]
    assert rows["entry"].tolist() == ["hps", "hps:lr=0.01"]


@pytest.mark.parametrize("name", METHODS.names())
def test_every_range_is_within_the_bounds_of_its_option(name: str) -> None:
    space = Space.of(Method.parse(name), ["depth", "normals"])
    for share in (0.0, 1.0):
        entry = str(space.entry([share] * len(space.dimensions)))
        Method.parse(entry, ["depth", "normals"])  # refuses what is out of bounds


@pytest.mark.parametrize(("option", "value"), [("trials", 0), ("tuning_seeds", 0)])
def test_nothing_to_try_is_refused(tmp_path: Path, option: str, value: int) -> None:
    with pytest.raises(UsageError, match=f"{option} is 0; ask for at least 1"):
        auxbench.tune("single", "toy", results=tmp_path, **{option: value}, **WORDS)


def test_the_ledger_is_plain_json(tuned: Path) -> None:
    lines = (tuned / "ledger" / "records.jsonl").read_text(encoding="utf-8").splitlines()
    assert {json.loads(line)["tuning"]["method"] for line in lines} == {
        "single",
        "static",
        "gradnorm",
    }


def test_seconds_of_tunings_on_other_hardware_are_left_out() -> None:
    made = [("hps", "EPYC"), ("uw", "EPYC"), ("famo", "Xeon")]
    tunings = [
        Tuning("p", name, name, "up", (Trial(name, 1.0, 2, 3.0, 4.0, (machine,)),))
        for name, machine in made
    ]
    found = table(tunings)
    assert [row["seconds"] for row in found.rows] == [3.0, 3.0, None]
    assert [row["flops"] for row in found.rows] == [4.0] * 3
    assert "Seconds are those of tunings on EPYC alone, not on Xeon." in found.notes
    assert len(table(tunings[:2]).notes) == 1
