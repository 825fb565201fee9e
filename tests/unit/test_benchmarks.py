"""The benchmarks: their arithmetic, their page, and that all contestants compute the same."""

from __future__ import annotations

import doctest
import importlib.util
import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import binom

from auxbench.errors import UsageError
from auxbench.spec.registry import DATASETS, METHODS

FOLDER = Path(__file__).parents[2] / "benchmarks"


def load(name: str) -> ModuleType:
    """A script of the folder as a module."""
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", FOLDER / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def helper(name: str) -> Any:
    """A script of the folder that other scripts import by its bare name."""
    sys.modules[name] = load(name)
    return sys.modules[name]


timing, libmtl = helper("timing"), helper("libmtl")
steps: Any = load("steps")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "SIDE", 32)
    monkeypatch.setattr(steps, "BATCH", 4)
    monkeypatch.setattr(steps.backbone, "build", small_trunk(steps.backbone.build))
    steps.batch.cache_clear()


def small_trunk(build: Any) -> Any:
    return lambda name, side: build("test_resnet", side)


def ratio(median: float) -> dict[str, float]:
    return {"median": median, "low": median - 0.1, "high": median + 0.1}


def result(**changes: Any) -> dict[str, Any]:
    pcgrad = {"ours": ratio(1.94), "torchjd": ratio(2.5), "libmtl": ratio(3.0)}
    contest = {
        "plain sum / bare loop": ratio(1.01),
        "ratios": {"pcgrad": pcgrad, "dwa": {"ours": ratio(1.07)}},
        "limits": {"pcgrad": 2.4, "dwa": 1.05},
        "refused": {"far": "too many tasks."},
    }
    return {
        "tasks": {"2": contest, "3": {**contest, "ratios": {"pcgrad": {"ours": ratio(1.8)}}}},
        "bargains": {"2": {"ours": 0.1, "torchjd": 20.0}, "20": {"ours": 1.5}},
        "rounds": 4,
        "rounds with a bar": 16,
        "clock": "seconds",
        "load": {"before": [0.5, 1.0, 2.0], "after": [1.5, 1.0, 2.0]},
        "threads": 2,
        "torchjd": None,
        "environment": {"processor": "chip", "commit": None, "packages": {"torch": "2.6"}},
        **changes,
    }


def test_examples() -> None:
    for module, least in ((steps, 4), (timing, 6)):
        found = doctest.testmod(module)
        assert found.attempted >= least
        assert found.failed == 0


def test_every_balancer_but_the_plain_sum_takes_part() -> None:
    names = set(steps.balancers())
    assert {"pcgrad", "uw", "olaux"} <= names
    assert not names & {"sum", "hps", "single", "auxnas"}
    assert names < set(METHODS.names())
    shared = {"crossstitch", "nddr", "mtan", "maxl", "auxg", "auxnas", "auxnas-official"}
    assert shared <= set(steps.architectures()) < set(METHODS.names()) - names - {"hps", "single"}


def test_bars() -> None:
    assert [steps.limit("pcgrad", tasks) for tasks in (2, 3, 5)] == [None, 2.4, None]
    assert [steps.limit("dwa", tasks) for tasks in (2, 3, 5)] == [1.05] * 3
    assert steps.limit("famo", 3) is None
    assert steps.limit("auxnas+pcgrad", 3) is None
    assert [steps.limit("pcgrad:every=10", tasks) for tasks in (2, 3, 5)] == [None, 1.2, None]
    for name in steps.balancers():
        if name in ("gcs", "olaux", "pripcgrad"):
            assert steps.limit(name, 5) == 2.8


def test_everybody_takes_turns_after_the_warm_up() -> None:
    turns: list[str] = []
    parties = {name: lambda name=name: turns.append(name) for name in "ab"}
    seconds = timing.measure(parties, rounds=3)
    assert "".join(turns) == "ab" * (3 + timing.WARM_UP)
    assert {name: len(values) for name, values in seconds.items()} == {"a": 3, "b": 3}


def test_the_clock_is_the_one_that_is_asked_for() -> None:
    ticks = iter(range(100))
    seconds = timing.measure({"a": lambda: None}, 2, lambda: float(next(ticks)), warm_up=0)
    assert seconds == {"a": [1.0, 1.0]}
    assert timing.clock_of(True) == ("seconds of the processor", time.process_time)
    assert timing.clock_of(False) == ("seconds", time.perf_counter)


@pytest.mark.parametrize(("count", "rank"), [(1, 1), (5, 1), (6, 1), (9, 2), (16, 4), (64, 24)])
def test_ranks_are_those_of_the_binomial_interval_of_a_median(count: int, rank: int) -> None:
    assert timing.rank(count) == rank
    if count >= timing.FEWEST:
        assert binom.cdf(rank - 1, count, 0.5) <= 0.025 < binom.cdf(rank, count, 0.5)


def test_ratios_are_of_rounds_and_count_what_recurs() -> None:
    group = steps.Group({}, periods={"arml": 10})
    seconds = {
        "bare loop": [2.0, 2.0, 2.0],
        "plain sum": [1.0, 2.0, 9.0],
        "arml, ours": [2.0, 2.0, 40.0],
        "arml, recurring": [6.0, 6.0, 6.0],
        "uw, ours": [2.0, 2.2, 9.0],
        "uw, TorchJD": [1.0, 3.0, 9.0],
        "uw, LibMTL": [3.0, 6.0, 27.0],
    }
    assert steps.summary(group, seconds) == {
        "arml": {"ours": {"median": 2.4, "low": 1.2, "high": 4.067}},
        "uw": {
            "ours": {"median": 1.1, "low": 1.0, "high": 2.0},
            "torchjd": {"median": 1.0, "low": 1.0, "high": 1.5},
            "libmtl": {"median": 3.0, "low": 3.0, "high": 3.0},
        },
    }


@pytest.mark.usefixtures("small")
def test_what_has_a_bar_is_timed_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    timed: dict[str, int] = {}

    def measure(parties: dict[str, Any], rounds: int, clock: Any) -> dict[str, list[float]]:
        timed.update(dict.fromkeys(parties, rounds))
        return {name: [1.0] * rounds for name in parties}

    monkeypatch.setattr(steps, "measure", measure)
    found = steps.contest(["gls", "dwa"], 2, 3)
    assert (timed["dwa, ours"], timed["gls, ours"]) == (3 * steps.SHARPER, 3)
    assert found["limits"] == {"dwa": 1.05}
    assert set(found["ratios"]) == {"gls", "dwa"}


def test_the_table() -> None:
    lines = steps.table(result()).splitlines()
    widths = {line.count("|") for line in lines[: lines.index("")]}
    assert widths == {6}
    plain = "1.01 [0.91, 1.11] (≤ 1.03) | |"
    assert lines[2] == f"| plain sum / the same loop by hand | {plain} {plain}"
    cells = ["1.94 [1.84, 2.04] (≤ 2.4)", "2.50 [2.40, 2.60]", "1.80 [1.70, 1.90] (≤ 2.4)"]
    assert lines[3] == f"| `pcgrad` | {' | '.join(cells)} |  |"
    assert lines[4] == "| `dwa` | **1.07 [0.97, 1.17] (> 1.05)** |  |  |  |"
    assert "| 2 tasks | 0.10 (≤ 1) | 20.00 |" in lines
    assert "| 20 tasks | **1.50 (> 1)** |  |" in lines
    assert "Without `far`: too many tasks." in lines
    assert (
        "since fewer than 6 rounds have no interval of 95 %; load 0.5 before and 1.5" in lines[-2]
    )


def test_libmtl_has_a_column_where_it_was_given() -> None:
    lines = steps.table(result(libmtl="1.1.5")).splitlines()
    assert {line.count("|") for line in lines[: lines.index("")]} == {8}
    assert "2.50 [2.40, 2.60] | 3.00 [2.90, 3.10] | 1.80" in lines[3]
    assert any("LibMTL 1.1.5, at commit" in line for line in lines)


def test_only_the_block_of_the_page_is_replaced() -> None:
    page = f"top\n{steps.FIRST}old\n{steps.LAST}\nrest\n"
    assert steps.refreshed(page, "new\n") == f"top\n{steps.FIRST}new\n{steps.LAST}\nrest\n"
    with pytest.raises(UsageError, match="marks"):
        steps.refreshed("no marks", "new\n")


def test_the_page_shows_what_was_measured() -> None:
    measured = json.loads((FOLDER / "steps.json").read_text(encoding="utf-8"))
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    if "rounds with a bar" not in measured:
        pytest.skip("benchmarks/steps.json is of an earlier script; measure again")
    assert steps.refreshed(page, steps.table(measured)) == page


@pytest.mark.usefixtures("small")
def test_impossible_methods_are_left_out_with_their_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(method: str, tasks: int) -> None:
        raise UsageError(f"method '{method}' is too much; take less.")

    monkeypatch.setattr(steps.Group, "_add", lambda group, method, tasks, _: refuse(method, tasks))
    group = steps.Group.of(["dear"], 2)
    assert group.refused == {"dear": "method 'dear' is too much; take less."}
    assert list(group.steps) == ["bare loop", "plain sum"]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("tasks", [2, 3, 5])
def test_the_loop_by_hand_does_what_the_plain_sum_does(tasks: int) -> None:
    ours, hand = steps.Ours("hps", tasks), steps.Hand(tasks)
    ours()
    torch.stack(hand.losses(hand.features())).sum().backward()
    compare(ours, hand)


@pytest.mark.usefixtures("small")
def test_by_hand_channels_come_first_and_in_a_run_last() -> None:
    ours, hand = steps.Ours("hps", 2), steps.Hand(2)
    theirs = [hand.inputs, *hand.trunk.parameters(), *hand.heads.parameters()]
    assert all(tensor.dtype == torch.float32 and tensor.is_contiguous() for tensor in theirs)
    last = {"memory_format": torch.channels_last}
    weights = [p for p in ours.learner.architecture.parameters() if p.ndim == 4]
    images = ours.prepare(steps.batch(2)).inputs
    assert all(tensor.is_contiguous(**last) for tensor in [images, *weights])


CHECKOUT = {
    "abstract_weighting": """
from torch import nn

class AbsWeighting(nn.Module):
    def init_param(self): pass
""",
    "EW": """
from LibMTL.weighting.abstract_weighting import AbsWeighting

class EW(AbsWeighting):
    def backward(self, losses, **kwargs):
        losses.sum().backward()
        assert kwargs["calpha"] == 0.5
""",
    "Nash_MTL": """
try:
    import a_solver_that_nobody_has
except ModuleNotFoundError:
    from pip._internal import main as pip
    pip(["install", "a_solver_that_nobody_has"])
""",
}


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "LibMTL" / "weighting"
    folder.mkdir(parents=True)
    for package in (folder.parent, folder):
        (package / "__init__.py").write_text("import a_data_set_that_nobody_has")
    for name, text in CHECKOUT.items():
        (folder / f"{name}.py").write_text(text)
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] == "LibMTL"]:
        del sys.modules[name]


@pytest.mark.usefixtures("small")
def test_libmtl_takes_steps_on_the_network_by_hand(checkout: Path) -> None:
    hands = []

    def make(tasks: int) -> Any:
        hands.append(steps.Hand(tasks))
        return hands[-1]

    ours, theirs = steps.Ours("hps", 2), libmtl.step("static", 2, checkout, make)
    ours()
    assert theirs is not None  # it has taken a step
    compare(ours, hands[0])
    assert libmtl.step("pcgrad", 2, checkout, make) is None
    group = steps.Group.of(["static"], 2, checkout)
    assert "static, LibMTL" in group.steps


@pytest.mark.usefixtures("small")
def test_what_libmtl_cannot_import_is_left_out_and_not_installed(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert libmtl.step("nashmtl", 2, checkout, steps.Hand) is None
    why = "No module named 'a_solver_that_nobody_has'"
    assert capsys.readouterr().err == f"nashmtl by LibMTL is left out: {why}\n"


def test_a_folder_without_libmtl_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no folder 'LibMTL/weighting'; give the root"):
        libmtl.checked(tmp_path)
    (tmp_path / "LibMTL" / "weighting").mkdir(parents=True)
    assert libmtl.version(libmtl.checked(tmp_path)) == "a checkout"
    (tmp_path / "LibMTL-1.1.5.dist-info").mkdir()
    assert libmtl.version(tmp_path) == "1.1.5"


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("method", ["config", "mgda", "fairgrad"])
def test_torchjd_does_what_our_method_does(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its features are the maps of all stages, each of which depends on the ones before."""
    pytest.importorskip("torchjd", reason="torchjd is not installed; the extra 'dev' has it")
    hands = []
    hand = steps.Hand

    def keep(*given: Any) -> Any:
        hands.append(hand(*given))
        return hands[-1]

    monkeypatch.setattr(steps, "Hand", keep)
    ours, theirs = steps.Ours(named(method), 2), steps.torchjd(method, 2)
    ours()
    theirs()
    compare(ours, hands[0])


def named(method: str) -> str:
    return "fairgrad:max_norm=none" if method == "fairgrad" else method


def compare(ours: Any, hand: Any) -> None:
    architecture = ours.learner.architecture
    trunk = architecture.network.backbone
    heads = [architecture.network.head, *architecture.heads.values()]
    pairs = [(trunk, hand.trunk), *zip(heads, hand.heads, strict=True)]
    for part, other in pairs:
        gradients = [p.grad for p in part.parameters()]
        assert any(gradient.abs().max() > 0 for gradient in gradients)
        # In another layout sums round differently, and signs in the gradients of L1 with them.
        mine, theirs = (
            torch.cat([gradient.flatten() for gradient in row])
            for row in (gradients, [p.grad for p in other.parameters()])
        )
        assert (mine - theirs).norm() <= 5e-3 * theirs.norm()


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("method", ["pcgrad", "pcgrad:every=10", "famo", "uw", "rlw", "arml"])
def test_contestants_take_steps(method: str) -> None:
    group = steps.Group.of([method], 2)
    seconds = steps.measure(group.steps, rounds=1)
    assert {"bare loop", "plain sum", f"{method}, ours"} <= set(seconds)
    periods = {"arml": 20, "pcgrad:every=10": 10}
    assert group.periods == {name: each for name, each in periods.items() if name == method}
    assert method in steps.summary(group, seconds)


def test_the_bargain_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "BARGAINERS", (2, 20))
    monkeypatch.setattr(steps, "_bargainer", lambda tasks: lambda rows: rows.sum())
    milliseconds = steps.bargains(draws=3)
    assert list(milliseconds) == ["2", "20"]
    assert all(row["ours"] > 0 and row["torchjd"] >= 0 for row in milliseconds.values())


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setitem(sys.modules, "steps", steps)  # as when it is run as a script
    return load("memory")


def test_the_peak_is_that_of_the_last_step(memory: Any) -> None:
    def made() -> Any:
        kept = [torch.ones(1_000_000)]

        def step() -> None:
            kept.append(torch.ones(500_000) + torch.ones(500_000))
            del kept[1:]

        return step

    assert memory.peak(made) == {"before": 4.0, "peak": 10.0}


def test_the_page_shows_the_memory_that_was_measured(memory: Any) -> None:
    assert doctest.testmod(memory).failed == 0
    measured = json.loads((FOLDER / "memory.json").read_text(encoding="utf-8"))
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    found = steps.refreshed(page, memory.table(measured), memory.FIRST, memory.LAST)
    assert found == page
    for method, bar in measured["limits"].items():
        assert memory.gradients(measured, method) <= bar, method


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setitem(sys.modules, "steps", steps)
    found = {name: load(name) for name in ("arithmetic", "whole_run", "throughput")}
    for name in ("arithmetic", "throughput"):
        monkeypatch.setitem(sys.modules, name, found[name])
    return {**found, "gpu": load("gpu")}


@pytest.mark.parametrize("name", ["arithmetic", "whole_run", "gpu"])
def test_the_page_shows_what_other_scripts_measured(name: str, scripts: dict[str, Any]) -> None:
    script = scripts[name]
    assert doctest.testmod(script).failed == 0
    if not (FOLDER / f"{name}.json").exists():
        pytest.skip(f"benchmarks/{name}.json is not measured yet")
    measured = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    found = steps.refreshed(page, script.table(measured), script.FIRST, script.LAST)
    assert found == page


def test_arithmetic_says_plainly_what_is_slower(scripts: dict[str, Any]) -> None:
    ratios = {"fp32": ratio(0.9), "bf16": ratio(1.4), "compiled": ratio(0.7)}
    network = {
        "ratios": {"hps": ratios, "pcgrad": ratios},
        "compiled": {method: {"compiled": ratio(0.8)} for method in ("hps", "pcgrad")},
        "refused": {"bf16 compiled": "the network is not compiled: no compiler."},
    }
    measured = result(precision="bf16", compile=True, networks={"resnet18": network})
    lines = scripts["arithmetic"].table(measured).splitlines()
    assert {line.count("|") for line in lines[:4]} == {9}
    assert (
        "**1.40 [1.30, 1.50] (> 0.6)** | 0.70 [0.60, 0.80] |  | 0.80 [0.70, 0.90] (≤ 0.85)"
        in (lines[2])
    )
    assert "**1.40 [1.30, 1.50] (> 1.25)**" in lines[3]
    assert lines[-1].startswith("Without bf16 compiled on `resnet18`: the network is not compiled")


def test_by_hand_every_epoch_has_whole_batches_of_other_samples(scripts: dict[str, Any]) -> None:
    batches = scripts["whole_run"].drawn(10, 4, np.random.default_rng(0))
    first = [next(batches) for _ in range(2)]
    assert len(set(np.concatenate(first).tolist())) == 8
    assert len(next(batches)) == 4


@pytest.mark.parametrize("name", ["segmentation", "depth", "normals"])
def test_losses_by_hand_are_those_of_a_run(name: str, scripts: dict[str, Any]) -> None:
    dataset = DATASETS["rooms"].tiny()
    task, batch = dataset.tasks[name], dataset.samples("train").batch(np.arange(4), None)
    generator = torch.Generator().manual_seed(0)
    guess = torch.randn(4, task.outputs, *dataset.size, generator=generator)
    target = batch.targets[name]
    expected = task.losses(guess, target).mean()
    torch.testing.assert_close(scripts["whole_run"].LOSSES[name](guess, target), expected)


def test_aux_nas_beside_the_released_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "steps", steps)
    assert doctest.testmod(load("auxnas")).failed == 0


def test_the_page_shows_what_a_loop_of_ones_own_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    script = load("balance")
    measured = json.loads((FOLDER / "balance.json").read_text(encoding="utf-8"))
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert steps.refreshed(page, script.table(measured), script.FIRST, script.LAST) == page
    for method, ratios in measured["ratios"].items():  # no slower than others, and than a run
        for peer in {"TorchJD", "LibMTL"} & ratios.keys():
            assert ratios["library"]["low"] <= ratios[peer]["high"], (method, peer)
        assert ratios["channels last"]["low"] <= ratios["run"]["high"], method


@pytest.mark.slow
def test_the_page_has_the_false_claims_that_are_simulated(
    capsys: pytest.CaptureFixture[str],
) -> None:
    load("false_claims").main()
    table, _, sentence = capsys.readouterr().out.partition("\n\n")
    page = (FOLDER.parent / "docs" / "statistics.md").read_text(encoding="utf-8")
    assert table in page
    assert sentence.split(" standard deviations")[0].split()[-1] in page


@pytest.mark.skipif(not importlib.util.find_spec("matplotlib"), reason="figures need it")
def test_the_readings_have_the_gains_of_untuned_methods(tmp_path: Path) -> None:
    script = load("untuned")
    root = FOLDER.parent
    assert script.table() in (root / "results" / "README.md").read_text(encoding="utf-8")
    page = (root / "docs" / "fair.md").read_text(encoding="utf-8").replace("*", "")
    for name, found in script.gains("helpful"):
        assert f"| {name} | {' | '.join(f'{mean:+.2f}' for mean, _, _ in found)} |" in page
    script.main(["--out", str(tmp_path / "a.svg")], standalone_mode=False)
    assert "<path" in (tmp_path / "a.svg").read_text(encoding="utf-8")


@pytest.mark.skipif(not importlib.util.find_spec("matplotlib"), reason="figures need it")
def test_the_figure_of_all_boards_has_the_verdicts_of_each(tmp_path: Path) -> None:
    script = load("gains")
    places = script.together().places
    shown = 0
    for name in script.BOARDS:
        lines = (FOLDER.parent / "results" / name / "matrix.md").read_text("utf-8").splitlines()
        rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
        for at, problem in list(enumerate(rows[0]))[4:]:
            (place,) = [one for one in places if one.name.startswith(f"{problem};")]
            for row in rows[1:]:
                if row[0] in place.compared:
                    verdict = place.compared[row[0]]["verdict"].replace("equivalent", "same")
                    found = {"better", "same", "worse"} & set(row[at].split())
                    assert found == {verdict} - {"undecided"}, row
                    shown += 1
    assert shown == sum(len(place.compared) for place in places)
    script.main(["--out", str(tmp_path / "a.svg")], standalone_mode=False)
    files = tmp_path / "a.svg", FOLDER.parent / "docs" / "figures" / "boards.svg"
    drawn, there = (re.findall("<!-- (.*?) -->", file.read_text("utf-8")) for file in files)
    assert len(drawn) > 100
    assert drawn == there, "run benchmarks/gains.py"


def test_the_readings_have_the_single_task_network_at_the_cost_of_auxnas() -> None:
    script = load("longer")
    readings = (FOLDER.parent / "results" / "README.md").read_text(encoding="utf-8")
    assert script.table() in readings
    for row in script.rows():
        single, ours, longer = row.flops
        assert single == 1.0
        assert longer == pytest.approx(ours, rel=0.05), row.problem


def test_the_readings_have_the_fronts_and_the_combinations() -> None:
    script = load("answers")
    readings = (FOLDER.parent / "results" / "README.md").read_text(encoding="utf-8")
    for table in script.tables():
        assert table in readings, f"put this there:\n{table}"


def test_the_readings_have_what_tuning_leaves_to_chance() -> None:
    readings = (FOLDER.parent / "results" / "README.md").read_text(encoding="utf-8")
    helper("validation")
    script = load("chance")
    assert doctest.testmod(script).failed == 0
    assert script.table() in readings
    assert script.luck() in readings


def test_the_readings_have_three_learning_rates() -> None:
    readings = (FOLDER.parent / "results" / "README.md").read_text(encoding="utf-8")
    helper("validation")
    script = load("rates")
    assert doctest.testmod(script).failed == 0
    assert script.table() in readings
