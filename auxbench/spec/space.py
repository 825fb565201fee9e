"""Search spaces: the numbers of an entry that tuning may change, and their ranges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from auxbench.spec.budget import TRAINING, training
from auxbench.spec.grammar import Choice, Option, options_of, per_task, spelled
from auxbench.spec.marks import Tune
from auxbench.spec.method import Method
from auxbench.spec.registry import METHODS


@dataclass(frozen=True)
class Dimension:
    """One number of an entry: a training option (part -1) or an option of one of its parts."""

    part: int
    option: str
    range: Tune
    whole: bool

    def text(self, share: float) -> str:
        """The value at a share of the range in [0, 1], as the grammar writes it."""
        value = self.range.at(share)
        return spelled(round(value) if self.whole else value)


@dataclass(frozen=True)
class Space:
    """The free numbers of an entry, in the same order for all entries.

    Learning rate and weight decay come first, so that all methods get the same values for them from
    a quasi-random sequence. Numbers that the user has set or the method fixes are not free.

    >>> space = Space.of(Method.parse("gradnorm"), ["depth"])
    >>> [dimension.option for dimension in space.dimensions]
    ['lr', 'weight_decay', 'alpha']
    >>> str(space.entry([0.5, 0.5, 0.0]))
    'gradnorm:alpha=0.1:lr=0.00173:weight_decay=0.00548'
    """

    method: Method
    dimensions: tuple[Dimension, ...]

    @classmethod
    def of(cls, method: Method, auxiliaries: Sequence[str]) -> Space:
        """The space of an entry; an option per task becomes one dimension per auxiliary task."""
        architecture: Any = METHODS[method.architecture.name]
        taken = set(method.training) | {
            name for name, field in TRAINING.items() if field in architecture.fixed
        }
        free = [
            Dimension(-1, name, option.tune, _is_whole(option))
            for name, option in options_of(training).items()
            if option.tune and name not in taken
        ]
        for place, choice in enumerate((method.architecture, *method.balancers)):
            part: Any = METHODS[choice.name]
            options = dict(options_of(part, common=False))  # which tuning does not search
            if every := per_task(part):
                options |= {task: replace(every, name=task) for task in auxiliaries}
            free += [
                Dimension(place, name, option.tune, _is_whole(option))
                for name, option in options.items()
                if option.tune and name not in choice.options
            ]
        return cls(method, tuple(free))

    def entry(self, point: Sequence[float]) -> Method:
        """The entry at a point of the unit cube, one coordinate per dimension."""
        given = dict(self.method.training)
        parts = [dict(c.options) for c in (self.method.architecture, *self.method.balancers)]
        for dimension, share in zip(self.dimensions, point, strict=True):
            target = given if dimension.part < 0 else parts[dimension.part]
            target[dimension.option] = dimension.text(share)
        choices = (self.method.architecture, *self.method.balancers)
        made = [
            Choice(choice.name, options) for choice, options in zip(choices, parts, strict=True)
        ]
        return Method(made[0], tuple(made[1:]), given)


def _is_whole(option: Option) -> bool:
    return option.kind == "whole number"
