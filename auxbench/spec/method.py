"""Methods: one architecture and a chain of balancers, written `auxnas+gradnorm+pcgrad`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

from auxbench.architecture import Architecture, Site
from auxbench.balancer import Balancer
from auxbench.budget import Recipe
from auxbench.cost.training import Meter
from auxbench.descent import Descent
from auxbench.errors import UsageError
from auxbench.grammar import Choice
from auxbench.phase import Objective, Phase
from auxbench.problem import Batch
from auxbench.registry import METHODS
from auxbench.streams import Streams

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
        balancers = list[tuple[Choice, type[Balancer]]]()
        for choice in choices:
            part = METHODS[choice.name]
            per_task = frozenset(tasks) if tasks is not None else frozenset(choice.options)
            extra = per_task if _takes_a_number_per_task(part) else frozenset[str]()
            canonical = choice.canonical(part, extra)
            if issubclass(part, Architecture):
                architectures.append(canonical)
            elif issubclass(part, Balancer) and not part.identity:
                balancers.append((canonical, part))
        if len(architectures) > 1:
            names = " and ".join(f"'{choice.name}'" for choice in architectures)
            raise UsageError(f"method '{text}' names two architectures, {names}; keep one.")
        _check_order(text, balancers)
        architecture = architectures[0] if architectures else Choice(SHARING)
        return cls(architecture, tuple(choice for choice, _ in balancers))

    def __str__(self) -> str:
        part = METHODS[self.architecture.name]
        understood = (
            issubclass(part, Architecture) and part.implied and not self.architecture.options
        )
        named = () if understood and self.balancers else (self.architecture,)
        return "+".join(map(str, (*named, *self.balancers)))

    def start(self, site: Site, recipe: Recipe, meter: Meter, device: str = "cpu") -> Learner:
        """Build everything that training carries, at its first step."""
        maker = METHODS[self.architecture.name]
        architecture = maker(site, **self.architecture.values(maker))
        assert isinstance(architecture, Architecture)
        architecture.to(device)
        trained = [task.name for task in architecture.tasks]
        balancers = self.make_balancers(trained, [task.name for task in site.tasks], site.streams)
        return Learner(architecture, balancers, architecture.recipe(recipe), meter)

    def make_balancers(
        self, trained: Sequence[str], tasks: Sequence[str], streams: Streams
    ) -> list[Balancer]:
        """The chain for the trained tasks; a weight for a task that is not trained has no effect.

        Errors: `UsageError` for options that do not fit the problem's `tasks`.
        """
        absent = set(tasks).difference(trained)
        chain = []
        for place, choice in enumerate(self.balancers):
            maker = METHODS[choice.name]
            values = choice.values(maker, frozenset(tasks))
            options = {key: value for key, value in values.items() if key not in absent}
            rng = streams.torch("balancer", choice.name, place)
            chain.append(maker(trained, rng, **options))
        return chain


@dataclass(frozen=True)
class Stage:
    """A stretch of training with phases of its own: the warm-up, or the training proper."""

    name: str
    steps: int
    phases: tuple[Phase, ...]

    @property
    def splits(self) -> tuple[str, ...]:
        """The batches that an iteration needs, each named once."""
        return tuple(dict.fromkeys(split for phase in self.phases for split in phase.splits))


class Learner:
    """Architecture, objective and phases of a method: all that training changes.

    The descent owns every parameter of the architecture that no other phase claims, `free`, so
    every parameter is claimed exactly once.
    """

    def __init__(
        self,
        architecture: Architecture,
        balancers: Sequence[Balancer],
        recipe: Recipe,
        meter: Meter,
    ) -> None:
        self.architecture = architecture
        self.balancers = balancers
        self.objective = Objective(architecture, meter)
        search = architecture.phases(self.objective, recipe)
        claimed = {id(p) for phase in search for p in phase.claimed}
        free = [p for p in architecture.parameters() if id(p) not in claimed]
        descent = Descent(self.objective, balancers, free, recipe, architecture.split)
        self.free = free
        self.descent: Phase = descent
        phases: tuple[Phase, ...] = (*search, descent)
        if len(architecture.tasks) > 1:  # otherwise there is nothing to balance
            before = [phase for balancer in balancers for phase in balancer.before(descent)]
            after = [phase for balancer in balancers for phase in balancer.after(descent)]
            phases = (*search, *before, descent, *after)
            for balancer in balancers:
                if balancer.forks:
                    self.descent = balancer.around(descent, phases)
                    phases = (self.descent,)
        stages = [Stage("train", recipe.steps, phases)]
        if architecture.warm_up:
            alone = Descent(self.objective, (), free, recipe)
            stages.insert(0, Stage("warm-up", architecture.warm_up, (alone,)))
        self.stages = tuple(stages)

    def relabel(self, batch: Batch) -> Batch:
        """A batch of the training data with the labels that the method's parts give it."""
        batch = self.architecture.relabel(batch)
        for balancer in self.balancers:
            batch = balancer.relabel(batch)
        return batch

    def state_dict(self) -> dict[str, Any]:
        """Everything that the learner carries from step to step."""
        return {
            "architecture": self.architecture.state_dict(),
            "balancers": [balancer.state_dict() for balancer in self.balancers],
            "objective": self.objective.state_dict(),
            "phases": {
                stage.name: [phase.state_dict() for phase in stage.phases] for stage in self.stages
            },
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where `state` was taken."""
        self.architecture.load_state_dict(state["architecture"])
        for balancer, saved in zip(self.balancers, state["balancers"], strict=True):
            balancer.load_state_dict(saved)
        self.objective.load_state_dict(state["objective"])
        phases = deepcopy(state["phases"])  # optimisers keep the tensors they are given
        for stage in self.stages:
            for phase, saved in zip(stage.phases, phases[stage.name], strict=True):
                phase.load_state_dict(saved)


def _check_order(text: str, balancers: Sequence[tuple[Choice, type[Balancer]]]) -> None:
    """Refuse a chain that cannot work.

    Samples are weighed first, losses before gradients are combined, and states are forked once.
    """
    for (before, earlier), (choice, part) in pairwise(balancers):
        if part.reweighs and not earlier.reweighs:
            raise UsageError(
                f"'{choice.name}' in '{text}' weighs single samples, which has to be done before "
                f"'{before.name}'; put '{choice.name}' first."
            )
    for (before, earlier), (choice, part) in combinations(balancers, 2):
        # An edit takes up the weights before it, and samples are weighed in the losses themselves.
        coefficients = not (earlier.scales_private or earlier.edits or earlier.reweighs)
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
