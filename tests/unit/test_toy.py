"""The data set `toy`: the facts that make each auxiliary what its name says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from auxbench.data.dataset import Batch
from auxbench.data.problem import Problem
from auxbench.errors import UsageError
from auxbench.spec.registry import DATASETS

SPLITS = ("train", "validation", "test")
Toy: Any = DATASETS["toy"]
PRIMARY, CONFLICTING = [1.540, -1.841, 0.181], [2.9, -3.088, 1.98]


def everything(dataset: Any, split: str) -> Batch:
    samples = dataset.samples(split)
    return samples.batch(np.arange(len(samples)), None)


def numbers(batch: Batch, task: str) -> np.ndarray:
    return batch.targets[task].numpy().astype(np.float64)


@pytest.fixture(scope="module")
def truth() -> Batch:
    """Many samples without noise."""
    return everything(Toy(test=20_000), "test")


def explained(target: np.ndarray, *by: np.ndarray) -> float:
    """The share of the variance that a linear function of some columns explains."""
    columns = np.concatenate([np.ones((len(target), 1)), *by], axis=1)
    rest = target - columns @ np.linalg.lstsq(columns, target, rcond=None)[0]
    return float(1 - rest.var() / target.var())


def directions(task: str, count: int) -> np.ndarray:
    """An orthonormal basis of the input directions that a task's label depends on."""
    toy, step = Toy(), 1e-3
    x = np.random.default_rng(0).standard_normal((500, toy.features))
    slopes = [
        (toy.targets(x + step * axis)[task] - toy.targets(x - step * axis)[task]) / (2 * step)
        for axis in np.eye(toy.features)
    ]
    _, values, basis = np.linalg.svd(np.concatenate(np.stack(slopes, axis=-1)), full_matrices=False)
    assert (values > 0.01 * values[0]).sum() == count
    return np.asarray(basis[:count])


def test_helpful_spans_the_subspace_of_the_primary_and_determines_it(truth: Batch) -> None:
    ours, helpful = directions("primary", 3), directions("helpful", 3)
    np.testing.assert_allclose(np.linalg.svd(ours @ helpful.T)[1], 1, atol=1e-6)
    z = numbers(truth, "helpful") / 3
    primary = 2 * z[:, :1] + np.abs(z[:, 1:]).sum(1, keepdims=True) - 2 * np.sqrt(2 / np.pi)
    np.testing.assert_allclose(numbers(truth, "primary"), primary, atol=1e-4)


@pytest.mark.parametrize(("task", "count"), [("useless", 1), ("harmful", 2)])
def test_useless_and_harmful_are_independent_of_the_primary(
    truth: Batch, task: str, count: int
) -> None:
    # normal inputs along orthogonal directions are independent, and so are functions of them
    assert np.abs(directions("primary", 3) @ directions(task, count).T).max() < 1e-3
    ours, other = numbers(truth, "primary"), numbers(truth, task)
    assert explained(ours, other, other**2, np.abs(other)) < 0.001


def test_harmful_is_large_and_useless_is_small(truth: Batch) -> None:
    spread = {task: float(values.var(dim=0).sum()) for task, values in truth.targets.items()}
    assert 40 < spread["harmful"] / spread["primary"] < 60
    assert spread["useless"] / spread["primary"] < 0.1
    x = truth.inputs.numpy()
    assert explained(numbers(truth, "useless"), x) > 0.999  # easy
    assert explained(numbers(truth, "harmful"), x) < 0.01  # hard


def test_conflicting_agrees_in_the_easy_part_and_contradicts_the_hard_one(truth: Batch) -> None:
    x = truth.inputs.numpy()
    primary, conflicting = numbers(truth, "primary"), numbers(truth, "conflicting")
    easy = (5 * primary + conflicting) / 6  # in which the hard part has cancelled out
    assert explained(easy, x) > 0.999
    assert explained(primary, easy) > 0.7
    hard, opposite = primary - easy, conflicting - easy
    np.testing.assert_allclose(opposite, -5 * hard, atol=1e-3)
    assert explained(hard, x) < 0.01
    assert abs(np.corrcoef(easy[:, 0], hard[:, 0])[0, 1]) < 0.03


def test_the_score_of_the_mean_is_as_documented(truth: Batch) -> None:
    spread = np.sqrt(4 + 2 * (1 - 2 / np.pi))  # the variances of A and B
    assert numbers(truth, "primary").std() == pytest.approx(spread, 0.02)
    assert f"{spread:.1f}" == "2.2"


def test_noise_is_on_the_labels_of_the_primary_that_a_user_would_have() -> None:
    loud, clean = (Toy(train=5000, validation=5000, noise=noise) for noise in (0.5, 0))
    for split in SPLITS:
        ours, theirs = everything(loud, split), everything(clean, split)
        assert torch.equal(ours.inputs, theirs.inputs)
        for task in Toy.tasks:
            error = (ours.targets[task] - theirs.targets[task]).std()
            noisy = split != "test" and task == "primary"
            assert error == pytest.approx(0.5 if noisy else 0.0, abs=0.02)
    errors = [
        everything(loud, split).targets["primary"] - everything(clean, split).targets["primary"]
        for split in ("train", "validation")
    ]
    assert abs(np.corrcoef(errors[0][:, 0], errors[1][:, 0])[0, 1]) < 0.05


def test_every_draw_has_samples_of_its_own_and_all_the_same_rule() -> None:
    first, same, other = (everything(Toy(draw=draw), "test") for draw in (0, None, 1))
    assert torch.equal(first.inputs, same.inputs)
    assert not torch.isclose(first.inputs, other.inputs).any()
    inputs = first.inputs.numpy()
    assert np.array_equal(Toy(draw=3).targets(inputs)["primary"], Toy().targets(inputs)["primary"])


def test_the_options_alone_decide_the_data() -> None:
    few, many = everything(Toy(), "train"), everything(Toy(train=1000, test=7), "train")
    assert len(few) == 200
    assert torch.equal(few.inputs, many.inputs[:200])
    assert torch.equal(few.targets["primary"], many.targets["primary"][:200])
    assert everything(Toy(dimensions=40), "test").inputs.shape == (4000, 40)
    inputs = everything(Toy(train=20_000), "train").inputs
    torch.testing.assert_close(inputs.T.cov(), torch.eye(16), atol=0.05, rtol=0)


@pytest.mark.parametrize(
    ("option", "value"), [("train", 0), ("test", -1), ("dimensions", 5), ("noise", -0.5)]
)
def test_options_out_of_range(option: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"{option} '{value}' of 'toy'"):
        Toy(**{option: value})


def test_one_auxiliary_picks_a_regime() -> None:
    names = ["helpful", "useless", "harmful", "conflicting"]
    assert [task.name for task in Problem.of(Toy()).auxiliaries] == names
    assert [task.name for task in Problem.of(Toy(), None, ["harmful"]).auxiliaries] == ["harmful"]
    assert [make().name for make in Problem.of(Toy()).primary.kind.metrics] == ["rmse", "l1"]


def test_the_published_data() -> None:
    """Pinned, so that a numpy whose random numbers differ cannot change the benchmark unseen."""
    batch = everything(Toy(), "train")
    assert batch.inputs[0, :4].tolist() == pytest.approx([-0.595, 0.631, 1.039, 1.031], abs=1e-3)
    assert batch.targets["primary"][:3, 0].tolist() == pytest.approx(PRIMARY, abs=1e-3)
    assert batch.targets["conflicting"][:3, 0].tolist() == pytest.approx(CONFLICTING, abs=1e-3)
