"""Samples read from a prepared form, and the tasks that it has."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from torch import Tensor

from auxbench.data.arrays import Finish, Rows
from auxbench.data.dataset import Batch, Indices, Samples, Task
from auxbench.data.prepared.decode import Raw
from auxbench.data.prepared.form import Prepared
from auxbench.errors import UsageError


class Offered(Mapping[str, Task]):
    """The known tasks that the data have; looking up another one is an error.

    `names` returns their names; it is called on first use, since it may have to read the disk.
    `lacking` returns a sentence that says why a task is missing and what to do.
    """

    def __init__(
        self,
        tasks: Mapping[str, Task],
        names: Callable[[], Collection[str]],
        lacking: Callable[[str], str],
    ) -> None:
        self.known = tasks
        self.look = names
        self.lacking = lacking

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The tasks that the data have, in the order of all tasks."""
        found = self.look()
        return tuple(name for name in self.known if name in found)

    def __getitem__(self, name: str) -> Task:
        if name in self.known and name not in self.names:
            raise UsageError(self.lacking(name))
        return self.known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


Derived = Mapping[str, Callable[[Rows], Tensor]]


def decoded(tasks: Mapping[str, Task], rows: Rows, derived: Derived) -> dict[str, Tensor]:
    """The targets of the tasks, each decoded by its kind or derived from other arrays."""
    return {
        name: derived[name](rows) if name in derived else task.kind.decode(rows[name])
        for name, task in tasks.items()
    }


def refuse_enlarging(prepared: Prepared, size: tuple[int, int], option: str) -> None:
    """Refuse a size (height, width) at which the prepared pictures would be enlarged.

    Enlarging cannot restore lost detail, so a comparison of sizes would compare blurred pictures.
    `option` is the conversion option that makes larger ones. Errors: `UsageError`.
    """
    height, width = prepared.card["arrays"]["image"]["shape"][-2:]
    times = max(size[0] / height, size[1] / width)
    if times > 1:
        name = prepared.card["dataset"]
        raise UsageError(
            f"data set '{name}' was prepared at {height}x{width} pixels, which {size[0]}x{size[1]} "
            f"would enlarge {times:.3g} times; auxbench data prepare {name}:{option} --source DIR "
            f"makes larger ones, and {name}:enlarge=yes enlarges them all the same."
        )


class PreparedSamples(Samples):
    """Some rows of a split's memory-mapped arrays; a batch copies only its own rows.

    `rows` are the rows of the arrays that belong to this split (such as a validation split carved
    from train), by default all. `finish(rows, rng)` decodes and augments, as for `ArraySamples`.
    With `views` it gets a list of single samples' arrays under every name instead of one array, so
    that nothing is copied before it is decoded; `decode` accepts both.
    """

    def __init__(
        self,
        arrays: Mapping[str, Raw],
        finish: Finish,
        rows: Indices | None = None,
        views: bool = False,
    ) -> None:
        self.arrays = dict(arrays)
        self.finish = finish
        self.rows = np.arange(len(next(iter(arrays.values())))) if rows is None else rows
        self.views = views

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, indices: Indices, rng: np.random.Generator | None) -> Batch:
        rows = self.rows[indices]
        chosen: dict[str, Any] = {
            name: [array[row] for row in rows.tolist()] if self.views else array[rows]
            for name, array in self.arrays.items()
        }
        return self.finish(chosen, rng)
