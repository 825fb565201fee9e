"""Phases: the parts of one training iteration, in order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.nn import Parameter

from auxbench.data.dataset import Batch

Scalars = dict[str, float | Tensor]  # a tensor is one that a GPU may not have computed yet


class Phase(ABC):
    """A part of every iteration, such as the descent on the weights or the search for links.

    `splits` names the splits from which `step` may read a batch, each drawn on first access.
    `claimed` are the parameters that the phase owns; the descent owns all that no other phase
    claims.

    Its pattern of passes repeats every `period` iterations; at each iteration in `turns` the
    pattern may change. Plans use both to count the passes of a run.
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
        """Do the phase's part of one iteration and return the scalars to log."""

    def candidates(self) -> Iterator[Scalars]:
        """Put the network into each state that may be selected, and yield scalars that describe it.

        By default only the current state may be selected; a phase that trains several overrides it.
        """
        yield {}

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """All state that the phase carries from step to step."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state that `state_dict` returned."""


class LazyBatches(Mapping[str, Batch]):
    """The batches of one iteration, each drawn from its stream and prepared on first access."""

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
        """The same batches, to be prepared afresh."""
        return LazyBatches(self.seeds, self.prepare, self.raw)
