"""The contract of training: it repeats, it resumes, and it costs what is declared."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from math import lcm
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from auxbench.contract.documentation import Broken, Exempt, demand, listed, maker_of
from auxbench.contract.dry_run import AUXILIARIES, MORE, SINGLE, STEPS, TASKS, carried, training
from auxbench.errors import Diverged
from auxbench.spec import passes
from auxbench.spec.grammar import Choice, Value, options_of, per_task
from auxbench.training import checkpoint as state
from auxbench.training.loop import Training

LONGEST = 60  # steps over which passes are counted


def it_comes_out_the_same_twice(method: str) -> None:
    """Three steps of training twice end in the same bytes."""
    run = training(method, flops=False)
    run.run()
    demand(
        carried(run) == _whole(method)[-1][0],
        "two trainings of three steps end differently; draw from self.rng or builder.seeds, and "
        "keep nothing between trainings.",
    )


def it_trains(method: str, flops: bool = True) -> None:
    """Three steps of training run, and every parameter is claimed once and gets a gradient."""
    run = training(method, flops=flops)
    architecture = run.learner.architecture
    phases = run.learner.stages[-1].phases
    claimed = [id(p) for phase in phases for p in phase.claimed]
    for name, parameter in architecture.named_parameters():
        times = claimed.count(id(parameter))
        demand(
            times == 1,
            f"the parameter '{name}' is claimed by {times} phases; let one phase claim it, or "
            "none, and the descent owns it.",
        )
    known = {id(p) for p in architecture.parameters()}
    demand(
        known.issuperset(claimed),
        "a phase claims a parameter that the architecture does not have; keep it in the balancer, "
        "or make it an attribute of the architecture.",
    )
    without = {name for name, _ in architecture.named_parameters()}

    def after_step(run: Training) -> bool:
        named = architecture.named_parameters()
        without.difference_update(name for name, p in named if p.grad is not None)
        return True

    try:
        run.run(after_step)
    except Diverged as error:
        raise Broken(f"training diverges within three steps: {error}") from error
    lost = [name for name, _ in architecture.named_parameters() if name in without]
    demand(not lost, f"in training the parameter {listed(lost)} gets no gradient; let it have one.")


def stopped_and_resumed_it_ends_in_the_same_bytes(method: str) -> None:
    """A training that is stopped after any step, saved and resumed ends as if it had not been."""
    (end, _), *earlier = reversed(_whole(method))
    for done, (_, kept) in enumerate(reversed(earlier), start=1):
        resumed = training(method, flops=False)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "state.safetensors"
            file.write_bytes(kept)
            resumed.load_state_dict(state.load(Path(folder) / "state"))
        demand(resumed.step == done, f"resumed after step {done} it is at step {resumed.step}.")
        resumed.run()
        demand(
            carried(resumed) == end,
            f"a training that was stopped after step {done} of {STEPS} and resumed ends "
            "differently; put all that lasts into buffers, parameters, extra() or the state_dict "
            "of the phase.",
        )


@lru_cache(maxsize=1)
def _whole(method: str) -> list[tuple[str, bytes]]:
    """Of one training the digest and the checkpoint after every step."""
    kept: list[tuple[str, bytes]] = []
    with tempfile.TemporaryDirectory() as folder:

        def after_step(run: Any) -> bool:
            file = state.save(Path(folder) / "state", run.state_dict())
            kept.append((carried(run), file.read_bytes()))
            return True

        training(method, flops=False).run(after_step)
    return kept


def without_auxiliaries_it_is_the_single_task_training(method: str) -> None:
    """With the primary alone the deployed network ends in the bytes of `single`."""
    alone = training("+".join(map(_alone, method.split("+"))), auxiliaries=(), flops=False)
    architecture = alone.learner.architecture
    if architecture.generates:
        raise Exempt("it makes up an auxiliary task of its own.")
    if architecture.warm_up:
        raise Exempt("with a warm-up it is trained for longer.")
    wanted = architecture.recipe(alone.recipe)
    changes = {
        key: value
        for key, value in wanted.to_json().items()
        if key != "budget" and value != getattr(alone.recipe, key)
    }
    single = training(SINGLE, auxiliaries=(), flops=False, **changes)
    shapes = [
        sorted(p.shape for p in net.deploy().parameters())
        for net in (architecture, single.learner.architecture)
    ]
    if shapes[0] != shapes[1] and ":" in method:
        raise Exempt("its options change the primary's network.")
    single.run()
    alone.run()
    found = architecture.deploy().state_dict()
    for name, value in single.learner.architecture.deploy().state_dict().items():
        demand(
            any(o.shape == value.shape and torch.equal(o, value) for o in found.values()),
            f"without auxiliaries '{name}' does not end as in single-task training; with one task "
            "change nothing.",
        )


def _alone(part: str) -> str:
    """The part without numbers for tasks that are not there."""
    choice, maker = Choice.parse(part), maker_of(part)
    if per_task(maker) is None:
        return part
    known = options_of(maker)
    return str(Choice(choice.name, {k: v for k, v in choice.options.items() if k in known}))


def passes_are_those_declared(part: str) -> None:
    """With 3 and 5 tasks the meter counts what `reads` and `also` declare.

    Of a rule that trains several networks this is declared of each, and every step of an optimiser
    on the architecture stands for one.
    """
    (text, numbers), forks = _settled(part), getattr(maker_of(part), "forks", False)
    for auxiliaries in (AUXILIARIES, (*AUXILIARIES, *MORE)):
        length = STEPS if forks else LONGEST
        run = training(text, auxiliaries=auxiliaries, steps=length, flops=False)
        architecture, balancers = run.learner.architecture, run.learner.balancers
        tasks, made = len(architecture.tasks), next(iter(balancers), architecture)
        also, every = made.also, getattr(made, "reads_every", "")
        reads: frozenset[str] = getattr(made, "reads", frozenset())
        try:
            declared = passes.count(tasks, reads, also, every, numbers)
        except (KeyError, SyntaxError, AssertionError, TypeError) as error:
            raise Broken(
                f"also = {also!r} cannot be read ({type(error).__name__}: {error}); write numbers "
                "of F, B, b and J, such as '2 F + B', and names of options."
            ) from error
        formula = passes.formula(reads, also, every)
        steps = _period(declared, [v for k, v in numbers.items() if f"/ {k}" in formula])
        steps = length if forks else steps
        counted = _counted(run, steps)
        found = tuple(run.meter.summary()[kind] for kind in passes.Passes._fields)
        wanted = tuple(round(v * (counted.updates if forks else steps)) for v in declared)
        most = wanted
        if forks:  # the deployed networks are looked at besides
            wanted = most = (wanted[0] + counted.looks, *wanted[1:])
        elif not (_rows_are_known(reads, tasks) or getattr(made, "scales_private", True)):
            # Private parameters keep their own gradients, unless all weights are 1.
            most = (*wanted[:2], wanted[2] + tasks * steps, wanted[3])
        demand(
            all(low <= n <= high for low, n, high in zip(wanted, found, most, strict=True)),
            f"{steps} steps with T = {tasks} tasks make {_passes(found)}, and {_passes(wanted)} "
            f"are declared ({formula} a step{' of a network' * forks}); let reads and also say "
            "what it does.",
        )
        demand(
            counted.calls <= found[0] + found[3],
            f"in {steps} steps the network is called {counted.calls} times, and {_passes(found)} "
            "are reported; compute losses by the objective, or report passes to its meter.",
        )


def _settled(part: str) -> tuple[str, dict[str, float]]:
    """The part with what its formula names set to numbers, and these numbers.

    A period that is left open, to be chosen by the length of the run, is set to 2.
    """
    choice, maker = Choice.parse(part), maker_of(part)
    formula = f"{maker.also} {getattr(maker, 'reads_every', '')}"
    values: dict[str, Value] = {name: o.default for name, o in options_of(maker).items()}
    values |= choice.values(maker, frozenset(TASKS))
    named = {key: value for key, value in values.items() if re.search(rf"\b{key}\b", formula)}
    opened = {key: "2" for key, value in named.items() if value is None}
    numbers = {
        key: float(2 if v is None else v) for key, v in named.items() if not isinstance(v, str)
    }
    return str(Choice(choice.name, {**choice.options, **opened})), numbers


def _period(declared: passes.Passes, periods: Sequence[float]) -> int:
    """The number of steps after which passes are whole numbers, at least 2."""
    parts = [Fraction(value).limit_denominator(1000).denominator for value in declared]
    steps = lcm(*parts, *map(round, periods))
    if steps > LONGEST:
        raise Exempt(f"it makes passes once in {steps} steps; name it with a period below that.")
    return max(2, steps)


def _rows_are_known(reads: frozenset[str], tasks: int) -> bool:
    """Whether the descent has every task's gradient anyhow."""
    few = tasks < passes.FORWARD_FROM
    return bool(reads & {"gramian", "rows"}) or (few and "inner" in reads)


class _Counted(NamedTuple):
    """How often, in some steps of training, the architecture and what it deploys were called.

    `looks` are calls of the deployed network by itself; `updates` are steps of optimisers on
    parameters of the architecture.
    """

    calls: int
    looks: int
    updates: int


def _counted(run: Training, steps: int) -> _Counted:
    """Count what is done in some steps, without asking the meter."""
    architecture, calls, looks, updates, inside = run.learner.architecture, 0, 0, 0, False
    own = {id(parameter) for parameter in architecture.parameters()}

    def enter(*_: object) -> None:
        nonlocal calls, inside
        calls, inside = calls + 1, True

    def leave(*_: object) -> None:
        nonlocal inside
        inside = False

    def look(*_: object) -> None:
        nonlocal looks
        looks += not inside

    def update(optimizer: torch.optim.Optimizer, *_: object) -> None:
        nonlocal updates
        first = optimizer.param_groups[0]["params"][0]
        updates += id(first) in own

    handles = (
        architecture.register_forward_pre_hook(enter),
        architecture.register_forward_hook(leave),
        architecture.deploy().register_forward_hook(look),
        register_optimizer_step_post_hook(update),
    )
    for step in range(steps):
        run.iterate(run.learner.stages[-1], step)
    for handle in handles:
        handle.remove()
    return _Counted(calls, looks, updates)


def _passes(numbers: Sequence[int]) -> str:
    """Numbers of passes in words.

    >>> _passes((3, 9, 0, 1))
    '3 forward, 9 backward, 1 product'
    """
    named = zip(passes.Passes._fields, numbers, strict=True)
    return ", ".join(f"{number} {kind}" for kind, number in named if number)
