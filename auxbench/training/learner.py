"""The learner: everything that training changes, built from a method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from auxbench.cost.training import Meter
from auxbench.data.dataset import Batch
from auxbench.networks.builder import Builder, placed
from auxbench.spec.budget import Recipe
from auxbench.spec.method import Method
from auxbench.spec.registry import METHODS
from auxbench.training.architecture import Architecture
from auxbench.training.balancer import Balancer
from auxbench.training.chain import make_balancers
from auxbench.training.context import Context
from auxbench.training.descent import Descent
from auxbench.training.objective import Objective
from auxbench.training.phase import Phase
from auxbench.training.precision import Precision


def start(
    method: Method, builder: Builder, recipe: Recipe, meter: Meter, device: str = "cpu"
) -> Learner:
    """Build the learner of a method, ready for its first step."""
    maker = METHODS[method.architecture.name]
    architecture = maker(builder, **method.architecture.values(maker))
    assert isinstance(architecture, Architecture)
    placed(architecture, device)
    trained = [task.name for task in architecture.tasks]
    balancers = make_balancers(
        method, trained, [task.name for task in builder.tasks], builder.seeds
    )
    return Learner(architecture, balancers, architecture.recipe(method.recipe(recipe)), meter)


@dataclass(frozen=True)
class Stage:
    """A part of training with its own phases: the warm-up, or the training proper."""

    name: str
    steps: int
    phases: tuple[Phase, ...]

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits from which an iteration may need batches, without duplicates."""
        return tuple(dict.fromkeys(split for phase in self.phases for split in phase.splits))


class Learner:
    """The architecture, objective and phases of a method: everything that training changes.

    The descent owns every parameter of the architecture that no other phase claims, so every
    parameter has exactly one owner.
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
        self.objective = Objective(
            architecture,
            architecture.tasks,
            meter,
            Precision(recipe.precision, meter.device),
            checkpointing=recipe.checkpointing,
        )
        self.context = context = Context(
            architecture,
            architecture.tasks,
            architecture.deploy,
            self.objective,
            recipe,
            architecture.split,
            balancers,
        )
        search = architecture.phases(context)
        claimed = {id(p) for phase in search for p in phase.claimed}
        named = architecture.named_parameters()
        context.parameters = {name: p for name, p in named if id(p) not in claimed}
        descent = Descent(context, balancers, architecture.balanced(), architecture.paced())
        self.descent: Phase = descent
        phases: tuple[Phase, ...] = (*search, descent)
        if len(architecture.tasks) > 1:  # otherwise there is nothing to balance
            before = [phase for balancer in balancers for phase in balancer.before(context)]
            after = [phase for balancer in balancers for phase in balancer.after(context)]
            phases = (*search, *before, descent, *after)
            for balancer in balancers:
                if "around" in balancer.overrides:
                    self.descent = balancer.around(context, phases)
                    phases = (self.descent,)
        stages = [Stage("train", recipe.steps, phases)]
        if architecture.warm_up:
            alone = Descent(context, (), split="train")
            stages.insert(0, Stage("warm-up", architecture.warm_up, (alone,)))
        self.stages = tuple(stages)
        if recipe.checkpointing or descent.chain.by_jvp or phases != (descent,):
            # Such steps may import torch's compiler, and would be timed with that.
            import_module("torch._dynamo")

    @property
    def parameters(self) -> int:
        """The number of values that training changes, in the network and in its balancers."""
        phases = (phase for stage in self.stages for phase in stage.phases)
        changed = {id(part): part for phase in phases for part in phase.claimed}
        return sum(part.numel() for part in changed.values())

    def relabel(self, batch: Batch) -> Batch:
        """A training batch with labels changed by the architecture and the balancers."""
        batch = self.architecture.relabel(batch)
        for balancer in self.balancers:
            batch = balancer.relabel(batch)
        return batch

    def state_dict(self) -> dict[str, Any]:
        """All state that the learner carries from step to step."""
        return {
            "architecture": self.architecture.state_dict(),
            "balancers": [balancer.state_dict() for balancer in self.balancers],
            "context": self.context.state_dict(),
            "precision": self.objective.precision.state_dict(),
            "phases": {
                stage.name: [phase.state_dict() for phase in stage.phases] for stage in self.stages
            },
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state that `state_dict` returned."""
        self.architecture.load_state_dict(state["architecture"])
        for balancer, saved in zip(self.balancers, state["balancers"], strict=True):
            balancer.load_state_dict(saved)
        self.context.load_state_dict(state["context"])
        self.objective.precision.load_state_dict(state["precision"])
        phases = deepcopy(state["phases"])  # optimisers keep the tensors they are given
        for stage in self.stages:
            for phase, saved in zip(stage.phases, phases[stage.name], strict=True):
                phase.load_state_dict(saved)
