"""Two processes that train one run together do what one process does with the whole batch.

`python -m tests.unit.test_group RANK FOLDER CASES` is one of the two processes.

Numbers agree up to the order of summation. Adam magnifies rounding where gradients are close to
zero, as on the fusions of Aux-NAS, which start at zero; so float32 is tested with SGD there. Heads
for pictures compute in float32 even in a network of float64.
"""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed

from auxbench.data.dataset import Batch
from auxbench.errors import AuxbenchError, Stopped
from auxbench.execution.execute import begin, execute
from auxbench.execution.study import Study
from auxbench.records.store import Store
from auxbench.spec.registry import METHODS
from auxbench.spec.run import Run
from auxbench.training.gradients import Gradients
from auxbench.training.group import ALONE, group
from auxbench.training.loop import Training

pytestmark = pytest.mark.slow  # every session imports torch in three processes

STEPS = 4
ROOT = Path(__file__).parents[2]
ROOMS = "rooms:test=4:train=16:validation=4"


@dataclass(frozen=True)
class Case:
    """Some steps of a method: on vectors, or on pictures by a network with BatchNorm."""

    method: str
    dataset: str = "toy"
    batch: int = 16
    masked: bool = False
    dtype: torch.dtype = torch.float64
    optimizer: str = "adam"
    chunks: int = 1

    @property
    def name(self) -> str:
        """A name that no other case has."""
        words = self.method, self.dataset.partition(":")[0], str(self.dtype).partition(".")[2]
        return "-".join((*words, *("masked",) * self.masked, *("chunks",) * (self.chunks > 1)))

    @property
    def tolerance(self) -> float:
        """The largest difference of a tensor's numbers, relative to its largest number."""
        if self.dataset == ROOMS:
            return 1e-3 if self.method == "maxl" else 1e-6
        return 1e-9 if self.dtype is torch.float64 else 1e-5


ASKED = ("hps", "pcgrad", "gradnorm", "auxnas", "auxnas+pcgrad")
CASES = {
    "main": (
        *(Case(method) for method in ASKED),
        *(Case(method, dtype=torch.float32) for method in ASKED[:3]),
        *(Case(method, dtype=torch.float32, optimizer="sgd") for method in ASKED[3:]),
        Case("hps", batch=15, masked=True),
        Case("auxnas+gradnorm+pcgrad", batch=15, masked=True),
        Case("pcgrad", chunks=3),
        Case("auxnas+pcgrad", ROOMS, 5, optimizer="sgd"),
    ),
    "others": (
        *(Case(method, batch=15) for method in METHODS.names() if method != "maxl"),
        *(Case(method, ROOMS, 5, optimizer="sgd") for method in ("slgrad", "autolambda", "mtan")),
        Case("maxl", ROOMS, 6),
    ),
}


def run_of(case: Case, steps: int = STEPS) -> Run:
    words: dict[str, Any] = {"backbone": "test_resnet"} if case.dataset == ROOMS else {}
    if case.method == "maxl":
        words |= {"primary": "scene", "auxiliary": []}
    changes = {"steps": steps, "batch": case.batch, "side": 32, "optimizer": case.optimizer}
    (run,) = Study.of(case.method, case.dataset, seeds=1, budget="demo", **changes, **words).runs
    return replace(run, recipe=replace(run.recipe, chunks=case.chunks))


def training_of(case: Case) -> Training:
    training = begin(run_of(case))
    training.learner.architecture.to(case.dtype)
    prepare = training.prepare

    def changed(batch: Batch) -> Batch:
        targets = {
            name: target.to(case.dtype) if target.is_floating_point() else target
            for name, target in batch.targets.items()
        }
        if case.masked:  # the first process has no label of an auxiliary
            primary, *auxiliaries = training.problem.tasks
            targets[primary.name][::3] = math.nan
            for task in auxiliaries:
                targets[task.name][: len(batch) // 2] = math.nan
        return prepare(Batch(batch.inputs.to(case.dtype), targets))

    training.prepare = changed  # type: ignore[method-assign]
    training.due = lambda step: False  # type: ignore[method-assign]  # float64 is for training
    return training


def trained(case: Case) -> dict[str, Any]:
    """The state after some steps, and their costs."""
    training = training_of(case)
    training.run()
    costs = training.meter.summary()
    return {
        "state": training.learner.state_dict(),
        "costs": {key: costs[key] for key in ("forward", "backward", "examples", "flops")},
    }


def signals(case: Case) -> dict[str, Any]:
    """The signals of one batch, and the gradient that is written."""
    training = training_of(case)
    batch = training.prepare(next(training.batches["train"]["train"]))
    parameters = list(training.learner.context.parameters.values())
    plain, rows = (
        Gradients(training.learner.objective(batch), parameters, group=group()) for _ in range(2)
    )
    reach = [sorted(map(list(map(id, parameters)).index, part)) for part in plain.graph.reach]
    found = {"norms": plain.norms, "losses": plain.signals.losses, "gramian": rows.gramian}
    weights = torch.arange(1.0, 1.0 + len(plain.losses), dtype=torch.float64)
    written = []
    for gradients in (plain, rows):
        gradients.write(weights, torch.ones_like(weights))
        written.append([parameter.grad for parameter in parameters])
    return {**found, "reach": reach, "written": written}


def resumed(folder: Path) -> list[Any]:
    """A run that one process is told to stop, how it ended, and the same run in one go."""
    run, steps = run_of(Case("auxnas+pcgrad")), iter(range(STEPS))
    stops = group().rank == group().size - 1
    ended = []
    try:
        execute(run, folder / "a", report=repr, stopping=lambda: next(steps) == 1 and stops)
    except Stopped as error:
        ended.append(str(error))
    for place in ("a", "b"):
        record = execute(run, folder / place, report=repr)
        ended.append({key: record[key] for key in ("status", "scores", "curve")})
        ended.append(record["environment"].get("world"))
    return ended


def refused() -> list[str]:
    """The errors for a batch that cannot be divided, and for a loss without a graph."""
    training = training_of(Case("hps"))
    objective = training.learner.objective
    batch = training.prepare(next(training.batches["train"]["train"]))
    one = Batch(batch.inputs[:1], {name: part[:1] for name, part in batch.targets.items()})
    with pytest.raises(AuxbenchError) as small:
        objective(one)
    if group().rank == 0:
        for parameter in training.learner.architecture.parameters():
            parameter.requires_grad_(False)
    with pytest.raises(AuxbenchError) as without:
        objective(batch)
    return [str(small.value), str(without.value)]


def everything(which: str, folder: Path) -> dict[str, Any]:
    """All results of one of the processes."""
    found = {case.name: trained(case) for case in CASES[which]}
    if which == "others":
        return found
    found |= {"signals": signals(Case("hps", batch=15, masked=True)), "resumed": resumed(folder)}
    return found if group() is ALONE else {**found, "refused": refused()}


@contextmanager
def results(which: str, folder: Path) -> Iterator[list[dict[str, Any]]]:
    """The results of one process by itself, and of each of two together."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUXBENCH_CACHE", str(folder / "cache"))
        begin(run_of(Case("hps", ROOMS))).problem.dataset.prepare()
        command = [sys.executable, "-m", "tests.unit.test_group"]
        processes = [
            subprocess.Popen([*command, str(rank), str(folder), which], cwd=ROOT)
            for rank in range(2)
        ]
        try:
            alone = everything(which, folder / "alone")
            codes = [process.wait(300) for process in processes]
        finally:
            for process in processes:
                process.kill()
                process.wait()
    assert codes == [0, 0]
    yield [alone, *(torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(2))]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, Any]]]:
    with results("main", tmp_path_factory.mktemp("main")) as found:
        yield found


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, Any]]]:
    with results("others", tmp_path_factory.mktemp("others")) as found:
        yield found


def differences(one: Any, other: Any, where: str = "") -> Iterator[tuple[str, float]]:
    """The relative differences between the tensors of two trees, which are otherwise equal."""
    if isinstance(one, Tensor):
        if one.is_floating_point():
            assert torch.equal(one.isnan(), other.isnan()), where
            scale = float(one.nan_to_num().abs().max()) if one.numel() else 0.0
            gap = float((one - other).nan_to_num().abs().max()) if one.numel() else 0.0
            yield where, gap / scale if scale else gap
        else:
            assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            yield from differences(one[key], other[key], f"{where}/{key}")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), where
        for place, pair in enumerate(zip(one, other, strict=True)):
            yield from differences(*pair, f"{where}/{place}")
    elif isinstance(one, float):
        yield where, abs(one - other) / max(abs(one), 1e-300) if one != other else 0.0
    else:
        assert one == other, where


def same(case: Case, found: list[dict[str, Any]]) -> None:
    """Check that one process and two of them have trained the same."""
    alone, first, second = (result[case.name] for result in found)
    for where, gap in differences(alone["state"], first["state"]):
        assert gap <= case.tolerance, (where, gap)
    for where, gap in differences(first["state"], second["state"]):
        assert gap == 0, where
    assert first["costs"] == second["costs"]
    for key, value in alone["costs"].items():  # what is not divided counts in every process
        assert value == first["costs"][key] or (key == "flops" and case.method not in ASKED), key


@pytest.mark.parametrize("case", CASES["main"], ids=lambda case: case.name)
def test_two_processes_train_as_one_does(case: Case, found: list[dict[str, Any]]) -> None:
    same(case, found)


@pytest.mark.parametrize("case", CASES["others"], ids=lambda case: case.name)
def test_so_they_do_with_every_method(case: Case, others: list[dict[str, Any]]) -> None:
    same(case, others)


def test_signals_are_those_of_the_whole_batch(found: list[dict[str, Any]]) -> None:
    alone, *both = (result["signals"] for result in found)
    for process in both:
        for where, gap in differences(alone, process):
            assert gap <= 1e-12, (where, gap)


def test_a_run_goes_on_where_all_processes_stopped(found: list[dict[str, Any]]) -> None:
    alone, *both = (result["resumed"] for result in found)
    whole = alone[3]
    for said, went_on, world, at_once, _ in both:
        assert said == "stopped after step 2 of 4"
        assert (went_on["status"], world) == ("done", 2)
        assert went_on == at_once
        for where, gap in differences(whole, at_once):
            assert gap <= 1e-5, (where, gap)


def test_what_processes_cannot_share_is_refused_by_all(found: list[dict[str, Any]]) -> None:
    for process in found[1:]:
        small, without = process["refused"]
        assert small.startswith("a batch of 1 samples cannot be divided among 2 processes;")
        assert without.startswith("a loss has a gradient in some processes only;")


def test_the_command_line_under_torchrun(tmp_path: Path) -> None:
    words = (
        "-m torch.distributed.run --standalone --nproc-per-node 2 -m auxbench run --device cpu "
        "--methods hps,auxnas+pcgrad --dataset toy --seeds 1 --budget demo --steps 4"
    )
    command = [sys.executable, *words.split()]

    def said(*more: str) -> tuple[int, str]:
        place = ["--results", str(tmp_path)]
        done = subprocess.run([*command, *place, *more], cwd=ROOT, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    code, text = said()
    assert code == 0, text
    assert text.count("2 done; see auxbench leaderboard") == 1
    records = Store(tmp_path).runs()
    study = Study.of("hps,auxnas+pcgrad", "toy", seeds=1, budget="demo", steps=4)
    assert {record["id"] for record in records} == {run.id for run in study.runs}
    for record in records:
        assert record["environment"]["world"] == 2
        assert record["training"]["examples"] == 4 * 16 * record["training"]["forward"] // 4
    code, text = said()
    assert (code, len(Store(tmp_path).runs())) == (0, 2)
    assert "Already done: 2 runs." in text
    for more, why in (
        (("--batch", "1"), "batch is 1, less than the 2 processes that share it"),
        (("--timeout", "2h", "--seeds", "2"), "timeout, stall and memory do not work for 2"),
    ):
        code, text = said(*more)
        assert code and text.count(why) == 1


def main(rank: int, folder: Path, which: str) -> None:
    """Carry out cases as one of two processes."""
    torch.set_num_threads(1)
    store = f"file://{folder}/store"
    distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
    torch.save(everything(which, folder / "both"), folder / f"{rank}.pt")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
