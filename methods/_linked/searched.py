"""Branches whose links have learned strengths, and the bookkeeping of these links."""

from __future__ import annotations

import math
from collections.abc import Mapping
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
        logits = self.logits[f"{direction}/{task.name}"]
        strengths = torch.split(torch.sigmoid(logits), self.counts)
        pairs = zip(strengths, self._open(logits), strict=True)
        return [strength if is_open else None for strength, is_open in pairs]

    def _open(self, logits: Tensor) -> list[bool]:
        """For every target, whether any of these links into it is open."""
        # Tensors on 'meta' have no values; a plan uses them to count the cost of the full graph.
        targets = torch.split(logits > CLOSED, self.counts)
        return [links.is_meta or bool(links.any()) for links in targets]

    @property
    def warm_up(self) -> int:
        return self.steps_before

    def enter(self, stage: str) -> None:
        self.apart = stage == "warm-up"

    def structure(self) -> int:
        return 0 if self.apart else sum(sum(self._open(part)) for part in self.logits.values())

    def dropped_strength(self) -> float:
        return strongest(self.incoming)

    def traces(self) -> dict[str, list[float]]:
        """The strength of every link, by direction and auxiliary, in the order of targets."""
        return {
            f"links/{key}": [round(value, 6) for value in torch.sigmoid(logits).tolist()]
            for key, logits in self.logits.items()
        }


def strongest(logits: list[Parameter]) -> float:
    """The strength of the strongest of these links; exactly 0 if none of them is open."""
    highest = max((part.max() for part in logits), default=torch.tensor(CLOSED))
    return torch.sigmoid(highest).item() if highest > CLOSED else 0.0


def logit(strength: float) -> float:
    """The number whose sigmoid is `strength`, in (0, 1)."""
    return math.log(strength / (1 - strength))
