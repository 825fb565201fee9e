"""The contract of training: it repeats, it resumes, and it reports what it costs."""

from __future__ import annotations

import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from auxbench.contract.documentation import Broken, Exempt, demand, listed, maker_of
from auxbench.contract.dry_run import SINGLE, STEPS, carried, training
from auxbench.errors import Diverged
from auxbench.spec.grammar import Choice, options_of, per_task
from auxbench.training import checkpoint as state
from auxbench.training.loop import Training


def it_comes_out_the_same_twice(method: str) -> None:
    """Two trainings of three steps end in the same bytes."""
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
            "none, so that the descent owns it.",
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
    demand(not lost, f"in training the parameter {listed(lost)} gets no gradient; give it one.")


def stopped_and_resumed_it_ends_in_the_same_bytes(method: str) -> None:
    """A training that is stopped after any step, saved and resumed ends as if never stopped."""
    (end, _), *earlier = reversed(_whole(method))
    for done, (_, kept) in enumerate(reversed(earlier), start=1):
        resumed = training(method, flops=False)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "state.pt"
            file.write_bytes(kept)
            resumed.load_state_dict(state.load(Path(folder) / "state"))
        demand(resumed.step == done, f"resumed after step {done} it is at step {resumed.step}.")
        resumed.run()
        demand(
            carried(resumed) == end,
            f"a training that was stopped after step {done} of {STEPS} and resumed ends "
            "differently; put lasting state into buffers, parameters, extra() or the state_dict "
            "of the phase.",
        )


@lru_cache(maxsize=1)
def _whole(method: str) -> list[tuple[str, bytes]]:
    """The digest and the checkpoint after every step of one training."""
    kept: list[tuple[str, bytes]] = []
    with tempfile.TemporaryDirectory() as folder:

        def after_step(run: Any) -> bool:
            file = state.save(Path(folder) / "state", run.state_dict())
            kept.append((carried(run), file.read_bytes()))
            return True

        training(method, flops=False).run(after_step)
    return kept


def without_auxiliaries_it_is_the_single_task_training(method: str) -> None:
    """Trained on the primary alone, the deployed network is bit-identical to that of `single`."""
    alone = training("+".join(map(_alone, method.split("+"))), auxiliaries=(), flops=False)
    architecture = alone.learner.architecture
    if len(architecture.tasks) > 1:
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
    """The part without numbers for absent tasks."""
    choice, maker = Choice.parse(part), maker_of(part)
    if per_task(maker) is None:
        return part
    known = options_of(maker)
    return str(Choice(choice.name, {k: v for k, v in choice.options.items() if k in known}))


def passes_are_reported(part: str) -> None:
    """The network is not called more often than the meter reports passes."""
    run = training(part, flops=False, steps=STEPS)
    calls = _calls(run, STEPS)
    found = run.meter.summary()
    reported = found["forward"] + found["jvp"]
    demand(
        calls <= reported,
        f"in {STEPS} steps the network is called {calls} times, and {reported} passes are "
        "reported; compute losses with the objective, or report passes to its meter.",
    )


def _calls(run: Training, steps: int) -> int:
    """The number of calls of the architecture in some steps, counted without the meter."""
    calls = 0

    def enter(*_: object) -> None:
        nonlocal calls
        calls += 1

    handle = run.learner.architecture.register_forward_pre_hook(enter)
    for step in range(steps):
        run.iterate(run.learner.stages[-1], step)
    handle.remove()
    return calls
