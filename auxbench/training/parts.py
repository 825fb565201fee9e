"""Parts of a batch, whose gradients are summed before any rule sees them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from auxbench.errors import UsageError
from auxbench.training.gradients import Gradients
from auxbench.training.graph import Reach
from auxbench.training.reach import relative
from auxbench.training.signals import Row


@dataclass(frozen=True)
class Parts:
    """The summed gradients, and losses [T], of parts of a batch.

    `parameters` holds the ids of those on which the gradients are taken, and `reach` of those that
    each loss reaches in any part.
    """

    parameters: tuple[int, ...]
    rows: tuple[Row, ...]
    values: Tensor
    reach: Reach

    @classmethod
    def of(cls, gradients: Gradients, earlier: Parts | None) -> Parts:
        """The parts before this one, if any, and this one."""
        ids, reach = tuple(map(id, gradients.parameters)), relative(gradients.graph.reach)
        own = cls(ids, gradients.rows, gradients.values, reach)
        if earlier is None:
            return own
        if own.parameters != earlier.parameters:
            raise UsageError("parts of a batch have different parameters; give the same for all.")
        pairs = zip(earlier.rows, own.rows, strict=True)
        rows = tuple(tuple(map(_sum, *pair)) for pair in pairs)
        both = zip(earlier.reach, own.reach, strict=True)
        either = tuple(before | after for before, after in both)
        return cls(own.parameters, rows, earlier.values + own.values, either)

    def put_into(self, gradients: Gradients) -> None:
        """Turn the gradients of the last part into those of all parts."""
        gradients.replace(rows=self.rows, values=self.values, reach=self.reach)


def _sum(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    if first is None or second is None:
        return second if first is None else first
    return first + second
