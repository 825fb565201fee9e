"""Budgets: named, fixed amounts of training, the same for every method.

A budget fixes how much is trained: steps, batch, image side, validations. How it is trained, with
which learning rate, weight decay, schedule and optimizer, is up to the competing entry; the budget
only has defaults for these.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from typing import Annotated, Any, Literal

from auxbench.errors import UsageError, suggestion
from auxbench.spec.marks import Help, NonNegative, Positive, Tune

# A board shows runs of one protocol only. Increase it when numbers change: with the splits, the
# random streams, the selection rule, the budgets below or the definition of a score.
PROTOCOL = "2"

SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda progress: 1.0,
    "cosine": lambda progress: 0.5 + 0.5 * math.cos(math.pi * progress),
    "poly": lambda progress: (1 - progress) ** 0.9,
}


@dataclass(frozen=True)
class Recipe:
    """A training recipe: how long, on what batches, and how, with defaults.

    `steps` are optimiser steps on `batch` samples with images of `side` pixels; anything else that
    a method does adds to its cost. The learning rate warms up over the first `warm_up` share of the
    steps, then follows `schedule`. The network is validated `evaluations` times, evenly spaced, and
    `selection` says which of these states is tested: the 'best' on validation or the 'last'. With
    `chunks` above 1, Gramians are computed over that many parts of the shared parameters in turn,
    which takes less memory and more time. With `checkpointing`, backward passes compute the blocks
    of backbones again instead of keeping their features, which does too. `precision` is that of the
    network's arithmetic in training: 'fp32', 'bf16' or 'fp16'. With `compiled` the network's parts
    are compiled first.
    """

    budget: str
    purpose: str
    steps: int
    batch: int
    side: int
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    schedule: str = "cosine"
    warm_up: float = 0.05
    evaluations: int = 8
    selection: str = "best"
    chunks: int = 1
    checkpointing: bool = False
    precision: str = "fp32"
    compiled: bool = False

    def with_changes(self, **changes: Any) -> Recipe:
        """The recipe with some values set by the user, each of which is checked.

        >>> BUDGETS["demo"].with_changes(steps=10).budget
        'demo*'
        """
        changes = {key: value for key, value in changes.items() if value is not None}
        changed = {k: v for k, v in changes.items() if v != getattr(self, k)}
        for key, value in changed.items():
            _check(key, value)
        same = changed.keys() <= {"chunks", "checkpointing"}  # memory and rounding only
        name = self.budget if same else f"{self.budget.rstrip('*')}*"
        return replace(self, budget=name, **changed)

    def rate(self, progress: float) -> float:
        """The learning rate after a share `progress` of the steps.

        >>> round(BUDGETS["demo"].rate(0.5), 6)
        0.0005
        """
        factor = SCHEDULES[self.schedule](progress)
        if progress < self.warm_up:
            factor *= (progress + 0.01) / (self.warm_up + 0.01)
        return self.learning_rate * factor

    def to_json(self) -> dict[str, Any]:
        """Every value that can affect results; the purpose is prose and not part of a run's id."""
        values = {key: value for key, value in asdict(self).items() if key != "purpose"}
        # absent from records of before these options existed
        for key in ("chunks", "checkpointing", "precision", "compiled"):
            if values[key] == getattr(type(self), key):
                del values[key]
        return values

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Recipe:
        """The recipe that `to_json` wrote."""
        known = {field.name for field in fields(cls)}
        return cls(purpose="", **{key: value for key, value in values.items() if key in known})


# The recipe fields that an entry may set, by the name of the option that sets them.
TRAINING = {
    "lr": "learning_rate",
    "weight_decay": "weight_decay",
    "schedule": "schedule",
    "optimizer": "optimizer",
}


def training(
    *,
    lr: Annotated[
        Positive | None, Tune(1e-4, 3e-2, log=True), Help("Learning rate of the network.")
    ] = None,
    weight_decay: Annotated[
        NonNegative | None, Tune(1e-4, 0.3, log=True), Help("Weight decay of the network.")
    ] = None,
    schedule: Annotated[
        Literal["constant", "cosine", "poly"] | None, Help("Schedule of the learning rate.")
    ] = None,
    optimizer: Annotated[
        Literal["adam", "adamw", "sgd"] | None, Help("Optimizer of the network.")
    ] = None,
) -> dict[str, Any]:
    """The training options of every entry, whatever its method; None keeps the budget's value."""
    given = {"lr": lr, "weight_decay": weight_decay, "schedule": schedule, "optimizer": optimizer}
    return {TRAINING[name]: value for name, value in given.items() if value is not None}


CHOICES = {
    "optimizer": ("adam", "adamw", "sgd"),
    "schedule": tuple(SCHEDULES),
    "selection": ("best", "last"),
    "precision": ("fp32", "bf16", "fp16"),
}

BUDGETS = {
    recipe.budget: recipe
    for recipe in (
        Recipe(
            "demo", "see the suite work within minutes on two cores", 150, 16, 64, evaluations=5
        ),
        Recipe("small", "an hour on a laptop; real conclusions on small problems", 400, 32, 64),
        Recipe("standard", "the default of published boards; one GPU", 4_000, 32, 128),
        Recipe(
            "paper",
            "the size of the literature: ViT at 224 pixels, weeks without a GPU",
            20_000,
            16,
            224,
            learning_rate=1e-4,
            schedule="poly",
            evaluations=20,
        ),
    )
}


MOST = {"steps": 10**9, "batch": 10**6, "side": 10**4, "evaluations": 10**6, "chunks": 10**4}


def budget(name: str) -> Recipe:
    """The budget of that name; errors: `UsageError` with the most similar name."""
    if name not in BUDGETS:
        raise UsageError(f"no budget is called '{name}'; {suggestion(name, BUDGETS)}")
    return BUDGETS[name]


def _check(key: str, value: Any) -> None:
    if key in CHOICES and value not in CHOICES[key]:
        raise UsageError(f"{key} is '{value}'; {suggestion(str(value), CHOICES[key])}")
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{key} is {value}; it must be a finite number.")
    if key == "checkpointing" and not isinstance(value, bool):
        raise UsageError(f"checkpointing is {value}; it must be True or False.")
    if key in MOST and not 1 <= value <= MOST[key]:
        raise UsageError(f"{key} is {value}; it must be from 1 to {MOST[key]:,}.")
    if key == "learning_rate" and value <= 0:
        raise UsageError(f"learning_rate is {value}; it must be above 0.")
