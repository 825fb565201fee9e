"""Workers: batches are prepared ahead, and nothing but the time of a run depends on it."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from auxbench.data.dataset import Batch, Indices, Samples
from auxbench.data.loader import Loader
from auxbench.data.seeds import Seeds
from auxbench.data.workers import SPARE, Workers
from auxbench.errors import Stopped, UsageError
from auxbench.execution import execute as run_module
from auxbench.execution.execute import begin, execute
from auxbench.execution.resources import Resources, workers_of
from auxbench.spec.budget import BUDGETS
from auxbench.spec.run import Run

RUN = Run(
    "rooms:test=4:train=8:validation=4",
    "segmentation",
    ("depth",),
    "test_resnet",
    False,
    "auxilearn",
    BUDGETS["demo"].with_changes(steps=5, batch=3, side=32),
    0,
)
SEEDS = Seeds("x", 0, "1")


class Drawn(Samples):
    """Samples of which every batch differs, that count what is made and may be at fault."""

    def __init__(self, fault: int = -1) -> None:
        self.made = 0
        self.fault = fault

    def __len__(self) -> int:
        return 23

    def batch(self, indices: Indices, rng: np.random.Generator | None) -> Batch:
        self.made += 1
        if self.made - 1 == self.fault:
            raise UsageError("sample 3 cannot be read; prepare it again.")
        drawn = [] if rng is None else rng.random(len(indices))
        return Batch(torch.tensor(np.array([indices, drawn])), {})


def loader(workers: Workers, samples: Samples | None = None, part: int | None = None) -> Loader:
    return Loader(samples or Drawn(), np.arange(23), 5, SEEDS, ("train",), part, workers)


def taken(stream: Loader, count: int) -> list[Any]:
    return [next(stream).inputs.tolist() for _ in range(count)]


def left() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "auxbench-worker" in thread.name]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUXBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        begin(RUN).problem.dataset.prepare()
        yield


@pytest.mark.parametrize("part", [None, 0, 1])
@pytest.mark.parametrize("count", [1, 3])
def test_batches_are_the_same_with_any_number_of_workers(count: int, part: int | None) -> None:
    alone = taken(loader(Workers(), part=part), 20)
    with Workers(count) as workers:
        assert taken(loader(workers, part=part), 20) == alone


@pytest.mark.parametrize("count", [0, 2])
def test_the_state_is_that_of_the_last_batch_taken(count: int) -> None:
    everything = taken(loader(Workers()), 12)
    with Workers(count) as workers:
        first, second = loader(workers), loader(workers)
        for step in range(10):
            assert taken(first, 1) == everything[step : step + 1]
            second.load_state_dict(first.state_dict())
            assert taken(second, 2) == everything[step + 1 : step + 3]
        first.rest()
        assert taken(first, 2) == everything[10:]


def test_only_a_few_batches_are_prepared_ahead() -> None:
    samples = Drawn()
    with Workers(2) as workers:
        taken(loader(workers, samples), 3)
    assert 3 <= samples.made <= 3 + 2 + SPARE
    samples = Drawn()
    taken(loader(Workers(), samples), 3)
    assert samples.made == 3


def test_the_order_is_drawn_once_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    original = Seeds.numpy

    def spied(self: Seeds, *purpose: str | int) -> np.random.Generator:
        drawn.append(purpose[0])
        return original(self, *purpose)

    monkeypatch.setattr(Seeds, "numpy", spied)
    taken(loader(Workers()), 8)
    assert (drawn.count("order"), drawn.count("augment")) == (2, 8)


def test_an_error_in_a_worker_is_raised_in_its_turn_and_nothing_stays() -> None:
    with Workers(1) as workers:
        stream = loader(workers, Drawn(fault=2))
        taken(stream, 2)
        with pytest.raises(UsageError, match=r"^sample 3 cannot be read; prepare it again\.$"):
            next(stream)
    assert not left()


def test_workers_leave_the_threads_of_a_step_alone() -> None:
    before = torch.get_num_threads()
    with Workers(2) as workers:
        counts = list(workers.made(lambda place: torch.get_num_threads(), range(4)))
    assert counts == [1] * 4
    assert torch.get_num_threads() == before


def results(record: dict[str, Any]) -> dict[str, Any]:
    """The results in a record: everything but times and surroundings."""
    kept = {key: record[key] for key in ("id", "status", "primary", "scores", "curve", "selected")}
    counts = ("forward", "backward", "partial", "jvp", "examples", "flops")
    return kept | {key: record["training"][key] for key in counts}


def test_a_run_with_workers_is_the_same_run_also_when_it_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "SAVE_EVERY", 0.0)
    whole = execute(RUN, tmp_path / "whole", report=lambda event: None)
    ahead = execute(RUN, tmp_path / "ahead", report=lambda event: None, count=3)
    assert results(ahead) == results(whole)
    assert not left()
    steps = 0

    def third() -> bool:
        nonlocal steps
        steps += 1
        return steps == 3

    with pytest.raises(Stopped):
        execute(RUN, tmp_path / "cut", "cpu", lambda event: None, third, 2)
    assert not left()
    for count in (0, 2):
        folder = tmp_path / f"resumed {count}"
        folder.mkdir()
        (folder / "state.pt").write_bytes((tmp_path / "cut" / "state.pt").read_bytes())
        resumed = execute(RUN, folder, report=lambda event: None, count=count)
        assert results(resumed) == results(whole)


def test_a_run_that_fails_leaves_no_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*given: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run_module, "conclude", interrupted)
    with pytest.raises(KeyboardInterrupt):
        execute(replace(RUN, seed=1), tmp_path, report=lambda event: None, count=2)
    assert not left()


def test_workers_are_those_asked_for_or_free_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auxbench.execution.resources.cores", lambda: 16)
    assert workers_of(None, "cpu", 1) == 0
    assert [workers_of(None, "cuda:1", jobs) for jobs in (1, 4, 8, 16)] == [4, 3, 1, 0]
    assert workers_of(7, "cpu", 16) == 7
    with pytest.raises(UsageError, match=r"^workers is -1; ask for 0 or more\.$"):
        workers_of(-1, "cpu", 1)
    assert Resources.of({"workers": 3}).workers == 3
