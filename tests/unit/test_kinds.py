"""Kinds: what follows from what a task predicts is asked of one class, which users may write."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from auxbench import Batch, Builder
from auxbench.cost.training import Meter
from auxbench.data.arrays import ArraySamples, Rows
from auxbench.data.augment import augmented
from auxbench.data.colours import Bytes, Labels
from auxbench.data.dataset import Dataset, Samples, Task, named
from auxbench.data.kinds import (
    Classes,
    Depth,
    Disparity,
    Kind,
    Label,
    Map,
    Normals,
    Number,
    Probabilities,
)
from auxbench.data.metrics import L1Error
from auxbench.data.preview import preview
from auxbench.data.problem import Problem
from auxbench.data.seeds import Seeds
from auxbench.data.views import MTAN, View
from auxbench.networks.backbone import build
from auxbench.spec.budget import BUDGETS
from auxbench.spec.method import Method
from auxbench.training.learner import start
from auxbench.training.loop import Training

ROOT = Path(__file__).parents[2]
SIDE = 32
KINDS: dict[str, Kind] = {
    "classes": Classes(("a", "b", "c")),
    "depth": Depth(),
    "disparity": Disparity(1.0),
    "normals": Normals(),
    "map": Map(2),
    "label": Label(4),
    "probabilities": Probabilities(4),
    "number": Number(3),
}


def target(kind: Kind) -> Tensor:
    """Two random labels of a kind."""
    generator = torch.Generator().manual_seed(0)
    size = (SIDE, SIDE) if kind.dense else ()
    if kind.missing == -1:
        return torch.randint(0, kind.classes, (2, *size), generator=generator)
    values = torch.rand(2, kind.outputs, *size, generator=generator) + 0.1
    return functional.normalize(values, dim=1) if isinstance(kind, Normals) else values


@pytest.mark.parametrize("name", KINDS)
def test_a_missing_label_has_no_loss_and_counts_nowhere(name: str) -> None:
    kind = KINDS[name]
    prediction = torch.randn(2, kind.outputs, *((SIDE, SIDE) if kind.dense else ()))
    sums, counts = kind.loss(prediction, torch.full_like(target(kind), kind.missing))
    assert not sums.any()
    assert not counts.any()
    assert kind.loss(prediction, target(kind))[1].all()


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.dense])
def test_a_dense_kind_can_be_seen_mirrored_and_painted(name: str) -> None:
    kind = KINDS[name]
    label = target(kind)[0]
    view = View.of((SIDE, SIDE), (16, 16), (0.5, 0.5), 1.5, 10.0, True)
    assert kind.seen(label, view).shape == (*label.shape[:-2], 16, 16)
    mirror = View.of((SIDE, SIDE), (SIDE, SIDE), (0.5, 0.5), mirrored=True)
    stored = kind.mirrored(label.numpy()[None])[0]
    np.testing.assert_allclose(kind.seen(label, mirror).numpy(), stored)
    painted = kind.paint(label.numpy())
    assert (painted.shape, painted.dtype) == ((SIDE, SIDE, 3), np.uint8)
    assert kind.caption(torch.full_like(label, kind.missing).numpy()) in ("no label", "")


def test_captions_name_classes_and_ranges() -> None:
    assert Label(("mono", "poly")).caption(np.array([1])) == "poly"
    assert Probabilities(("mono", "poly")).caption(np.array([0.25, 0.75])) == "poly 75%"
    assert Depth().caption(np.array([[[1.0, 2.0], [0.0, 4.0]]])) == "1 to 4 m"
    assert Map(2).caption(np.array([[[0.5]], [[9.0]]])) == "0.5 to 0.5 (first of 2)"


class Focal(Classes):
    """Classes of pixels under the focal loss."""

    def loss(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        losses = functional.cross_entropy(prediction, target, ignore_index=-1, reduction="none")
        losses = losses * (1 - (-losses).exp()) ** 2
        return losses.sum((1, 2)), (target != -1).sum((1, 2)).float()


class Angle(Kind):
    """The direction of an image's gradient in turns, [B, 1, H, W]: a kind that auxbench lacks."""

    dense = True

    def __init__(self) -> None:
        super().__init__(1, (L1Error,))

    def loss(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        away = (prediction - target - 0.5) % 1 - 0.5
        return away.abs().sum((1, 2, 3)), torch.full((len(away),), float(away[0].numel()))

    def seen(self, target: Tensor, view: View) -> Tensor:
        return -target if view.mirrored else target

    def paint(self, target: Labels) -> Bytes:
        shade = (np.asarray(target, np.float64)[0] % 1 * 255).astype(np.uint8)
        return np.repeat(shade[..., None], 3, -1)


class Own(Dataset):
    """A data set of somebody's own, in memory."""

    licence = "mine"
    size = (SIDE, SIDE)
    tasks = named({"things": Focal(3), "angle": Angle()})
    primary = "things"
    auxiliaries = ("angle",)

    @classmethod
    def tiny(cls) -> Dataset:
        return cls()

    def prepare(self) -> None:
        """Nothing to do."""

    def samples(self, split: str) -> Samples:
        draws = np.random.default_rng(0)
        rows: Rows = {
            "image": draws.random((8, 3, SIDE, SIDE), np.float32),
            "things": draws.integers(0, 3, (8, SIDE, SIDE)),
            "angle": draws.random((8, 1, SIDE, SIDE), np.float32),
        }
        return ArraySamples(rows, self.finish)

    def finish(self, rows: Rows, rng: np.random.Generator | None) -> Batch:
        targets = {name: self.tasks[name].kind.decode(rows[name]) for name in self.tasks}
        targets["angle"] = torch.from_numpy(rows["angle"])
        return augmented(
            Batch(torch.from_numpy(rows["image"]), targets), self.tasks, self.size, MTAN, rng
        )


@pytest.mark.parametrize("method", ["hps+pcgrad", "auxnas"])
def test_kinds_of_ones_own_are_trained_scored_and_shown(method: str) -> None:
    problem, meter = Problem.of(Own()), Meter(flops=False)
    recipe = BUDGETS["demo"].with_changes(steps=3, batch=4, evaluations=1)
    builder = Builder(problem.tasks, lambda: build("test_resnet", SIDE), Seeds("own", 0))
    learner = start(Method.parse(method), builder, recipe, meter)
    training = Training(learner, problem, recipe, builder, meter)
    training.run()
    assert training.best is not None
    assert training.best.metric == "miou"
    page = preview(problem.dataset, "train", 2, augment=True)
    assert page.width > 3 * SIDE


def test_nothing_asks_a_loss_what_it_is() -> None:
    """A kind is asked; a function is never compared, nor is its name."""
    for folder in ("auxbench", "methods", "tasks"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Compare):
                    text = ast.unparse(node)
                    assert not re.search(r"\.loss\b", text), (path, text)


def test_tasks_of_one_kind_under_two_names_are_two_tasks() -> None:
    tasks: dict[str, Any] = named({"left": KINDS["label"], "right": KINDS["label"]})
    assert tasks["left"] != tasks["right"]
    assert isinstance(tasks["left"], Task)
