"""Branches whose links have learned strengths, and the bookkeeping of these links."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import islice
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from auxbench import Builder
from auxbench.data.dataset import Task
from auxbench.spec.marks import CountOrZero, Help

from .branches import LinkedBranches
from .fusion import ActivationName, NormName
from .links import Connectivity, Direction, Level

CLOSED = -50.0  # the logit of a closed link; finite, so that states can be averaged

WarmUp = Annotated[
    CountOrZero,
    Help(
        "Steps in which every branch is trained by itself before the search; their cost is "
        "recorded apart."
    ),
]


class SearchedBranches(LinkedBranches):
    """Branches whose links have strengths sigmoid(logit), initialised with those in `start`.

    If any link is searched, the descent reads one half of the training data and the search the
    other. A target whose links are all closed leaves the graph, which makes passes cheaper.
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
        links_of_one = sum(self.counts)
        self.logits = nn.ParameterDict(
            {
                f"{direction}/{task.name}": Parameter(
                    torch.full((links_of_one,), logit(start[direction]))
                )
                for direction in self.directions
                for task in self.tasks[1:]
            }
        )
        self.seen: dict[str, tuple[tuple[int, int], list[bool]]] = {}
        self.split = "train/first" if self.logits else "train"
        self.steps_before = warmup
        self.apart = False

    @property
    def incoming(self) -> list[Parameter]:
        """The logits of the links into the primary, per auxiliary."""
        return [logits for key, logits in self.logits.items() if key.startswith("a2p")]

    def connectivity(self, direction: Direction, task: Task) -> Connectivity:
        if self.apart:
            return [None for _ in self.counts]
        key = f"{direction}/{task.name}"
        strengths = torch.split(torch.sigmoid(self.logits[key]), self.counts)
        pairs = zip(strengths, self._open(key), strict=True)
        return [strength if is_open else None for strength, is_open in pairs]

    def _open(self, key: str) -> list[bool]:
        """For every target, whether any of the links of this direction and task into it is open."""
        logits: Tensor = self.logits[key]
        if logits.is_meta:  # without values; a plan uses it to count the cost of the full graph
            return [True for _ in self.counts]
        if not isinstance(logits, Parameter):  # it stands in for the parameter, once
            return self._targets(logits)
        stamp = id(logits), logits._version  # asked only after a change, since a GPU is waited for
        if key not in self.seen or self.seen[key][0] != stamp:
            self.seen[key] = stamp, self._targets(logits)
        return self.seen[key][1]

    def _targets(self, logits: Tensor) -> list[bool]:
        flags = iter((logits > CLOSED).tolist())
        return [any(list(islice(flags, count))) for count in self.counts]

    @property
    def warm_up(self) -> int:
        return self.steps_before

    def enter(self, stage: str) -> None:
        self.apart = stage == "warm-up"

    def structure(self) -> int:
        return 0 if self.apart else sum(sum(self._open(key)) for key in self.logits)

    def dropped_strength(self) -> float:
        return float(strongest(self.incoming))

    def traces(self) -> dict[str, list[float]]:
        """The strength of every link, by direction and auxiliary, in the order of targets."""
        return {
            f"links/{key}": [round(value, 6) for value in torch.sigmoid(logits).tolist()]
            for key, logits in self.logits.items()
        }


def strongest(logits: list[Parameter]) -> Tensor:
    """The strength of the strongest of these links; exactly 0 if none of them is open."""
    if not logits:
        return torch.tensor(0.0)
    highest = torch.stack([part.detach().max() for part in logits]).max()
    return torch.where(highest > CLOSED, torch.sigmoid(highest), 0.0)


def logit(strength: float) -> float:
    """The number whose sigmoid is `strength`, in (0, 1)."""
    return math.log(strength / (1 - strength))
