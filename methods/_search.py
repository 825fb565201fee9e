"""The search of Aux-NAS: strengths of links, learned on the other half of the training data.

Every iteration takes one step of the links before the step of the weights. Both see the losses of
all tasks; the links of the auxiliary-to-primary direction also pay an l1 penalty that is ramped
up, so that they are all but closed when they are cut for deployment.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from auxbench.architecture import Site
from auxbench.budget import Recipe
from auxbench.phase import Objective, Phase, Scalars
from auxbench.problem import Batch, Task

from ._links import ActivationName, Connectivity, Level, LinkedBranches, NormName

NEARLY_OPEN = math.log(0.99 / 0.01)


@dataclass(frozen=True)
class Schedule:
    """How the strengths are searched: Adam at `lr`, decaying as (1 - t)^0.9, and the l1 ramp.

    The penalty is 0 until `ramp[0]` of the run, `l1` from `ramp[1]` on, and linear in between.
    """

    lr: float
    betas: tuple[float, float]
    l1: float
    ramp: tuple[float, float]
    bound: float

    @classmethod
    def scaled(cls, steps: int, lr: float, l1: float) -> Schedule:
        """A search that closes the links in a run of any length.

        Adam moves a logit by about its rate in a step, and (1 - t)^0.9 integrated over the ramp
        leaves a quarter of the steps: 80 / steps gives some 16 units, enough from 0.99 to 0.001.
        Its memory is kept to a thirtieth of the run, because a penalty that fades with the
        strength would otherwise be measured against its own past peak.
        """
        second = min(0.999, max(0.5, 1 - 30 / steps))
        betas = (min(0.9, second), second)
        return cls(max(lr, 80 / steps), betas, l1, (0.3, 0.6), NEARLY_OPEN)

    def penalty(self, progress: float) -> float:
        """The weight of the l1 penalty after a share `progress` of the run."""
        start, end = self.ramp
        return self.l1 * min(1.0, max(0.0, (progress - start) / (end - start)))


class SearchedBranches(LinkedBranches):
    """Branches whose links have learned strengths, sigmoids of logits, in both directions."""

    also = "F + B"

    def __init__(
        self,
        site: Site,
        *,
        links: Level,
        norm: NormName,
        act: ActivationName,
        start: Mapping[str, float],
        warmup: int,
    ) -> None:
        super().__init__(site, links=links, norm=norm, act=act)
        self.counts = [len(sources) for sources in self.pairs.values()]
        self.logits = nn.ParameterDict(
            {
                f"{direction}/{task.name}": Parameter(
                    torch.full((sum(self.counts),), _logit(start[direction]))
                )
                for direction in self.directions
                for task in self.tasks[1:]
            }
        )
        self.split = "train/first" if self.logits else "train"
        self.steps_before = warmup
        self.closed = False

    def schedule(self, steps: int) -> Schedule:
        """The search's schedule in a run of so many steps."""
        raise NotImplementedError

    def connectivity(self, direction: str, task: Task) -> Connectivity:
        if self.closed:
            return None
        logits: Tensor = self.logits[f"{direction}/{task.name}"]
        return torch.split(torch.sigmoid(logits), self.counts)

    def phases(self, objective: Objective, recipe: Recipe) -> list[Phase]:
        if not self.logits:
            return []
        incoming = [logits for key, logits in self.logits.items() if key.startswith("a2p")]
        schedule = self.schedule(recipe.steps)
        return [Search(objective, list(self.logits.values()), incoming, schedule)]

    @property
    def warm_up(self) -> int:
        return self.steps_before

    def enter(self, stage: str) -> None:
        self.closed = stage == "warm-up"

    def traces(self) -> dict[str, list[float]]:
        """The strength of every link by direction and auxiliary, target by target."""
        return {
            f"links/{key}": [round(value, 6) for value in torch.sigmoid(logits).tolist()]
            for key, logits in self.logits.items()
        }


class Search(Phase):
    """One step of the links' strengths; the weights get no gradient and are not touched."""

    def __init__(
        self,
        objective: Objective,
        logits: Sequence[Parameter],
        incoming: Sequence[Parameter],
        schedule: Schedule,
    ) -> None:
        self.name = "search"
        self.splits = ("train/second",)
        self.objective = objective
        self.logits = logits
        self.incoming = incoming
        self.schedule = schedule
        self.optimizer = torch.optim.Adam(logits, schedule.lr, schedule.betas)

    @property
    def claimed(self) -> Sequence[Parameter]:
        return self.logits

    def step(self, batches: Mapping[str, Batch]) -> Scalars:
        progress = self.objective.progress
        losses = self.objective(batches[self.splits[0]])
        weighed = zip(losses, self.objective.weights.tolist(), strict=True)
        total = sum((loss * weight for loss, weight in weighed), start=self.penalty(progress))
        gradients = torch.autograd.grad(total, self.logits)
        self.objective.meter.backward()
        for logits, gradient in zip(self.logits, gradients, strict=True):
            logits.grad = gradient
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.lr * (1 - progress) ** 0.9
        self.optimizer.step()
        with torch.no_grad():
            for logits in self.logits:
                logits.clamp_(max=self.schedule.bound)
        return {"links/a2p": self.strength().max().item()}

    def strength(self) -> Tensor:
        """The strengths of all auxiliary-to-primary links."""
        return torch.sigmoid(torch.cat(list(self.incoming)))

    def penalty(self, progress: float) -> Tensor:
        """The l1 term: the mean strength of what is to be closed, times the ramp."""
        return self.schedule.penalty(progress) * self.strength().mean()

    def state_dict(self) -> dict[str, Any]:
        return {"optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.optimizer.load_state_dict(dict(state["optimizer"]))


def _logit(probability: float) -> float:
    return math.log(probability / (1 - probability))
