"""Phases: what happens in one iteration of training, one after the other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from torch.nn import Parameter

from auxbench.data.dataset import Batch

Scalars = dict[str, float]


class Phase(ABC):
    """A part of every iteration, such as the descent on the weights or the search of the links.

    `splits` names the batches that `step` may read, each of which is drawn when it is first read;
    `claimed` are the parameters that it owns, and the descent owns every parameter that no other
    phase claims.

    The passes that it makes recur after `period` iterations, but for the iterations in `turns`,
    after each of which they may be others: plans count a run from these.
    """

    name: str
    splits: tuple[str, ...]
    period: int = 1
    turns: Collection[int] = ()

    @property
    @abstractmethod
    def claimed(self) -> Sequence[Parameter]:
        """The parameters that this phase changes."""

    @abstractmethod
    def step(self, batches: Mapping[str, Batch]) -> Scalars:
        """Do the phase's part of one iteration and say what is worth logging."""

    def candidates(self) -> Iterator[Scalars]:
        """Put the network into each state that may be selected, and say what it is.

        There is one such state, the one that it is in, unless a phase trains several.
        """
        yield {}

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """All that the phase carries from step to step."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where `state` was taken."""


class LazyBatches(Mapping[str, Batch]):
    """The batches of one iteration, each drawn from its stream and prepared when first read."""

    def __init__(
        self,
        streams: Mapping[str, Iterator[Batch]],
        prepare: Callable[[Batch], Batch],
        raw: dict[str, Batch] | None = None,
    ) -> None:
        self.seeds = streams
        self.prepare = prepare
        self.raw = {} if raw is None else raw
        self.prepared: dict[str, Batch] = {}

    def __getitem__(self, split: str) -> Batch:
        if split not in self.prepared:
            if split not in self.raw:
                self.raw[split] = next(self.seeds[split])
            self.prepared[split] = self.prepare(self.raw[split])
        return self.prepared[split]

    def __iter__(self) -> Iterator[str]:
        return iter(self.seeds)

    def __len__(self) -> int:
        return len(self.seeds)

    def again(self) -> LazyBatches:
        """The same batches, to be prepared once more."""
        return LazyBatches(self.seeds, self.prepare, self.raw)
