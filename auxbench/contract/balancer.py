"""The contract of balancers: what holds for their weights, whatever the input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from auxbench.contract.documentation import Exempt, demand, listed, maker_of, same_global_state
from auxbench.contract.dry_run import AUXILIARIES, STEPS, TASKS, training
from auxbench.data.seeds import Seeds
from auxbench.errors import UsageError
from auxbench.spec.budget import PROTOCOL
from auxbench.spec.grammar import Choice, per_task
from auxbench.spec.method import SHARING, Method
from auxbench.spec.registry import METHODS
from auxbench.training import checkpoint as state
from auxbench.training.balancer import Balancer, observe
from auxbench.training.chain import make_balancers
from auxbench.training.signals import Signals

GRADIENTS: dict[str, Callable[[Tensor], Tensor]] = {
    "random": lambda rows: rows,
    "tiny": lambda rows: rows * 1e-10,
    "huge": lambda rows: rows * 1e10,
    "zero": lambda rows: rows * 0,
    "partly zero": lambda rows: torch.cat([rows[:-1], rows[-1:] * 0]),
    "parallel": lambda rows: rows[:1].expand_as(rows),
    "opposed": lambda rows: rows[:1] * torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0])[: len(rows), None],
}


def balancer_of(part: str, tasks: Sequence[str]) -> Balancer:
    """The balancer for some tasks, with the options in its name."""
    method = Method(Choice(SHARING), (Choice.parse(part),))
    (made,) = make_balancers(method, tasks, TASKS, Seeds("contract", 3, PROTOCOL))
    return made


def rows_of(tasks: int, seed: int = 0) -> Tensor:
    """Random gradients [T, 50]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(tasks, 50, generator=generator, dtype=torch.float64)


def signals_of(rows: Tensor) -> Signals:
    """The signals of such gradients, with losses 1, 1.5, 2, ..."""
    return Signals.of([1.0 + 0.5 * i for i in range(len(rows))], rows, learning_rate=0.01)


def weights_are_finite_and_one_per_task(part: str) -> None:
    """For 1, 2 and 5 tasks and any input, `weights` returns finite float64 [T] without a graph."""
    for tasks in (1, 2, 5):
        for kind, change in GRADIENTS.items():
            balancer = balancer_of(part, TASKS[:tasks])
            for seed in range(7):
                fault = _fault(balancer.weights(signals_of(change(rows_of(tasks, seed)))), tasks)
                demand(
                    not fault,
                    f"for T = {tasks} and {kind} gradients weights() gave {fault}; return {tasks} "
                    "finite float64 numbers as a tensor [T] without a graph.",
                )


def _fault(weights: object, tasks: int) -> str:
    """Say in words why weights are invalid; empty if they are valid."""
    if not isinstance(weights, Tensor):
        return f"a {type(weights).__name__}"
    if weights.shape != (tasks,):
        return f"the shape {list(weights.shape)}"
    if weights.dtype != torch.float64:
        return f"numbers of type {str(weights.dtype).removeprefix('torch.')}"
    if weights.requires_grad:
        return "weights with a graph"
    return "" if weights.isfinite().all() else f"{weights.tolist()}"


def one_task_keeps_weight_1(part: str) -> None:
    """Without auxiliaries nothing changes."""
    balancer = balancer_of(part, TASKS[:1])
    for seed in range(7):
        (weight,) = balancer.weights(signals_of(rows_of(1, seed))).tolist()
        demand(
            abs(weight - 1) < 1e-6,
            f"without auxiliaries, T = 1, the weight is {weight:g}; return 1, so that nothing "
            "changes.",
        )


def the_global_random_state_is_left_alone(part: str) -> None:
    """Random numbers come from `self.rng` alone."""
    with same_global_state("draw from self.rng alone"):
        balancer_of(part, TASKS[:3]).weights(signals_of(rows_of(3)))


def its_state_comes_back(part: str) -> None:
    """A fresh balancer with the state of another one gives the same next weights."""
    first, second = (balancer_of(part, TASKS[:3]) for _ in range(2))
    for seed in range(4):
        first.weights(signals_of(rows_of(3, seed)))
    second.load_state_dict(first.state_dict())
    for seed in range(4, 9):
        one, other = (b.weights(signals_of(rows_of(3, seed))) for b in (first, second))
        demand(
            torch.equal(one, other),
            f"after load_state_dict(state_dict()) the next weights are {other.tolist()}, not "
            f"{one.tolist()}; keep what lasts in buffers, in parameters or in extra(), and draw "
            "from self.rng.",
        )


def it_reads_what_it_read_on_its_first_batch(part: str) -> None:
    """On later batches no signal is read that a probe on one batch did not read.

    The probe determines what a chain costs and in which order its rules can be combined.
    """
    first = observe(balancer_of(part, TASKS[:3]))
    balancer = balancer_of(part, TASKS[:3])
    for step in range(80):
        signals = signals_of(rows_of(3, step))
        balancer.weights(signals)
        later = sorted(signals.read - first)
        demand(
            not later,
            f"on batch {step + 1} weights() reads {' and '.join(later)}, which it does not read on "
            "the first batch; read the same signals from the first batch on.",
        )


def batches_without_labels_do_no_lasting_harm(part: str) -> None:
    """After 40 batches without labels for a task, 160 complete ones restore the primary.

    The final length of the primary's gradient, after weights and edits, is compared.
    """

    def primary_after(lost: int | None) -> float:
        balancer = balancer_of(part, TASKS[:3])
        for step in range(200):
            losses, rows = [1.0, 1.5, 2.0], rows_of(3, step)
            if lost is not None and step < 40:
                losses[lost], rows[lost] = 0.0, 0.0
            weighed = rows * balancer.weights(Signals.of(losses, rows, 0.01))[:, None]
            primary = balancer.edit([(row,) for row in weighed])[0][0]
        return 0.0 if primary is None else float(primary.norm() / rows[0].norm())

    full = primary_after(None)
    for lost, task in enumerate(TASKS[:2]):
        weight = primary_after(lost)
        demand(
            full / 2 - 1e-6 <= weight <= 2 * full + 1e-6,
            f"where '{task}' has no labels on the first 40 of 200 batches, so that its loss is 0, "
            f"the weight of the primary ends at {weight:.3g} instead of {full:.3g}; keep losses of "
            "0 out of lasting state.",
        )


def it_differs_from_every_other_rule(part: str) -> None:
    """Its weights on conflicting gradients, or else its trained network, equal no other rule's."""
    name = Choice.parse(part).name
    if maker_of(name).family == "control":
        raise Exempt("it is a control, which may be the same as the rule that it stands for.")
    same = [other for other in twins(part) if maker_of(other).family != "control"]
    demand(
        not same,
        f"its weights and the network after {STEPS} steps are bit-identical to those of "
        f"{listed(same)}; use that rule, or change this one or its options.",
    )


def twins(part: str) -> list[str]:
    """The other registered rules whose weights and trained networks are bit-identical.

    A network is trained only if the weights are equal, for rules that act in other ways.
    """
    name, directions = Choice.parse(part).name, _directions(part)
    others = [other for other in rules() if other != name and _own(other) == directions]
    return [other for other in others if _trained(other) == _trained(part)]


def rules() -> list[str]:
    """The registered balancers that can be used."""
    return [name for name in usable() if issubclass(METHODS[name], Balancer)]


def usable() -> list[str]:
    """The registered methods that can be imported."""
    names = []
    for name in METHODS.names():
        try:
            METHODS[name]
        except UsageError:
            continue
        names.append(name)
    return names


@cache
def _own(name: str) -> Any:
    """The directions of a registered rule; None for one that fails."""
    try:
        return _directions(name)
    except Exception:  # its own checks report that
        return None


@cache
def _directions(part: str) -> list[list[float]]:
    """The combined gradients on shared parameters, while the losses fall at different paces."""
    balancer = balancer_of(_telling(part), TASKS[:3])
    rows = GRADIENTS["opposed"](rows_of(3)) + 0.1 * rows_of(3, 1)
    result = []
    for step in range(80):
        losses = [(1.0 + i) * 0.99 ** (i * step) for i in range(3)]
        weighed = rows * balancer.weights(Signals.of(losses, rows, 0.01))[:, None]
        edited = balancer.edit([(row,) for row in weighed])
        result.append(torch.stack([row[0] for row in edited if row[0] is not None]).sum(dim=0))
    return [direction.tolist() for direction in result]


@cache
def _trained(part: str) -> list[str]:
    """Digests of the networks that may be selected after a few steps."""
    run = training(f"{SHARING}+{_telling(part)}", flops=False)
    run.run()
    architecture = run.learner.architecture
    return [state.digest(architecture.state_dict()) for _ in run.learner.descent.candidates()]


def _telling(part: str) -> str:
    """The part, with a number per task if it takes one, since without them it is another rule."""
    choice = Choice.parse(part)
    if choice.options or per_task(METHODS[choice.name]) is None:
        return part
    return str(Choice(choice.name, dict.fromkeys(AUXILIARIES, "0.5")))
