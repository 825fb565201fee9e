"""The meter of a run: what training costs, counted first and timed second."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import astuple, dataclass, field
from typing import Any

import torch

from auxbench.cost.flops import Flops

__all__ = ["PASSES", "Meter"]


PASSES = ("forward", "backward", "partial", "product")

Counts = tuple[int, ...]  # of each of the PASSES


@dataclass
class _Kind:
    """The steps of a phase that made the same passes; one of them stands for all."""

    passes: Counts
    steps: int = 0
    examples: int = 0
    last: int = -1  # number of the latest step of this kind
    flops: int | None = None  # of the step that was counted
    counted: int = 0  # examples of the step that was counted

    def total(self, sample: _Kind | None) -> int:
        """FLOPs of all steps of this kind, from its own counted step or else from `sample`."""
        source = self if self.flops is not None else sample
        if source is None or source.flops is None:
            return 0
        if source.counted:
            return source.flops * self.examples // source.counted
        return source.flops * self.steps if source is self else 0


@dataclass
class _Phase:
    seconds: float = 0.0
    steps: int = 0
    due: set[int] = field(default_factory=lambda: {0})  # numbers of the steps to be counted
    kinds: dict[Counts, _Kind] = field(default_factory=dict)

    def record(self, passes: Counts, examples: int, flops: int | None) -> None:
        """Book one finished step; `flops` is None when they were not counted."""
        number = self.steps
        self.steps += 1
        self.due.discard(number)
        kind = self.kinds.get(passes)
        if kind is None:
            kind = self.kinds[passes] = _Kind(passes)
        kind.steps += 1
        kind.examples += examples
        if kind.flops is None:
            if flops is not None:
                kind.flops, kind.counted = flops, examples
            else:  # it is expected again after as many steps as it took to come this time
                self.due.add(number + (number - kind.last if kind.last >= 0 else 1))
        kind.last = number

    def summary(self) -> dict[str, Any]:
        kinds = list(self.kinds.values())
        sample = next((kind for kind in kinds if kind.flops is not None and kind.counted), None)
        return {
            "seconds": self.seconds,
            "steps": self.steps,
            **{
                name: sum(kind.passes[place] * kind.steps for kind in kinds)
                for place, name in enumerate(PASSES)
            },
            "examples": sum(kind.examples for kind in kinds),
            "flops": sum(kind.total(sample) for kind in kinds),
        }


class Meter:
    """Counts passes, examples and floating-point operations of a training, and times it by phase.

    For the training loop, which opens a phase around each piece of work, and for the objective,
    which reports the passes it makes; the summary goes into the record. `device` is where the
    training runs; on a GPU a phase waits for it at both ends and the peak of its memory restarts.

    Seconds are those spent inside phases, the counted steps included although counting slows them
    down. Peak memory is the device's on a GPU ("cuda") and otherwise the high-water mark of the
    whole process since it started ("rss"), or None where the system does not tell.

    FLOPs are extrapolated. The first step of a phase is counted (see `auxbench.cost.flops.Flops`;
    the numbers it computes are unchanged, bit for bit) and the result is multiplied by the number
    of steps, in proportion to their examples. Some methods do more in every n-th step only, so
    steps that made different numbers of passes are kept apart: such a kind is counted when it is
    next expected and, if it never is, taken to cost what the first kind costs per example.

    >>> meter, layer = Meter(), torch.nn.Linear(3, 4)
    >>> for _ in range(10):
    ...     with meter.phase("descent"):
    ...         meter.forward(examples=5)
    ...         loss = layer(torch.ones(5, 3)).sum()
    ...         meter.backward()
    ...         loss.backward()
    >>> summary = meter.summary()
    >>> summary["forward"], summary["backward"], summary["examples"], summary["flops"]
    (10, 10, 50, 2400)
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self._cuda = self.device.type == "cuda"
        self._passes = dict.fromkeys(PASSES, 0)
        self._examples = 0
        self._phases: dict[str, _Phase] = {}
        self._open = ""
        self._earlier_peak = 0
        if self._cuda:
            torch.cuda.init()  # type: ignore[no-untyped-call]  # there are no statistics before
            torch.cuda.reset_peak_memory_stats(self.device)

    def forward(self, examples: int) -> None:
        """Report one forward pass of the training network over a batch of `examples`."""
        self._passes["forward"] += 1
        self._examples += examples

    def backward(self, full: int = 1, partial: int = 0) -> None:
        """Report backward passes: `full` through the whole graph, `partial` through heads only.

        A partial pass goes from a loss down to the last shared layer and stops there.
        """
        self._passes["backward"] += full
        self._passes["partial"] += partial

    def product(self, examples: int) -> None:
        """Report one forward-mode product: a forward pass that carries a direction along."""
        self._passes["product"] += 1
        self._examples += examples

    @contextmanager
    def phase(self, name: str, flops: bool = True) -> Iterator[None]:
        """Charge what happens inside to the phase `name`, as one step of it.

        `flops=False` is for work without a network, such as reading data: its FLOPs are 0.
        A step that raises is charged too. Errors: `RuntimeError` when another phase is open.
        """
        if self._open:
            raise RuntimeError(f"phase '{name}' was opened inside phase '{self._open}'")
        self._open = name
        phase = self._phases.get(name)
        if phase is None:
            phase = self._phases[name] = _Phase()
        counter = Flops() if flops and phase.steps in phase.due else None
        before = tuple(self._passes.values())
        examples = self._examples
        start = self._now()
        try:
            with counter or nullcontext():
                yield
        finally:
            phase.seconds += self._now() - start
            self._open = ""
            phase.record(
                tuple(now - then for now, then in zip(self._passes.values(), before, strict=True)),
                self._examples - examples,
                counter.total if counter else None,
            )

    def summary(self) -> dict[str, Any]:
        """The costs so far, JSON-able; passes made outside any phase are in the totals only.

        Keys: seconds, forward, backward, partial, product, examples, flops, peak_memory_bytes,
        memory_kind ("rss" or "cuda") and phases: {name: seconds, steps, forward, backward,
        partial, product, examples, flops}, in the order in which they were first opened.
        """
        phases = {name: phase.summary() for name, phase in self._phases.items()}
        return {
            "seconds": sum(phase["seconds"] for phase in phases.values()),
            **self._passes,
            "examples": self._examples,
            "flops": sum(phase["flops"] for phase in phases.values()),
            "peak_memory_bytes": self._peak() or None,
            "memory_kind": "cuda" if self._cuda else "rss",
            "phases": phases,
        }

    def state_dict(self) -> dict[str, Any]:
        """All counts, JSON-able, from which a resumed run goes on counting."""
        return {
            **self._passes,
            "examples": self._examples,
            "peak_memory_bytes": self._peak(),
            "phases": [
                {
                    "name": name,
                    "seconds": phase.seconds,
                    "steps": phase.steps,
                    "due": sorted(phase.due),
                    "kinds": [
                        [list(kind.passes), *astuple(kind)[1:]] for kind in phase.kinds.values()
                    ],
                }
                for name, phase in self._phases.items()
            ],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from the counts of an earlier part of the run."""
        self._passes = {name: state[name] for name in PASSES}
        self._examples = state["examples"]
        self._earlier_peak = state["peak_memory_bytes"]
        self._phases = {}
        for part in state["phases"]:
            kinds = [_Kind(tuple(passes), *rest) for passes, *rest in part["kinds"]]
            self._phases[part["name"]] = _Phase(
                part["seconds"],
                part["steps"],
                set(part["due"]),
                {kind.passes: kind for kind in kinds},
            )

    def _now(self) -> float:
        if self._cuda:
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def _peak(self) -> int:
        """The largest memory in bytes over all parts of the run, 0 where it is not known."""
        if self._cuda:
            now = torch.cuda.max_memory_allocated(self.device)
        elif sys.platform == "win32":
            now = 0
        else:
            import resource  # absent on Windows

            unit = 1 if sys.platform == "darwin" else 1024
            now = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        return max(now, self._earlier_peak)
