"""Methods: one architecture and a chain of balancers, written `auxnas+gradnorm+pcgrad`."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from auxbench.errors import UsageError
from auxbench.spec.grammar import Choice
from auxbench.spec.registry import METHODS

SHARING = "hps"  # what balancers sit on when no architecture is named


@dataclass(frozen=True)
class Method:
    """A choice of architecture and the choices of balancers, in the order in which they act.

    >>> str(Method.parse("pcgrad+auxnas"))
    'auxnas+pcgrad'
    >>> str(Method.parse("hps+gradnorm:alpha=1.5"))
    'gradnorm'
    """

    architecture: Choice
    balancers: tuple[Choice, ...] = ()

    @classmethod
    def parse(cls, text: str, tasks: Sequence[str] | None = None) -> Method:
        """Read a method's name; errors: `UsageError` for unknown parts, options, values.

        `tasks`, where the problem is known, are the names that options per task may use.
        """
        choices = [Choice.parse(part) for part in text.split("+")]
        architectures = list[Choice]()
        balancers = list[Choice]()
        for choice in choices:
            part: Any = METHODS[choice.name]
            per_task = frozenset(tasks) if tasks is not None else frozenset(choice.options)
            extra = per_task if _takes_a_number_per_task(part) else frozenset[str]()
            canonical = choice.canonical(part, extra)
            if part.role == "architecture":
                architectures.append(canonical)
            elif part.overrides:  # one that overrides nothing, such as the plain sum, does nothing
                balancers.append(canonical)
        if len(architectures) > 1:
            names = " and ".join(f"'{choice.name}'" for choice in architectures)
            raise UsageError(f"method '{text}' names two architectures, {names}; keep one.")
        architecture = architectures[0] if architectures else Choice(SHARING)
        return cls(architecture, tuple(balancers))

    def __str__(self) -> str:
        understood = self.balancers and self.architecture == Choice(SHARING)
        named = () if understood else (self.architecture,)
        return "+".join(map(str, (*named, *self.balancers)))


def _takes_a_number_per_task(part: type) -> bool:
    parameters = inspect.signature(part).parameters.values()
    return any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters)
