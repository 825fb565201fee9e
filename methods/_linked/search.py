"""The search of Aux-NAS: strengths of links, learned on the other half of the training data.

Every iteration takes one step of the links before the step of the weights. Both see the losses of
all tasks; the links of the auxiliary-to-primary direction also pay an l1 penalty that is ramped
up, so that they are closed before they are dropped for deployment. From the start of the ramp on, a
link whose strength falls below 0.001 is closed for good, and a target all of whose links are closed
leaves the graph, which makes the passes shorter.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from auxbench import Batch, Builder, Context, Phase
from auxbench.data.dataset import Task
from auxbench.training.phase import Scalars

from .branches import ActivationName, Connectivity, Direction, Level, LinkedBranches, NormName

OPEN = math.log(0.99 / 0.01)
NEARLY_CLOSED = math.log(0.001 / 0.999)
CLOSED = -50.0  # the logit of a link that leaves the graph; finite, so that states can be averaged


@dataclass(frozen=True)
class Schedule:
    """How the strengths are searched: Adam at `lr`, decaying as (1 - t)^0.9, and the l1 ramp.

    The penalty is 0 until `ramp[0]` of the run, `l1` from `ramp[1]` on, and linear in between. If
    it is `relative`, it is measured in units of the mean weighed loss, and otherwise as it is.

    With `closes`, a ceiling on the strengths of the links into the primary falls from 0.99 to 0
    over the same stretch. A penalty alone cannot close a link that a loss depends on: the fusion's
    weights grow while the link weakens, and the loss pulls the harder the weaker it is.
    """

    lr: float
    betas: tuple[float, float]
    l1: float
    ramp: tuple[float, float]
    relative: bool = False
    closes: bool = False

    @classmethod
    def scaled(cls, steps: int, lr: float | None, l1: float) -> Schedule:
        """A search that closes the links in a run of any length; None chooses the rate for it.

        Adam moves a logit by about its rate in a step, and (1 - t)^0.9 integrated over the ramp
        leaves a quarter of the steps: 80 / steps gives some 16 units, enough from 0.99 to 0.001.
        Its memory is kept to a thirtieth of the run, because a penalty that fades with the
        strength would otherwise be measured against its own past peak.
        """
        second = min(0.999, max(0.5, 1 - 30 / steps))
        betas = (min(0.9, second), second)
        rate = max(0.01, 80 / steps) if lr is None else lr
        return cls(rate, betas, l1, ramp=(0.3, 0.6), relative=True, closes=True)

    def penalty(self, progress: float) -> float:
        """The weight of the l1 penalty after a share `progress` of the run."""
        return self.l1 * self.ramped(progress)

    def ceiling(self, progress: float) -> float:
        """The largest logit of a link into the primary after a share `progress` of the run."""
        if not self.closes:
            return math.inf
        ramped = self.ramped(progress)
        return CLOSED if ramped == 1 else OPEN + ramped * (NEARLY_CLOSED - OPEN)

    def ramped(self, progress: float) -> float:
        """How much of the ramp is over."""
        start, end = self.ramp
        return min(1.0, max(0.0, (progress - start) / (end - start)))


class SearchedBranches(LinkedBranches):
    """Branches whose links have learned strengths, sigmoids of logits, from those in `start` on.

    * `warmup`: Steps in which every branch is trained by itself before the search; their cost is
      recorded apart.
    """

    def __init__(
        self,
        builder: Builder,
        *,
        start: Mapping[Direction, float],
        links: Level,
        norm: NormName,
        act: ActivationName,
        warmup: int,
    ) -> None:
        super().__init__(builder, directions=tuple(start), links=links, norm=norm, act=act)
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
        self.apart = False

    @abstractmethod
    def schedule(self, steps: int) -> Schedule:
        """The search's schedule in a run of so many steps."""

    def connectivity(self, direction: Direction, task: Task) -> Connectivity:
        if self.apart:
            return [None for _ in self.counts]
        logits = self.logits[f"{direction}/{task.name}"]
        strengths = torch.split(torch.sigmoid(logits), self.counts)
        pairs = zip(strengths, self._open(logits), strict=True)
        return [strength if is_open else None for strength, is_open in pairs]

    def phases(self, context: Context) -> list[Phase]:
        if not self.logits:
            return []
        schedule = self.schedule(context.recipe.steps)
        return [Search(context, list(self.logits.values()), self.incoming(), schedule)]

    def _open(self, logits: Tensor) -> list[bool]:
        """For every target whether some link of these leads to it."""
        # On 'meta' there is nothing to see, as when a plan counts what the whole graph costs.
        targets = torch.split(logits > CLOSED, self.counts)
        return [links.is_meta or bool(links.any()) for links in targets]

    def incoming(self) -> list[Parameter]:
        """The logits of the links into the primary, per auxiliary."""
        return [logits for key, logits in self.logits.items() if key.startswith("a2p")]

    @property
    def warm_up(self) -> int:
        return self.steps_before

    def enter(self, stage: str) -> None:
        self.apart = stage == "warm-up"

    def structure(self) -> int:
        return 0 if self.apart else sum(sum(self._open(part)) for part in self.logits.values())

    def dropped_strength(self) -> float:
        return max((torch.sigmoid(logits).max().item() for logits in self.incoming()), default=0.0)

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
        context: Context,
        logits: Sequence[Parameter],
        incoming: Sequence[Parameter],
        schedule: Schedule,
    ) -> None:
        self.name = "search"
        self.splits = ("train/second",)
        self.context = context
        self.objective = context.objective
        self.logits = logits
        self.incoming = incoming
        self.schedule = schedule
        self.optimizer = torch.optim.Adam(logits, schedule.lr, schedule.betas)

    @property
    def claimed(self) -> Sequence[Parameter]:
        return self.logits

    def step(self, batches: Mapping[str, Batch]) -> Scalars:
        progress = self.context.progress
        losses = self.objective(batches[self.splits[0]])
        weighed = zip(losses, self.context.weights.tolist(), strict=True)
        total = sum((loss * weight for loss, weight in weighed), start=torch.zeros(()))
        self.descend(total, progress)
        self.objective.meter.backward()
        strongest = max((torch.sigmoid(part).max().item() for part in self.incoming), default=0.0)
        return {"links/a2p": strongest}

    def descend(self, total: Tensor, progress: float) -> None:
        """Move the logits down the weighed loss and the penalty, and close the weakest links."""
        penalty = self.schedule.penalty(progress)
        strengths = [torch.sigmoid(part).mean() for part in self.incoming]
        cost = sum((penalty * strength for strength in strengths), start=total / self.unit(total))
        gradients = torch.autograd.grad(cost, self.logits, materialize_grads=True)
        for logits, gradient in zip(self.logits, gradients, strict=True):
            logits.grad = gradient
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.lr * (1 - progress) ** 0.9
        self.optimizer.step()
        with torch.no_grad():
            for logits in self.logits:
                logits.clamp_(max=self.schedule.ceiling(0.0))
            for logits in self.incoming if self.schedule.ramped(progress) else ():
                logits.clamp_(max=self.schedule.ceiling(progress))
                logits.masked_fill_(logits < NEARLY_CLOSED, CLOSED)

    def unit(self, total: Tensor) -> float:
        """The mean weighed loss, in which a relative penalty is measured."""
        mean = abs(total.item()) / len(self.context.weights)
        return mean if self.schedule.relative and mean > 0 else 1.0

    def state_dict(self) -> dict[str, Any]:
        return {"optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.optimizer.load_state_dict(dict(state["optimizer"]))


def _logit(probability: float) -> float:
    return math.log(probability / (1 - probability))
