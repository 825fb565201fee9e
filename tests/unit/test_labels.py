"""Doses of labels: shares of labelled samples, shares of wrong labels, and what trains on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from auxbench.cost.training import Meter
from auxbench.data.dataset import Samples
from auxbench.data.problem import Problem
from auxbench.data.seeds import Seeds
from auxbench.errors import UsageError
from auxbench.execution.study import Study
from auxbench.spec.budget import BUDGETS
from auxbench.spec.method import Method
from auxbench.spec.run import Run
from auxbench.training.learner import start
from auxbench.training.loop import Training
from tests.contract._parts import builder, rooms

STREAMS = Seeds("labels", 0, "1")


def samples(*texts: str, seed: int = 0) -> tuple[Samples, Samples]:
    problem = Problem.of(rooms(), texts[0], texts[1:])
    return problem.training(Seeds("labels", seed, "1")), rooms().samples("train")


def everything(samples: Samples) -> dict[str, torch.Tensor]:
    return dict(samples.batch(np.arange(len(samples)), None).targets)


@pytest.mark.parametrize(
    ("task", "share", "count"),
    [("segmentation", 0.5, 4), ("depth", 0.25, 2), ("normals", 0.01, 1), ("edges", 1.0, 8)],
)
def test_a_share_of_the_samples_keeps_its_label_and_the_rest_has_none(
    task: str, share: float, count: int
) -> None:
    dosed, whole = samples("scene", f"{task}:labelled={share}")
    assert len(whole) == 8
    found, expected = everything(dosed)[task], everything(whole)[task]
    kind = rooms().tasks[task]
    prediction = torch.zeros(8, kind.outputs, *expected.shape[-2:])
    _, counts = kind.losses(prediction, found)
    labelled = (counts > 0).nonzero().flatten().tolist()
    assert len(labelled) == count
    assert torch.equal(found[labelled], expected[labelled])
    assert torch.equal(everything(dosed)["scene"], everything(whole)["scene"])


def test_a_smaller_share_is_part_of_a_larger_one_and_seeds_differ() -> None:
    few, some = (set(samples(f"depth:labelled={s}")[0].labelled["depth"]) for s in (0.25, 0.5))
    assert few < some
    drawn = {tuple(samples("depth:labelled=0.5", seed=s)[0].labelled["depth"]) for s in range(5)}
    assert len(drawn) > 1


def test_wrong_labels_are_those_of_other_samples_and_all_together_stay_the_same() -> None:
    dosed, whole = samples("scene", "depth:noise=0.5")
    found, expected = everything(dosed)["depth"], everything(whole)["depth"]
    wrong = [i for i in range(8) if not torch.equal(found[i], expected[i])]
    assert len(wrong) == 4
    key = [tuple(image.flatten()[:50].tolist()) for image in expected]
    assert sorted(tuple(image.flatten()[:50].tolist()) for image in found) == sorted(key)


def test_a_share_of_labels_is_another_problem_on_the_same_random_numbers() -> None:
    study = Study.of("hps", "rooms", primary="depth:labelled=0.10", auxiliary="scene:noise=0")
    run = study.runs[0]
    assert (run.primary, run.auxiliaries) == ("depth:labelled=0.1", ("scene",))
    assert Run.from_json(run.to_json()).id == run.id


def test_options_per_task_still_go_by_its_name() -> None:
    study = Study.of("static:scene=0.5", "rooms", primary="depth", auxiliary="scene:labelled=0.5")
    assert study.runs[0].method == "static:scene=0.5"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("depth:labelled=0", "'labelled' of a task is 0"),
        ("depth:labelled=1.5", "'labelled' of a task is 1.5"),
        ("depth:noise=-1", "'noise' of a task is -1"),
        ("depth:labeled=1", "did you mean 'labelled'"),
        ("dept:labelled=1", "did you mean 'depth'"),
    ],
)
def test_wrong_doses_are_one_line(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Problem.of(rooms(), "scene", [text])


@pytest.mark.parametrize("method", ["hps", "auxnas+pcgrad", "auxilearn", "slgrad", "nashmtl"])
def test_samples_with_one_kind_of_label_only_train(method: str, tmp_path: Path) -> None:
    """Half of the samples lack the primary's label, and the others may lack the auxiliary's."""
    recipe = BUDGETS["demo"].with_changes(steps=4, batch=2)
    problem = Problem.of(rooms(), "segmentation:labelled=0.5", ["depth:labelled=0.5", "scene"])
    here, meter = builder(auxiliaries=("depth", "scene")), Meter()
    learner = start(Method.parse(method), here, recipe, meter)
    run = Training(learner, problem, recipe, here, meter)
    run.run()
    assert all(p.isfinite().all() for p in learner.architecture.parameters())


def test_held_out_samples_carry_the_primarys_label() -> None:
    from auxbench.data.splits import open_loaders

    problem = Problem.of(rooms(), "segmentation:labelled=0.5", ["depth"])
    streams = open_loaders(problem, "train", ("train", "holdout"), 2, STREAMS)
    labelled = problem.training(STREAMS).labelled["segmentation"]
    assert set(streams["holdout"].indices) <= set(labelled)
    assert len(streams["train"].indices) == 8 - len(streams["holdout"].indices)
    few = Problem.of(rooms(), "segmentation:labelled=0.2", ["depth"])
    with pytest.raises(UsageError, match="2 samples carry the primary's label, too few"):
        open_loaders(few, "train", ("train", "holdout"), 2, STREAMS)
