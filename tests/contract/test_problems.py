"""The contract of every registered data set, on its tiny variant."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
import torch

from auxbench.contract.batches import digest, everything, guess, perfect, without_labels
from auxbench.contract.check import DATASET, Check
from auxbench.contract.dataset import its_data_can_be_read
from auxbench.data.dataset import Batch, Dataset
from auxbench.data.loader import Loader
from auxbench.data.problem import Problem
from auxbench.data.seeds import Seeds
from auxbench.errors import UsageError
from auxbench.networks.backbone import resolve
from auxbench.spec.description import Description
from auxbench.spec.grammar import Choice, options_of
from auxbench.spec.registry import DATASETS
from tests.contract._parts import cells, hold
from tests.unit import _own

REGISTERED = DATASETS.names()
NAMES = [*REGISTERED, *_own.MADE]
SPLITS = ("train", "validation", "test")


def made(name: str) -> Dataset:
    """A data set of its own: the tiny variant, or one made in a test's way."""
    dataset: Dataset = _own.MADE[name]() if name in _own.MADE else DATASETS[name].tiny()
    dataset.prepare()
    return dataset


@cache
def tiny(name: str) -> Dataset:
    return made(name)


TASKS = [
    *((name, task) for name in REGISTERED for task in DATASETS[name].tiny().tasks),
    *((name, task) for name in _own.MADE for task in _own.TASKS[name]),
]


@pytest.fixture(autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One cache folder for all, since data sets that are read once are kept."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUXBENCH_CACHE", str(tmp_path_factory.getbasetemp() / "own-cache"))
        yield


@cells(REGISTERED, tuple(check for check in DATASET if check is not its_data_can_be_read))
def test_the_contract(name: str, check: Check) -> None:
    hold(name, check)


@pytest.mark.parametrize("name", list(_own.MADE))
def test_no_sample_of_own_data_is_in_two_splits(name: str) -> None:
    seen = [
        {digest(Batch(image[None], {})) for image in everything(tiny(name), split).inputs}
        for split in SPLITS
    ]
    assert all(seen)
    assert not seen[0] & seen[1] | seen[0] & seen[2] | seen[1] & seen[2]


@pytest.mark.parametrize("name", list(_own.MADE))
def test_without_the_other_tasks_a_task_of_own_data_is_the_same(name: str) -> None:
    narrow = made(name)
    task = narrow.tasks[narrow.primary]
    narrow.narrow([task])
    few, all_of_it = (
        dataset.samples("train").batch(np.arange(4), np.random.default_rng(3))
        for dataset in (narrow, tiny(name))
    )
    assert torch.equal(few.inputs, all_of_it.inputs)
    assert torch.equal(few.targets[task.name], all_of_it.targets[task.name])


@pytest.mark.parametrize(
    ("name", "task"), [(name, task) for name in _own.MADE for task in _own.TASKS[name]]
)
def test_a_missing_label_of_own_data_costs_nothing(name: str, task: str) -> None:
    kind, batch = tiny(name).tasks[task], everything(tiny(name), "train")
    prediction = guess(kind, batch).requires_grad_()
    assert kind.losses(prediction, batch.targets[task]).mean() > 0
    none = without_labels(kind, prediction, batch.targets[task])
    loss = kind.losses(prediction, none).mean()
    loss.backward()
    assert loss == 0
    assert prediction.grad is not None
    assert not prediction.grad.any()


@pytest.mark.parametrize("name", NAMES)
def test_batches_have_images_or_vectors_and_a_target_per_task(name: str) -> None:
    dataset, batch = tiny(name), everything(tiny(name), "train")
    image, vector = (3, *dataset.size), (dataset.features,)
    assert batch.inputs.shape[1:] == (vector if dataset.features else image)
    assert not (dataset.features and any(dataset.size))
    assert not (dataset.features and any(task.dense for task in dataset.tasks.values()))
    assert resolve(dataset.backbone, dataset.features) == dataset.backbone
    assert batch.inputs.dtype == torch.float32
    assert batch.inputs.isfinite().all()
    assert set(batch.targets) == set(dataset.tasks)
    assert all(len(target) == len(batch) for target in batch.targets.values())
    assert dataset.primary in dataset.tasks
    assert set(dataset.auxiliaries) <= set(dataset.tasks)


@pytest.mark.parametrize(
    "name",
    [name if name == "toy" else pytest.param(name, marks=pytest.mark.slow) for name in NAMES],
)
def test_a_stream_gives_the_same_batches_in_another_process(name: str) -> None:
    code = (
        "from tests.contract.test_problems import digest, stream; "
        f"s = stream({name!r}); print([digest(next(s)) for _ in range(6)])"
    )
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()
    here = stream(name)
    assert other == str([digest(next(here)) for _ in range(6)])


def stream(name: str) -> Loader:
    samples = tiny(name).samples("train")
    return Loader(samples, np.arange(len(samples)), 3, Seeds(name, 0, "1"))


@pytest.mark.parametrize("name", NAMES)
def test_seeds_differ_and_augmentation_comes_from_the_stream(name: str) -> None:
    samples = tiny(name).samples("train")
    indices = np.arange(len(samples))
    drawn = [digest(samples.batch(indices, np.random.default_rng(seed))) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1]
    assert drawn[1] != drawn[2] or tiny(name).features  # vectors have no symmetries


@pytest.mark.parametrize(("name", "task"), TASKS)
def test_a_perfect_prediction_scores_best(name: str, task: str) -> None:
    kind, batch = tiny(name).tasks[task], everything(tiny(name), "test")
    for make in kind.kind.metrics:
        values = []
        for prediction in (perfect(kind, batch), guess(kind, batch)):
            metric = make()
            metric.update(prediction, batch.targets[task])
            values.append(metric.compute())
        best, other = values
        assert best >= other if metric.direction == "up" else best <= other
        assert best == pytest.approx({"%": 100.0}.get(metric.unit, 0.0), abs=0.02) or (
            metric.direction == "down" and best == pytest.approx(0, abs=0.02)
        )


@pytest.mark.parametrize("name", REGISTERED)
def test_an_unknown_option_is_refused(name: str) -> None:
    maker = DATASETS[name]
    with pytest.raises(UsageError, match=f"'{name}' has no option 'sidee'"):
        Choice.parse(f"{name}:sidee=3").values(maker)
    assert ("side" in options_of(maker)) == (tiny(name).features == 0)


@pytest.mark.parametrize("name", REGISTERED)
def test_a_card_names_source_and_licence(name: str) -> None:
    about = DATASETS.describe(name)
    assert isinstance(about, Description)
    assert about.summary.endswith(".")
    assert about.attributes["licence"]


def test_tasks_are_checked_by_name() -> None:
    rooms = tiny("rooms")
    assert [t.name for t in Problem.of(rooms).tasks] == ["segmentation", "depth", "normals"]
    assert [t.name for t in Problem.of(rooms, "depth").tasks] == [
        "depth",
        "segmentation",
        "normals",
    ]
    for primary, auxiliaries, message in (
        ("dept", None, r"no task is called 'dept'; did you mean 'depth'\?"),
        ("depth", ["edge"], r"no task is called 'edge'; did you mean 'edges'\?"),
        ("depth", ["depth"], "task 'depth' is both primary and auxiliary"),
        ("depth", ["edges", "edges"], "auxiliary task 'edges' is named twice"),
    ):
        with pytest.raises(UsageError, match=message):
            Problem.of(rooms, primary, auxiliaries)
