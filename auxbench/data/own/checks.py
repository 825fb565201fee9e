"""Checks of tasks: names, roles, kinds, and labels that training or test lacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from auxbench.data.arrays import INPUTS
from auxbench.data.dataset import Indices, Task
from auxbench.data.kinds import Kind
from auxbench.data.own.dealing import SPLITS
from auxbench.data.own.labels import of_classes
from auxbench.data.own.pictures import Array
from auxbench.data.own.words import NAME
from auxbench.errors import UsageError, suggestion


def roles(
    tasks: Mapping[str, Task], primary: str | None, auxiliaries: Sequence[str] | None
) -> tuple[str, tuple[str, ...]]:
    """The primary task and the auxiliaries, each once; errors: `UsageError` for other names."""
    first = next(iter(tasks)) if primary is None else primary
    others = [name for name in tasks if name != first] if auxiliaries is None else auxiliaries
    others = [others] if isinstance(others, str) else others
    for name in (first, *others):
        if name not in tasks:
            raise UsageError(f"no task is called '{name}'; {suggestion(str(name), tasks)}")
    if first in others:
        raise UsageError(f"task '{first}' is the primary; leave it out of the auxiliaries.")
    return first, tuple(dict.fromkeys(others))


def check_kind(name: str, kind: Kind, pictures: bool) -> None:
    """Refuse names that a network cannot use, and maps without pictures."""
    if not isinstance(kind, Kind):
        raise UsageError(
            f"the kind of task '{name}' is {kind!r}; give one such as auxbench.Label(5)."
        )
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise UsageError(
            f"a task cannot be called {name!r}; use letters, digits, - and _, and begin with a "
            "letter."
        )
    if name == INPUTS or hasattr(nn.ModuleDict, name):
        raise UsageError(f"a task cannot be called '{name}', which networks use; rename it.")
    if kind.dense and not pictures:
        raise UsageError(f"task '{name}' has maps, which need pictures as inputs, not vectors.")


def check_side(side: int | None) -> None:
    """Refuse what is no number of pixels."""
    if side is not None and not (isinstance(side, int) and side > 0):
        raise UsageError(f"side is {side!r}; give a whole number of pixels, at least 1.")


def pairs_of(tasks: Any, first: str) -> dict[str, tuple[Any, Kind]]:
    """The labels and the kind of every task; `first` says what stands before the kind, for errors.

    >>> pairs_of({"a": 3}, "labels")
    Traceback (most recent call last):
    auxbench.errors.UsageError: task 'a' is given by int; give its labels and its kind, a pair.
    """
    if tasks is not None and not isinstance(tasks, Mapping):
        raise UsageError(
            f"tasks are given by {type(tasks).__name__}; give a dictionary with the {first} and "
            "the kind of each by its name."
        )
    if not tasks:
        raise UsageError("the data set has no tasks; give labels and a kind for each.")
    for name, given in tasks.items():
        if not (isinstance(given, tuple | list) and len(given) == 2):
            raise UsageError(
                f"task '{name}' is given by {type(given).__name__}; give its {first} and its kind, "
                "a pair."
            )
    return {name: (values, kind) for name, (values, kind) in tasks.items()}


def refuse_unlabelled(
    marks: Mapping[str, npt.NDArray[np.bool_]], split: npt.NDArray[Any], primary: str
) -> None:
    """Refuse tasks without any label in training, and a primary task without any elsewhere.

    `marks` has the samples with a label by task, and `split` is the number of each sample's split.
    """
    for name, known in marks.items():
        for code, where in enumerate(SPLITS if name == primary else SPLITS[:1]):
            if not known[split == code].any():
                raise UsageError(
                    f"no sample in {where} has a label of '{name}'; give some, or leave the task "
                    "out."
                )


def refuse_unseen(
    arrays: Mapping[str, Array], tasks: Mapping[str, Task], split: Indices | Array, place: Any
) -> None:
    """Refuse classes of whole samples that are tested but never trained."""
    for name, task in tasks.items():
        if not of_classes(task.kind) or task.dense:
            continue
        values = np.asarray(arrays[name])
        trained = set(np.unique(values[split == 0]).tolist()) | {-1}
        for row in np.flatnonzero(split > 0).tolist():
            if int(values[row]) not in trained:
                called = task.kind.called(int(values[row]))
                raise UsageError(
                    f"{place(row)}: class '{called}' of '{name}' is in {SPLITS[split[row]]} but "
                    "not in train; move some of its samples there, or leave the label out."
                )
