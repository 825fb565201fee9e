"""Methods: one architecture and a chain of balancers, written `auxnas+gradnorm+pcgrad`."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
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
        balancers = list[tuple[Choice, Any]]()
        for choice in choices:
            part: Any = METHODS[choice.name]
            per_task = frozenset(tasks) if tasks is not None else frozenset(choice.options)
            extra = per_task if _takes_a_number_per_task(part) else frozenset[str]()
            canonical = choice.canonical(part, extra)
            if part.role == "architecture":
                architectures.append(canonical)
            elif not part.identity:
                balancers.append((canonical, part))
        if len(architectures) > 1:
            names = " and ".join(f"'{choice.name}'" for choice in architectures)
            raise UsageError(f"method '{text}' names two architectures, {names}; keep one.")
        _check_order(text, balancers)
        architecture = architectures[0] if architectures else Choice(SHARING)
        return cls(architecture, tuple(choice for choice, _ in balancers))

    def __str__(self) -> str:
        understood = self.balancers and self.architecture == Choice(SHARING)
        named = () if understood else (self.architecture,)
        return "+".join(map(str, (*named, *self.balancers)))


def _check_order(text: str, balancers: Sequence[tuple[Choice, Any]]) -> None:
    """Refuse a chain that cannot work.

    Samples are weighed first, losses before gradients are combined, and states are forked once.
    """
    for (before, earlier), (choice, part) in pairwise(balancers):
        if part.weighs_samples and not earlier.weighs_samples:
            raise UsageError(
                f"'{choice.name}' in '{text}' weighs single samples, which has to be done before "
                f"'{before.name}'; put '{choice.name}' first."
            )
    for (before, earlier), (choice, part) in combinations(balancers, 2):
        # An edit takes up the weights before it, and samples are weighed in the losses themselves.
        coefficients = not (earlier.scales_private or earlier.edits or earlier.weighs_samples)
        if coefficients and "losses" in part.reads:
            raise UsageError(
                f"'{choice.name}' in '{text}' reads the losses, but '{before.name}' before it "
                f"combines gradients and weighs no loss; put '{choice.name}' before "
                f"'{before.name}'."
            )
    forks = [choice.name for choice, part in balancers if part.forks]
    if len(forks) > 1:
        raise UsageError(
            f"method '{text}' trains several states of the network twice, by '{forks[0]}' and "
            f"'{forks[1]}'; keep one."
        )


def _takes_a_number_per_task(part: type) -> bool:
    parameters = inspect.signature(part).parameters.values()
    return any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters)
