"""The meter of a run: the cost of training, in counts and in time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

import torch

from auxbench.cost.clock import Clock
from auxbench.cost.flops import Flops

__all__ = ["PASSES", "Meter"]
PASSES = ("forward", "backward", "partial", "jvp")

Add = Callable[[Any], Any]
Counts = tuple[int, ...]  # of each of the PASSES, and the structure of the graph


@dataclass
class _Kind:
    """The steps of a phase that made the same passes over the same graph; only one is counted."""

    passes: Counts
    steps: int = 0
    examples: int = 0
    last: int = -1  # number of the latest step of this kind
    flops: int | None = None  # of the counted step
    counted: int = 0  # examples in the counted step

    def total(self, sample: _Kind | None) -> int:
        """The FLOPs of all steps of this kind, from its own counted step or else from `sample`."""
        source = self if self.flops is not None else sample
        if source is None or source.flops is None:
            return 0
        if source.counted:
            return source.flops * self.examples // source.counted
        return source.flops * self.steps if source is self else 0


@dataclass
class _Phase:
    training: bool = True
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    steps: int = 0
    due: set[int] = field(default_factory=lambda: {0})  # numbers of the steps to count
    kinds: dict[Counts, _Kind] = field(default_factory=dict)

    def record(self, passes: Counts, examples: int, flops: int | None) -> None:
        """Add one finished step; `flops` is None if they were not counted."""
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
            else:  # it is expected again after the same number of steps as since the last time
                self.due.add(number + (number - kind.last if kind.last >= 0 else 1))
        kind.last = number

    def summary(self) -> dict[str, Any]:
        kinds = list(self.kinds.values())
        sample = next((kind for kind in kinds if kind.flops is not None and kind.counted), None)
        return {
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "steps": self.steps,
            **{
                name: sum(kind.passes[place] * kind.steps for kind in kinds)
                for place, name in enumerate(PASSES)
            },
            "examples": sum(kind.examples for kind in kinds),
            "flops": sum(kind.total(sample) for kind in kinds),
        }


class Meter:
    """Counts passes, examples and floating-point operations of training, and times it by phase.

    The training loop opens a phase around each piece of work, and the objective reports the passes
    that it makes; the summary goes into the record. `device` is where the training runs. A GPU is
    never waited for before the summary, and its peak memory statistics are reset at the start.
    Counting FLOPs makes a step take about twice as long; without `flops` none are counted. `add`
    sums a number over the processes that train a run together, all of which call `summary`.

    Seconds are those spent in training phases, including the counted steps although counting slows
    them down; evaluation seconds are separate. CPU seconds are those of all threads of the process.
    Waiting seconds are those in which a thread was ready but found no free core: if there are many,
    the machine was busy and the seconds say little about the method. Peak memory is that of a GPU;
    on a CPU it would say little about a method, since libraries take most of a process's memory.
    `compile_seconds` is what compilation took; it belongs to no phase.

    FLOPs are extrapolated. The first step of a phase is counted (see `auxbench.cost.flops.Flops`;
    its results are unchanged, bit for bit), and the count is multiplied by the number of steps, in
    proportion to their examples. Some methods do more work only in every n-th step, so steps with
    different numbers of passes or another graph structure form separate kinds: a kind is counted
    when it is next expected; until then it is assumed to cost as much per example as the first.

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

    def __init__(
        self, device: torch.device | str = "cpu", flops: bool = True, add: Add = lambda own: own
    ) -> None:
        self.device = torch.device(device)
        self.flops = flops
        self.add = add
        self._cuda = self.device.type == "cuda"
        self._clock = Clock(self.device)
        self._passes = dict.fromkeys(PASSES, 0)
        self._examples = 0
        self._phases: dict[str, _Phase] = {}
        self._open = ""
        self._uncounted: set[str] = set()
        self.counting = False
        self.compile_seconds = 0.0
        self._earlier_peak = 0
        self._earlier_waiting = 0.0
        self._waiting_before = _waiting()
        if self._cuda:
            torch.cuda.init()  # type: ignore[no-untyped-call]  # no statistics exist before
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

    def jvp(self, examples: int) -> None:
        """Report one forward-mode pass, which computes a Jacobian-vector product."""
        self._passes["jvp"] += 1
        self._examples += examples

    @contextmanager
    def phase(self, name: str, training: bool = True, structure: int = 0) -> Iterator[None]:
        """Charge the work inside the context to the phase `name`, as one step of it.

        FLOPs are not counted unless it is `training`, as opposed to evaluation. `structure` is a
        number that changes with the graph of the step. A step that raises is charged too. Errors:
        `RuntimeError` if another phase is open.
        """
        if self._open:
            raise RuntimeError(f"phase '{name}' was opened inside phase '{self._open}'")
        self._open = name
        phase = self._phases.get(name)
        if phase is None:
            phase = self._phases[name] = _Phase(training)
        counter = Flops() if self.flops and training and phase.steps in phase.due else None
        before = tuple(self._passes.values())
        examples = self._examples
        self.counting = counter is not None
        start, cpu = self._clock.now(), time.process_time()
        flops = None
        try:
            with counter or nullcontext():
                yield
            if counter:
                flops = self.add(counter.total)
                self._uncounted |= counter.uncounted
        finally:
            self._clock.charge(phase, start)
            phase.cpu_seconds += time.process_time() - cpu
            self._open, self.counting = "", False
            pairs = zip(self._passes.values(), before, strict=True)
            phase.record(
                (*(now - then for now, then in pairs), structure),
                self._examples - examples,
                counter.total if counter and flops is None else flops,
            )

    def summary(self) -> dict[str, Any]:
        """The costs so far, JSON-able; passes made outside any phase are only in the totals.

        Keys: seconds, cpu_seconds, evaluation_seconds, waiting_seconds (None if the system does
        not report them), forward, backward, partial, jvp, examples, flops, peak_memory_bytes (of a
        GPU, else None), compile_seconds (only if something was compiled), uncounted (only if there
        were any: the names of operators whose FLOPs cannot be counted, such as scan) and phases:
        {name: seconds, cpu_seconds, steps, forward, backward, partial, jvp, examples, flops}, in
        the order in which they were first opened.
        """
        self._clock.settle()
        phases = {name: phase.summary() for name, phase in self._phases.items()}
        for summary in phases.values():
            summary["cpu_seconds"] = self.add(summary["cpu_seconds"])
        training = [phases[name] for name, phase in self._phases.items() if phase.training]
        seconds = sum(phase["seconds"] for phase in training)
        return {
            "seconds": seconds,
            "cpu_seconds": sum(phase["cpu_seconds"] for phase in training),
            "evaluation_seconds": sum(phase["seconds"] for phase in phases.values()) - seconds,
            "waiting_seconds": self._waited(),
            **self._passes,
            "examples": self._examples,
            "flops": sum(phase["flops"] for phase in phases.values()),
            "peak_memory_bytes": self._peak() or None,
            **({"compile_seconds": self.compile_seconds} if self.compile_seconds else {}),
            **({"uncounted": sorted(self._uncounted)} if self._uncounted else {}),
            "phases": phases,
        }

    def state_dict(self) -> dict[str, Any]:
        """All counts, JSON-able, from which a resumed run continues counting."""
        self._clock.settle()
        return {
            **self._passes,
            "examples": self._examples,
            "peak_memory_bytes": self._peak(),
            "waiting_seconds": self._waited(),
            "compile_seconds": self.compile_seconds,
            "uncounted": sorted(self._uncounted),
            "phases": [
                {
                    "name": name,
                    "training": phase.training,
                    "seconds": phase.seconds,
                    "cpu_seconds": phase.cpu_seconds,
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
        """Continue from the counts of an earlier part of the run."""
        self._passes = {name: state[name] for name in PASSES}
        self._examples = state["examples"]
        self._earlier_peak = state["peak_memory_bytes"]
        self._earlier_waiting = state["waiting_seconds"] or 0.0
        self.compile_seconds += state["compile_seconds"]
        self._uncounted = set(state.get("uncounted", ()))  # earlier checkpoints lack them
        self._phases = {}
        for part in state["phases"]:
            kinds = [_Kind(tuple(passes), *rest) for passes, *rest in part["kinds"]]
            self._phases[part["name"]] = _Phase(
                part["training"],
                part["seconds"],
                part["cpu_seconds"],
                part["steps"],
                set(part["due"]),
                {kind.passes: kind for kind in kinds},
            )

    def _peak(self) -> int:
        """The peak GPU memory in bytes over all parts of the run; 0 on a CPU."""
        now = torch.cuda.max_memory_allocated(self.device) if self._cuda else 0
        return max(now, self._earlier_peak)

    def _waited(self) -> float | None:
        """The seconds in which threads of this process were ready but found no free core."""
        now = _waiting()
        if now is None or self._waiting_before is None:
            return None
        return self._earlier_waiting + max(0.0, now - self._waiting_before)


def _waiting() -> float | None:
    """The seconds that this process's threads have waited for a core; None except on Linux."""
    try:
        files = list(Path("/proc/self/task").glob("*/schedstat"))
        waits = [int(file.read_text().split()[1]) for file in files]
    except (OSError, ValueError, IndexError):
        return None  # a thread has just ended, or the system does not count them
    return sum(waits) / 1e9 if waits else None
