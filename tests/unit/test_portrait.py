"""The data report: pooled labels, near-duplicates, and what labels say beyond the inputs."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from auxbench.cli.main import auxbench
from auxbench.data.dataset import Batch, Indices, InMemory, Samples, Task
from auxbench.data.duplicates import twins
from auxbench.data.information import Gain, Information
from auxbench.data.kinds import Depth, Label
from auxbench.data.pooled import Labels, Pooled, pooled
from auxbench.data.portrait import Portrait, Share, _share, portrait
from auxbench.data.problem import Problem
from auxbench.errors import UsageError
from auxbench.report.portrait import tables, warnings
from auxbench.spec.registry import DATASETS

sklearn = pytest.mark.skipif(find_spec("sklearn") is None, reason="scikit-learn is not installed")
COUNT = 240


def made(inputs: Any, **labels: tuple[Any, int]) -> Pooled:
    """Samples of vectors with labels by task: values [N] or [N, C], and the number of classes."""
    found = {}
    for name, (values, classes) in labels.items():
        table = np.eye(classes)[values] if classes else np.asarray(values, float).reshape(COUNT, -1)
        found[name] = Labels(table[:, None], np.ones((COUNT, 1)), classes)
    return Pooled(np.arange(COUNT), np.asarray(inputs), np.zeros((COUNT, 0, 0)), found)


@pytest.fixture(scope="module")
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@sklearn
def test_labels_that_determine_the_primary_are_found_and_named(rng: np.random.Generator) -> None:
    inputs, high, low, noise = (rng.standard_normal((COUNT, k)) for k in (4, 1, 1, 1))
    samples = made(
        inputs,
        gap=(inputs[:, :1] + high - low - inputs[:, :1], 0),
        high=(high, 0),
        low=(low, 0),
        noise=(noise, 0),
    )
    information = Information(samples, "gap")
    every = information.gain(["noise", "high", "low"])
    assert every.together > 0.99
    assert every.determines
    found = information.culprits(["noise", "high", "low"])
    assert found is not None
    assert set(found.auxiliaries) == {"high", "low"}
    alone = information.gain(["high"])
    assert not alone.determines
    assert alone.low > 0.2
    assert information.gain(["noise"]).low <= 0 <= information.gain(["noise"]).high + 0.05
    assert information.culprits(["noise", "high"]) is None


@sklearn
def test_classes_say_something_or_nothing(rng: np.random.Generator) -> None:
    inputs, kind = rng.standard_normal((COUNT, 3)), rng.integers(0, 2, COUNT)
    coin = rng.integers(0, 3, COUNT)
    shape = (kind + (rng.random(COUNT) < 0.15)) % 2
    information = Information(
        made(inputs, shape=(shape, 2), kind=(kind, 2), coin=(coin, 3)), "shape"
    )
    assert information.gain(["kind"]).low > 0.1
    assert not information.gain(["kind"]).determines
    assert information.gain(["coin"]).low < 0.01


@sklearn
def test_what_the_inputs_show_is_no_gain(rng: np.random.Generator) -> None:
    inputs = rng.standard_normal((COUNT, 3))
    samples = made(inputs, sum=(inputs.sum(1), 0), first=(inputs[:, 0], 0))
    found = Information(samples, "sum").gain(["first"])
    assert found.alone > 0.99
    assert abs(found.gain) < 0.01
    assert not found.determines


@sklearn
def test_missing_labels_are_used_as_gaps(rng: np.random.Generator) -> None:
    inputs, hidden = rng.standard_normal((COUNT, 2)), rng.standard_normal(COUNT)
    some = np.where(rng.random(COUNT) < 0.5, hidden, np.nan)
    samples = made(inputs, primary=(hidden, 0), half=(some, 0), none=(np.full(COUNT, np.nan), 0))
    information = Information(samples, "primary")
    assert 0.2 < information.gain(["half"]).gain < 0.8
    assert abs(information.gain(["none"]).gain) < 0.01


def test_too_few_labels_are_refused() -> None:
    values = np.full(COUNT, np.nan)
    values[:9] = 1.0
    with pytest.raises(UsageError, match=r"(9 samples have a label of 'few'|scikit-learn)"):
        Information(made(np.zeros((COUNT, 2)), few=(values, 0)), "few")


@sklearn
def test_labels_that_are_all_the_same_are_refused(rng: np.random.Generator) -> None:
    inputs = rng.standard_normal((COUNT, 2))
    for values, classes in (
        (np.full(COUNT, 0.1), 0),
        (np.zeros(COUNT, int), 3),
        (np.arange(COUNT), COUNT),  # every class once
    ):
        with pytest.raises(UsageError, match=r"'primary' does not have (two classes|labels that)"):
            Information(made(inputs, primary=(values, classes)), "primary")


@sklearn
def test_a_class_of_one_picture_may_be_missing_from_a_fold(rng: np.random.Generator) -> None:
    count, cells = 60, 16
    kind = np.zeros((count, cells), int)
    kind[0] = 1
    labels = Labels(np.eye(2)[kind], np.ones((count, cells)), 2)
    other = Labels(rng.standard_normal((count, cells, 1)), np.ones((count, cells)), 0)
    samples = Pooled(
        np.arange(count),
        rng.standard_normal((count, 768)),
        rng.standard_normal((count, cells, 7)),
        {"kind": labels, "other": other},
    )
    assert np.isfinite(Information(samples, "kind").gain(["other"]).gain)


def test_the_extra_is_named_where_scikit_learn_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auxbench.data.information.available", lambda: False)
    data = DATASETS["toy"](train=60)  # type: ignore[operator]
    found = portrait("toy", Problem.of(data, "primary"), 60)
    assert found.gains == ()
    assert any("pip install 'auxbench[advise]'" in line for line in warnings(found))


def thumbs(count: int, seed: int) -> Any:
    return np.random.default_rng(seed).standard_normal((count, 768))


def pictures(inputs: Any) -> Pooled:
    return Pooled(np.arange(len(inputs)), inputs, np.zeros((len(inputs), 16, 7)), {})


def test_brighter_copies_are_near_duplicates_and_other_pictures_are_not() -> None:
    train, test = thumbs(20, 0), thumbs(10, 1)
    test[3] = 0.5 * train[7] + 2 + 0.01 * thumbs(1, 2)[0]
    found = twins("test", pictures(test), "train", pictures(train), pictures=True)
    assert (found.count, found.pair) == (1, (3, 7))
    assert twins("train", pictures(train), "train", pictures(train), True).count == 0


def test_a_flat_picture_is_like_no_other_but_one_of_its_colour() -> None:
    train, test = thumbs(4, 0), thumbs(2, 1)
    test[0] = 0.25
    assert twins("test", pictures(test), "train", pictures(train), True).count == 0
    train[2] = 0.25
    assert twins("test", pictures(test), "train", pictures(train), True).pair == (0, 2)


class Few(Samples):
    """Four pictures with a map of depths, of which a half is missing, and a class."""

    def __len__(self) -> int:
        return 4

    def batch(self, indices: Indices, rng: np.random.Generator | None) -> Batch:
        depth = torch.ones(len(indices), 1, 8, 8)
        depth[..., :4] = 0
        return Batch(
            torch.zeros(len(indices), 3, 8, 8),
            {"depth": depth, "kind": torch.as_tensor(indices) % 3 - 1},
        )


def test_missing_labels_are_counted_and_left_out_of_means() -> None:
    tasks = [Task("depth", Depth()), Task("kind", Label(("a", "b")))]
    like = DATASETS["rooms"].tiny()
    like.tasks = {task.name: task for task in tasks}
    data = InMemory(like, lambda split: Few())
    found = pooled(data, "train", 10, tasks)
    assert found.labels["depth"].known.mean() == 0.5
    assert np.nanmean(found.labels["depth"].values) == 1.0
    assert np.isnan(found.labels["depth"].values).mean() == 0.5
    assert found.labels["kind"].known.ravel().tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("name", DATASETS.names())
def test_every_data_set_has_a_portrait(name: str) -> None:
    data = DATASETS[name].tiny()
    problem = Problem.of(data)
    found = portrait(name, problem, 16)
    shown = tables(found)
    assert {row["task"] for row in shown[0].rows} == {task.name for task in problem.tasks}
    assert all(0 <= row["labelled"] <= 100 for row in shown[0].rows)
    assert len(shown[1].rows) == 4


def share(split: str, samples: int, *parts: float) -> Share:
    named = tuple(zip("abc", parts, strict=False))
    shift = abs(parts[0] - 0.5)
    return Share("kind", split, samples, 1.0, named, shift=shift)


def test_shifts_are_told_where_they_are_larger_than_chance() -> None:
    def told(samples: int, first: float) -> list[str]:
        shares = (share("train", samples, 0.5, 0.5), share("test", samples, first, 1 - first))
        return list(warnings(Portrait("x", "kind", shares, ())))

    unlabelled = replace(share("train", 1000, 0.5, 0.5), shares=(), labelled=0.0)
    shares = (unlabelled, share("test", 1000, 0.9, 0.1))
    (only,) = warnings(Portrait("x", "kind", shares, ()))
    assert only == "No training sample that was read has a label of kind."
    assert told(1000, 0.55) == []
    assert told(20, 0.7) == []
    (line,) = told(1000, 0.7)
    assert "kind in test (+0.20)" in line


def test_determining_labels_are_told_with_what_to_ask() -> None:
    said = Gain(("homo", "lumo"), 0.47, 1.0, 0.53, 0.45, 0.61, True)
    (line,) = warnings(Portrait("qm9", "gap", (), (), (said,), said))
    assert line.startswith("The labels of homo and lumo nearly determine gap: with them 100.0%")


def test_the_command_prints_json_alone_and_refuses_wrong_words() -> None:
    runner = CliRunner()
    found = runner.invoke(auxbench, ["data", "report", "toy", "--tiny", "--format", "json"])
    rows = json.loads(found.stdout)
    assert {row["task"] for row in rows if "task" in row} >= {"primary", "helpful"}
    for words, why in (
        (["nix"], "nix"),
        (["toy", "--primary", "nix"], "no task is called 'nix'"),
        (["toy", "--samples", "0"], "samples is 0"),
        (["rooms", "--side", "0"], "side"),
    ):
        error = runner.invoke(auxbench, ["data", "report", *words]).exception
        assert isinstance(error, UsageError)
        assert why in str(error)


@sklearn
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "package", "culprits"),
    [("qm9", "qm9pack", {"homo", "lumo"}), ("elpv", "elpv_dataset", set())],
)
def test_what_is_known_of_real_data_is_found(name: str, package: str, culprits: set[str]) -> None:
    """The gap of qm9 is lumo - homo, and the kind of a cell of elpv says nothing of its defects."""
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    from auxbench.data.dataset import make_dataset

    data = make_dataset(name, 64, 0)
    data.prepare()
    problem = Problem.of(data, None, [one for one in data.tasks if one != data.primary])
    found = portrait(name, problem, 2000)
    assert set(found.culprits.auxiliaries if found.culprits else ()) == culprits
    if not culprits:
        (only,) = found.gains
        assert only.low <= 0
        assert only.high < 0.05


def test_numbers_are_described_by_mean_and_deviation() -> None:
    values = np.arange(4, dtype=float).reshape(4, 1, 1)
    found = _share("x", "train", Labels(values, np.ones((4, 1)), 0), None)
    assert (found.mean, round(found.deviation, 3)) == (1.5, 1.118)
