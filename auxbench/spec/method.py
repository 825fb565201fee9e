"""Entries: a method and how its network is trained, written `auxnas+pcgrad:lr=0.003`.

A method is one architecture and a chain of balancers. The options `lr`, `weight_decay`, `schedule`
and `optimizer` may follow any part but apply to the entry as a whole: they say how the network is
trained and replace the budget's defaults.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from auxbench.errors import UsageError
from auxbench.spec.budget import TRAINING, Recipe, training
from auxbench.spec.grammar import Choice, spelled
from auxbench.spec.registry import METHODS

SHARING = "hps"  # the architecture under balancers when none is named


@dataclass(frozen=True)
class Method:
    """An entry: an architecture, balancers in the order in which they act, and training options.

    `training` holds the training options of the entry as text, by name.

    >>> str(Method.parse("pcgrad+auxnas"))
    'auxnas+pcgrad'
    >>> str(Method.parse("hps+gradnorm:alpha=1.5"))
    'gradnorm'
    >>> str(Method.parse("auxnas:lr=3e-3+pcgrad"))
    'auxnas+pcgrad:lr=0.003'
    """

    architecture: Choice
    balancers: tuple[Choice, ...] = ()
    training: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str, tasks: Sequence[str] | None = None) -> Method:
        """Parse an entry; errors: `UsageError` for unknown parts, options and values.

        `tasks` are the names that per-task options may use, if the problem is known.
        """
        architectures = list[Choice]()
        balancers = list[Choice]()
        given: dict[str, str] = {}
        for piece in text.split("+"):
            whole = Choice.parse(piece)
            own = {key: value for key, value in whole.options.items() if key not in TRAINING}
            for key in whole.options.keys() & TRAINING:
                if given.setdefault(key, whole.options[key]) != whole.options[key]:
                    raise UsageError(f"option '{key}' of '{text}' has two values; keep one.")
            choice = Choice(whole.name, own)
            part: Any = METHODS[choice.name]
            per_task = frozenset(tasks) if tasks is not None else frozenset(choice.options)
            extra = per_task if _takes_a_number_per_task(part) else frozenset[str]()
            canonical = choice.canonical(part, extra)
            if part.role == "architecture":
                architectures.append(canonical)
            elif part.overrides:  # a part that overrides nothing, like the plain sum, is dropped
                balancers.append(canonical)
        if len(architectures) > 1:
            names = " and ".join(f"'{choice.name}'" for choice in architectures)
            raise UsageError(f"method '{text}' names two architectures, {names}; keep one.")
        architecture = architectures[0] if architectures else Choice(SHARING)
        names = "+".join(Choice.parse(piece).name for piece in text.split("+"))
        values = Choice(names, given).values(training)
        return cls(
            architecture,
            tuple(balancers),
            {key: spelled(values[key]) for key in TRAINING if values.get(key) is not None},
        )

    def within(self, recipe: Recipe, defaults: Mapping[str, Any] | None = None) -> Method:
        """The same entry on a budget: `defaults` are added, the budget's own values removed.

        The `defaults` apply where the entry sets no value; their keys are fields of the recipe.
        """
        values = {
            **{key: spelled(value) for key, value in (defaults or {}).items()},
            **{TRAINING[key]: text for key, text in self.training.items()},
        }
        kept = {
            key: values[name]
            for key, name in TRAINING.items()
            if name in values and values[name] != spelled(getattr(recipe, name))
        }
        return replace(self, training=kept)

    def recipe(self, recipe: Recipe) -> Recipe:
        """The budget's recipe with the entry's training options applied."""
        given: dict[str, Any] = Choice(str(self), self.training).values(training)
        return replace(recipe, **training(**given))

    @property
    def base(self) -> str:
        """The method alone, without its training options."""
        understood = self.balancers and self.architecture == Choice(SHARING)
        named = () if understood else (self.architecture,)
        return "+".join(map(str, (*named, *self.balancers)))

    def __str__(self) -> str:
        return ":".join([self.base, *(f"{key}={text}" for key, text in self.training.items())])


def _takes_a_number_per_task(part: type) -> bool:
    parameters = inspect.signature(part).parameters.values()
    return any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters)
