"""Advice: the declared design, its time, its rounds, and what follows from the scores."""

from __future__ import annotations

import json
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from auxbench.cli.advise import _command
from auxbench.cli.main import auxbench
from auxbench.errors import AuxbenchError, UsageError
from auxbench.execution import advising
from auxbench.execution.advising import Advising
from auxbench.execution.candidates import Question
from auxbench.execution.deadline import deadline
from auxbench.execution.resources import Resources
from auxbench.records.advice import Advice, Candidate, State
from auxbench.records.ledger import Ledger
from auxbench.records.looks import Looks
from auxbench.records.record import record as make
from auxbench.records.store import Store
from auxbench.report.advice import Verdict, answer, judge, named, unseen
from auxbench.spec.advice import FILE, Design
from auxbench.spec.budget import BUDGETS
from auxbench.spec.problem import problem_of
from auxbench.spec.registry import METHODS
from auxbench.spec.run import Run
from auxbench.stats.needed import seeds_needed
from auxbench.stats.paired import paired
from tests.unit._records import record

CONTROL: Candidate = ("single", ())
NOISE = (0.01, -0.02, 0.015, -0.01, 0.005, 0.0, -0.015, 0.02, -0.005, 0.01)


def scored(candidate: Candidate, seed: int, value: float, flops: float = 1e12) -> dict[str, Any]:
    method, auxiliaries = candidate
    run = Run("toy", "primary", auxiliaries, "mlp", False, method, BUDGETS["demo"], seed)
    like = record(method, seed, value)
    score = {
        **like["primary"],
        "task": "primary",
        "direction": "down",
        "unit": "",
        "metric": "rmse",
    }
    training = {**like["training"], "flops": flops}
    score["margin"] = 0.02
    return make(run, "done", primary=score, scores=[score], training=training, inference=None)


def verdict(
    gains: dict[Candidate, float], seeds: int = 10, folder: Path | None = None, **flops: float
) -> Verdict:
    """The verdict on candidates whose mean gains over the control are known.

    With a `folder` they are recorded in it, and were looked at.
    """
    records, compared = [], {}
    for place, (one, gain) in enumerate({CONTROL: 0.0, **gains}.items()):
        for seed in range(seeds):
            value = 1 - gain + NOISE[seed] + 0.3 * NOISE[(seed + 3 * place) % len(NOISE)]
            made = scored(one, seed, value, flops.get(one[0], 1e12))
            records.append(made)
            compared[made["id"]] = one
    if folder is None:
        return judge(records, compared, CONTROL, {})
    for made in records:
        Store(folder).append(made)
    every = max(len(one[1]) for one in gains)
    for one in gains:
        Looks(folder).append(problem_of(records[0]["run"]), named(one, every), "single", seeds)
    return judge(records, compared, CONTROL, Looks(folder).latest())


HELPFUL, USELESS = ("static", ("helpful",)), ("static", ("useless",))
BOTH = ("static", ("helpful", "useless"))
HARMFUL, DEAR = ("static", ("harmful",)), ("cagrad", ("helpful",))


def test_what_is_better_is_advised_with_its_evidence() -> None:
    found = verdict({HELPFUL: 0.2, USELESS: 0.0, HARMFUL: -0.3, DEAR: 0.2}, cagrad=3e12)
    assert found.advised == HELPFUL
    verdicts = {row["auxiliaries"] + row["method"]: row["verdict"] for row in found.table().rows}
    assert verdicts["helpfulstatic"] == "better"
    assert verdicts["uselessstatic"] == "equivalent"
    assert verdicts["harmfulstatic"] == "worse"
    told = " ".join(answer(found, {HELPFUL: "static:lr=0.01"}, "primary"))
    assert "train primary with helpful by static, as tuned: static:lr=0.01" in told
    assert "static with helpful against single" in told
    assert "not told apart from the best: cagrad with helpful" in told
    assert found.table().rows[0]["advised"]
    assert set(found.open) == {HELPFUL, DEAR}  # more seeds may say which is better


def test_a_clearly_better_one_is_advised_although_it_costs_more() -> None:
    found = verdict({HELPFUL: 0.2, DEAR: 0.5, USELESS: 0.0, HARMFUL: -0.3}, cagrad=3e12)
    assert found.advised == DEAR
    assert found.alike == ()
    assert found.open == []


def test_nothing_is_advised_by_a_mean_alone() -> None:
    found = verdict({HELPFUL: 0.011, USELESS: 0.001, HARMFUL: 0.012, DEAR: 0.0}, seeds=4)
    assert found.advised is None
    told = list(answer(found, {}, "primary"))
    assert told[0] == "Advice: train primary without auxiliaries; none was found to help."
    assert "more seeds)" in told[-1]
    rows = found.table().rows
    assert all(row["needed"] > 4 for row in rows if row["verdict"] == "undecided")


def test_what_was_not_seen_is_said() -> None:
    found = verdict({HELPFUL: 0.2, USELESS: 0.0})
    told = " ".join(unseen(found, 21, 8, "demo", 5))
    assert "18 candidates of 20 had no fresh seeds" in told
    assert "not in other combinations" in told
    assert "budget demo" in told


def test_seeds_needed_follows_the_looks() -> None:
    wide = {seed: NOISE[seed] * 10 for seed in range(5)}
    flat = dict.fromkeys(range(5), 0.0)
    near = seeds_needed(paired({k: v + 0.4 for k, v in wide.items()}, flat, "up"))
    far = seeds_needed(paired({k: v + 0.06 for k, v in wide.items()}, flat, "up"))
    assert near == 10
    assert far is not None
    assert far > 20
    shifted = paired({k: v + 0.06 for k, v in wide.items()}, flat, "up")
    strict = seeds_needed(shifted, share=0.1)
    assert strict is not None
    assert strict > far
    assert seeds_needed(paired(wide, wide, "up")) is None  # no spread
    equal = seeds_needed(paired(wide, flat, "up"), margin=1.0)
    assert equal == 10


def test_the_declared_design_names_methods_that_exist() -> None:
    design = Design.declared()
    assert {design.control, *design.methods} <= set(METHODS.names())
    assert FILE.name == "advice.toml"
    with pytest.raises(UsageError, match="trials is 0"):
        design.with_changes(trials=0)
    with pytest.raises(UsageError, match="'single' is the control"):
        design.with_changes(methods="single,hps")
    with pytest.raises(UsageError, match="methods is empty"):
        design.with_changes(methods="")


def test_a_damaged_state_is_no_state(tmp_path: Path) -> None:
    advice = Advice(tmp_path)
    state = State("demo", ("hps",), 3.0, 2, ((HELPFUL, 5),), (HELPFUL,))
    advice.save("a", state)
    assert advice.load("a") == state
    advice.store.append({"id": "a", "advice": {"budget": 1, "seeds": 7}})
    assert advice.load("a") is None


@pytest.mark.parametrize("handler", [signal.default_int_handler, signal.SIG_IGN])
def test_a_deadline_ends_what_takes_too_long_and_nothing_else(handler: Any) -> None:
    """Also where Ctrl-C is ignored, as in the background of a script."""
    before = signal.signal(signal.SIGINT, handler)
    try:
        begun = time.monotonic()
        with deadline(0.1) as stop:
            time.sleep(20)
        assert stop.struck
        assert time.monotonic() - begun < 10
        with deadline(20) as stop:
            pass
        assert not stop.struck
        with pytest.raises(KeyboardInterrupt), deadline(20):
            raise KeyboardInterrupt
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)


ASKED = Question("toy", None, "helpful", {"steps": 6, "budget": "demo"})
DESIGN = Design.declared().with_changes(methods="static", trials=2, tuning_seeds=1)
SEEDS = 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder in which a study was screened and has had its first look."""
    folder = tmp_path_factory.mktemp("advice")
    study = Advising(ASKED, DESIGN, 1.0, folder, Resources("cpu", 1))
    study.screen()
    assert study.extend(SEEDS)
    return folder


def test_all_candidates_have_equal_trials_and_fresh_seeds(folder: Path) -> None:
    tunings = Ledger(folder).tunings()
    assert [len(one.trials) for one in tunings] == [2, 2]
    trained = {
        (r["run"]["method"], tuple(r["run"]["auxiliaries"])) for r in Store(folder).records()
    }
    assert len(trained) == 2
    assert {r["run"]["seed"] for r in Store(folder).records()} == set(range(SEEDS))


def test_a_second_call_goes_on_and_trains_nothing_again(folder: Path) -> None:
    before = (folder / "records.jsonl").read_bytes(), (folder / "trials/records.jsonl").read_bytes()
    study = Advising(ASKED, DESIGN, 1.0, folder, Resources("cpu", 1))
    spent = study.spent
    assert spent > 0
    study.screen()
    assert study.extend(SEEDS)
    after = (folder / "records.jsonl").read_bytes(), (folder / "trials/records.jsonl").read_bytes()
    assert before == after
    assert len(study.compared()) == 2 * SEEDS
    assert set(study.compared().values()) == set(study.cells)


def test_no_look_is_begun_for_which_time_does_not_suffice(folder: Path) -> None:
    study = Advising(ASKED, DESIGN, 1.0, folder, Resources("cpu", 1))
    study.screen()
    study.limit = study.spent + 0.5
    assert not study.extend(10)
    assert len(Store(folder).records()) == 2 * SEEDS


def test_another_question_is_another_study(folder: Path) -> None:
    other = Question("toy", None, "helpful,useless", {"steps": 6, "budget": "demo"})
    study = Advising(other, DESIGN, 1.0, folder, Resources("cpu", 1))
    assert study.state.trials == 0
    assert study.sets == [(), ("helpful",), ("useless",), ("helpful", "useless")]


def test_too_few_hours_are_refused_with_the_number_that_suffices(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"hours is 0.0001, and the smallest .* give --hours 0\.\d"
    ):
        Advising(ASKED, DESIGN, 0.0001, tmp_path, Resources("cpu", 1))
    for hours in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="give a number above 0"):
            Advising(ASKED, DESIGN, hours, tmp_path, Resources("cpu", 1))


def test_methods_that_do_not_fit_are_left_out_and_the_budget_follows_the_hours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Question("toy", None, "helpful", {})
    design = Design.declared().with_changes(methods="static,uw,cagrad")

    def weigh(self: Advising, candidates: dict[Candidate, Run]) -> None:
        self.weights = {one: run.recipe.steps / 10 for one, run in candidates.items()}

    monkeypatch.setattr(Advising, "_weigh", weigh)
    found = {}
    for hours in (0.21, 0.6, 3.0):
        study = Advising(asked, design, hours, tmp_path / str(hours), Resources("cpu", 1))
        found[hours] = study.state.budget, study.state.methods
    assert found[0.21] == ("demo", ("static", "uw"))
    assert found[0.6] == ("demo", ("static", "uw", "cagrad"))
    assert found[3.0] == ("small", ("static", "uw", "cagrad"))


def test_a_first_round_that_takes_too_long_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Advising(ASKED, DESIGN, 1.0, tmp_path, Resources("cpu", 1))
    monkeypatch.setattr(advising, "carry_out_trials", lambda *rest, **words: time.sleep(30))
    study.begun, study.before, study.limit = time.monotonic(), 0.0, 3.0
    with pytest.raises(AuxbenchError, match=r"the same command with --hours 0.01 continues"):
        study.screen()


def test_a_study_without_a_decision_tells_what_it_has_measured(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def over(study: Advising) -> None:
        raise AuxbenchError("time is over.")

    shutil.copytree(folder, tmp_path / "a")
    monkeypatch.setattr(Advising, "screen", over)
    words = "--dataset toy --auxiliary helpful --methods static --trials 2 --steps 6 --budget demo"
    rest = f"--hours 1 --jobs 1 --device cpu --no-data-report --results {tmp_path / 'a'}"
    found = CliRunner().invoke(auxbench, ["advise", *f"{words} {rest} --format json".split()])
    assert str(found.exception) == "time is over."
    single, static = json.loads(found.stdout)
    assert (single["method"], static["method"]) == ("single", "static")
    assert static["auxiliaries"] == "helpful"
    assert static["trials"] == static["runs"] == 2  # of 2 seeds each has had the first
    scores = [one.score for tuning in Ledger(folder).tunings() for one in tuning.trials]
    assert {single["score"], static["score"]} == {min(scores[:2]), min(scores[2:])}  # rmse


def test_a_busy_machine_begins_what_would_fit_if_it_were_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def weigh(self: Advising, candidates: dict[Candidate, Run]) -> None:
        time.sleep(0.2)  # no processor's time
        self.weights = dict.fromkeys(candidates, 100.0)

    monkeypatch.setattr(Advising, "_weigh", weigh)
    study = Advising(ASKED, DESIGN, 0.2, tmp_path, Resources("cpu", 1))
    assert study.state.methods == ("static",)
    assert "the machine is busy" in capsys.readouterr().err


def test_the_results_folder_is_compared_as_advice_compared_it(tmp_path: Path) -> None:
    """With the candidates' names, on the control's problem, at the levels of the looks."""
    found = verdict({HELPFUL: 0.2, USELESS: 0.0, BOTH: 0.1}, folder=tmp_path)
    words = ["--control", "single", "--results", str(tmp_path)]
    told = CliRunner().invoke(auxbench, ["compare", *words, "--format", "json"])
    rows = {row["method"]: row for row in json.loads(told.stdout)}
    assert rows.keys() == {"static with helpful", "static with useless", "static with all"}
    for one in found.differences:
        row, shown = one.row(), rows[one.method]
        for key in ("problem", "verdict", "n", "difference", "low", "high", "p", "p_holm"):
            assert shown[key] == row[key], key
    text = CliRunner().invoke(auxbench, ["compare", *words]).stdout
    assert "Seeds were added after looks at 3 of the comparisons" in text
    board = CliRunner().invoke(auxbench, ["leaderboard", "--results", str(tmp_path)]).stdout
    assert "static with all" in board


def test_what_else_is_recorded_with_the_same_auxiliaries_stays_there(tmp_path: Path) -> None:
    verdict({HELPFUL: 0.2}, folder=tmp_path)
    for seed in range(5):
        Store(tmp_path).append(scored(("hps", HELPFUL[1]), seed, 1.0))
    words = ["compare", "static", "hps", "--results", str(tmp_path)]
    assert "static against hps on toy primary with helpful" in " ".join(
        CliRunner().invoke(auxbench, words).stdout.split()
    )
    words = ["compare", "static with helpful", "single", "--results", str(tmp_path)]
    assert "static with helpful against single" in CliRunner().invoke(auxbench, words).stdout


def test_wrong_words_end_in_one_line() -> None:
    for words, why in (
        (["--dataset", "nix"], "no data set is called 'nix'"),
        (["--dataset", "toy", "--primary", "nix"], "no task is called 'nix'"),
        (["--dataset", "toy", "--auxiliary", ""], "has no auxiliary task here"),
        (["--dataset", "toy", "--methods", "nix"], "nix"),
        (["--dataset", "toy", "--hours", "0"], "hours is 0"),
        (["--dataset", "toy", "--steps", "0"], "steps is 0"),
    ):
        error = CliRunner().invoke(auxbench, ["advise", "--no-data-report", *words]).exception
        assert isinstance(error, UsageError), words
        assert why in str(error), words


def advise(folder: Path, *words: str) -> Any:
    rest = ["--results", str(folder), "--jobs", "2", "--device", "cpu", "--no-data-report"]
    found = CliRunner().invoke(auxbench, ["advise", "--dataset", "toy", *rest, *words])
    assert found.exception is None, found.output
    return found


@pytest.mark.slow
def test_the_advice_is_right_where_the_answer_is_known(tmp_path: Path) -> None:
    """Of toy: `helpful` helps, and nothing is found for `useless` and `harmful` by themselves."""
    few = ("--budget", "demo", "--trials", "3", "--methods", "hps,static", "--hours", "1")
    found = advise(tmp_path / "a", "--auxiliary", "helpful,useless", *few)
    assert "Advice: train primary with helpful" in found.stdout
    again = advise(tmp_path / "a", "--auxiliary", "helpful,useless", *few, "--format", "json")
    rows = json.loads(again.stdout)
    advised = [row for row in rows if row["advised"]]
    assert [row["verdict"] for row in advised] == ["better"]
    assert "useless" not in {row["auxiliaries"] for row in rows if row["verdict"] == "better"}
    bad = advise(tmp_path / "b", "--auxiliary", "useless,harmful", *few)
    assert "Advice: train primary without auxiliaries" in bad.stdout


def page_commands() -> list[list[str]]:
    page = (Path(__file__).parents[2] / "docs" / "advise.md").read_text(encoding="utf-8")
    lines = [line for block in page.split("```")[1::2] for line in block.splitlines()]
    return [line.split()[1:] for line in lines if line.startswith("auxbench ")]


@pytest.mark.slow
@pytest.mark.parametrize("words", page_commands(), ids=" ".join)
def test_the_commands_of_the_page_are_carried_out(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to the training, in which nothing else is left out."""
    begun: list[Advising] = []
    monkeypatch.setattr(Advising, "screen", lambda study: begun.append(study))
    monkeypatch.setattr("auxbench.cli.advise._compare", lambda study, results: None)
    monkeypatch.setattr("auxbench.cli.advise._look_at_data", lambda *rest: None)
    monkeypatch.chdir(tmp_path)
    rest = ["--results", str(tmp_path)] if words[0] == "advise" else ["--samples", "60"]
    found = CliRunner().invoke(auxbench, [*words, *rest])
    if words[0] == "advise":
        assert isinstance(found.exception, AuxbenchError)
        (study,) = begun
        assert study.state.methods == Design.declared().methods
        assert len(study.sets) == 5
    else:
        assert found.exception is None
        assert "toy: labels" in found.stdout


def test_the_page_says_what_is_declared() -> None:
    page = (Path(__file__).parents[2] / "docs" / "advise.md").read_text(encoding="utf-8")
    design = Design.declared()
    assert f"up to {design.trials} trials of {design.tuning_seeds} seeds" in page
    assert f"at most {round(100 * design.screening)} % of the time" in page
    for name in design.methods:
        assert f"`{name}`" in page or name == "hps"  # the plain sum


def test_a_study_in_which_no_method_can_be_tried_is_refused_with_the_reasons() -> None:
    words = "advise --dataset toy --auxiliary helpful --methods maxl --steps 5 --trials 1"
    found = CliRunner().invoke(auxbench, [*words.split(), "--hours", "1", "--no-data-report"])
    assert isinstance(found.exception, UsageError)
    assert str(found.exception).startswith("no method can be tried (maxl with helpful: ")


def test_the_command_of_the_advice_trains_what_was_compared() -> None:
    words = {"steps": 5, "batch": 8, "head": "linear", "pretrained": True, "jobs": 2}
    run = scored(HELPFUL, 0, 1.0)["run"]
    study: Any = SimpleNamespace(
        question=Question("toy", None, "helpful", words), state=SimpleNamespace(budget="demo")
    )
    told = _command(study, replace(Run.from_json(run), where=":data=My Data", pretrained=True))
    assert told.startswith("auxbench run --methods static --dataset 'toy:data=My Data' --primary ")
    assert told.endswith("--budget demo --steps 5 --batch 8 --head linear --pretrained")
