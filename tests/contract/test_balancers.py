"""The contract of every registered balancer."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import Parameter

from auxbench.balancer import Balancer
from auxbench.gradients import Gradients, Passes, Signals
from auxbench.registry import METHODS
from tests.contract._parts import BALANCERS

FAMILIES = {
    "random": lambda rows: rows,
    "tiny": lambda rows: rows * 1e-10,
    "huge": lambda rows: rows * 1e10,
    "zero": lambda rows: rows * 0,
    "one zero row": lambda rows: torch.cat([rows[:-1], rows[-1:] * 0]),
    "parallel": lambda rows: rows[:1].expand_as(rows),
    "opposed": lambda rows: rows[:1] * torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0])[: len(rows), None],
}


def rows_of(tasks: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(tasks, 50, generator=generator, dtype=torch.float64)


def make(name: str, tasks: int) -> Balancer:
    names = ["primary", *(f"aux{i}" for i in range(1, tasks))]
    balancer = METHODS[name](names, torch.Generator().manual_seed(3))
    assert isinstance(balancer, Balancer)
    return balancer


def signals_of(rows: torch.Tensor) -> Signals:
    losses = [1.0 + 0.5 * i for i in range(len(rows))]
    return Signals.of(losses, rows, learning_rate=0.01)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("tasks", [1, 2, 5])
@pytest.mark.parametrize("name", BALANCERS)
def test_weights_are_finite_and_one_per_task(name: str, tasks: int, family: str) -> None:
    balancer = make(name, tasks)
    for seed in range(7):
        weights = balancer.weights(signals_of(FAMILIES[family](rows_of(tasks, seed))))
        assert weights.shape == (tasks,)
        assert weights.dtype == torch.float64
        assert not weights.requires_grad
        assert weights.isfinite().all(), weights


@pytest.mark.parametrize("name", BALANCERS)
def test_without_auxiliaries_nothing_changes(name: str) -> None:
    balancer = make(name, 1)
    for seed in range(7):
        assert balancer.weights(signals_of(rows_of(1, seed))).tolist() == pytest.approx([1.0])


@pytest.mark.parametrize("name", BALANCERS)
def test_random_draws_come_from_the_own_stream(name: str) -> None:
    before = torch.get_rng_state()
    make(name, 3).weights(signals_of(rows_of(3)))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", BALANCERS)
def test_state_round_trip_gives_the_same_next_weights(name: str) -> None:
    first, second = make(name, 3), make(name, 3)
    for seed in range(4):
        first.weights(signals_of(rows_of(3, seed)))
    second.load_state_dict(first.state_dict())
    for seed in range(4, 9):
        signals = signals_of(rows_of(3, seed))
        assert torch.equal(first.weights(signals), second.weights(signals))


@pytest.mark.parametrize("name", [n for n in BALANCERS if METHODS[n].permutes])
def test_permuted_auxiliaries_get_permuted_weights(name: str) -> None:
    order = torch.tensor([0, 3, 1, 2])
    one, other = make(name, 4), make(name, 4)
    for seed in range(8):
        rows, losses = rows_of(4, seed), torch.tensor([1.0, 2.0, 3.0, 4.0])
        plain = one.weights(Signals.of(losses.tolist(), rows, 0.01))
        permuted = other.weights(Signals.of(losses[order].tolist(), rows[order], 0.01))
        torch.testing.assert_close(permuted, plain[order])


@pytest.mark.parametrize("tasks", [2, 3])
@pytest.mark.parametrize("name", BALANCERS)
def test_passes_are_those_declared(name: str, tasks: int) -> None:
    balancer = make(name, tasks)
    trunk = Parameter(torch.ones(3, 3))
    heads = [Parameter(torch.full((3, 1), 1.0 + i)) for i in range(tasks)]
    features = torch.eye(3) @ trunk
    losses = [(features @ head).square().mean() for head in heads]
    gradients = Gradients(losses, [trunk, *heads])
    shared = weights = balancer.weights(gradients.signals)
    private = weights if balancer.scales_private else torch.ones_like(weights)
    if balancer.edits:
        gradients.edit(weights, gradients.signals.scaled(weights), balancer.edit)
        shared = torch.ones_like(weights)
    gradients.write(shared, private)
    full = tasks if balancer.reads & {"gramian", "rows"} else 1
    partial = tasks if "norms" in balancer.reads else 0
    assert gradients.passes == Passes(full, partial)


def direction(balancer: Balancer, rows: torch.Tensor, step: int) -> torch.Tensor:
    """The combined gradient on shared parameters, while the losses fall at different paces."""
    losses = [(1.0 + i) * 0.99 ** (i * step) for i in range(len(rows))]
    weighed = rows * balancer.weights(Signals.of(losses, rows, 0.01))[:, None]
    edited = balancer.edit([(row,) for row in weighed])
    return torch.stack([row[0] for row in edited if row[0] is not None]).sum(dim=0)


def test_no_two_balancers_are_the_same_rule() -> None:
    """On conflicting gradients; `static` without options is the plain sum."""
    traces: dict[str, Any] = {}
    for name in BALANCERS:
        balancer = make(name, 3)
        if name == "static":
            balancer = METHODS[name](["primary", "aux1", "aux2"], torch.Generator(), aux1=0.5)
        rows = FAMILIES["opposed"](rows_of(3)) + 0.1 * rows_of(3, 1)
        traces[name] = [direction(balancer, rows, step).tolist() for step in range(80)]
    names = list(traces)
    twins = [(a, b) for a in names for b in names if a < b and traces[a] == traces[b]]
    assert not twins
