"""Gradients: rows, sharing, the Gramian, what is written, and what it costs."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import Parameter

from auxbench.training.gradients import Gradients, Passes
from auxbench.training.jvp import jvp
from auxbench.training.signals import Row, Signals


def two_heads() -> tuple[list[torch.Tensor], list[Parameter], nn.Module]:
    generator = torch.Generator().manual_seed(0)
    net = nn.ModuleDict(
        {"trunk": nn.Linear(4, 3), "a": nn.Linear(3, 1), "b": nn.Linear(3, 1)}
    ).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    features = net["trunk"](torch.randn(5, 4, generator=generator, dtype=torch.float64)).tanh()
    losses = [net[name](features).square().mean() for name in "ab"]
    return losses, list(net.parameters()), net


def test_shared_parameters_are_those_that_two_losses_reach() -> None:
    losses, parameters, _ = two_heads()
    assert Gradients(losses, parameters).shared == (True, True, False, False, False, False)


def test_gramian_is_of_the_shared_parameters_only() -> None:
    losses, parameters, net = two_heads()
    trunk = list(net["trunk"].parameters())
    rows = [
        torch.cat([g.flatten() for g in torch.autograd.grad(loss, trunk, retain_graph=True)])
        for loss in losses
    ]
    expected = torch.stack(rows) @ torch.stack(rows).T
    torch.testing.assert_close(Gradients(losses, parameters).signals.gramian, expected)


@pytest.mark.parametrize("read", [False, True], ids=["one backward", "rows"])
def test_written_gradients_are_those_of_the_weighted_sum(read: bool) -> None:
    weights = torch.tensor([0.3, 2.0], dtype=torch.float64)
    losses, parameters, _ = two_heads()
    total = losses[0] * 0.3 + losses[1] * 2.0
    expected = torch.autograd.grad(total, parameters, retain_graph=True)
    gradients = Gradients(losses, parameters)
    if read:
        assert gradients.signals.gramian.shape == (2, 2)
    gradients.write(weights, weights)
    for parameter, gradient in zip(parameters, expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
    assert gradients.passes == Passes(2 if read else 1, 0)


def test_private_parameters_follow_their_own_weights() -> None:
    losses, parameters, net = two_heads()
    own = torch.autograd.grad(losses[1], list(net["b"].parameters()), retain_graph=True)
    Gradients(losses, parameters).write(torch.tensor([1.0, 0.0]), torch.ones(2))
    for parameter, gradient in zip(net["b"].parameters(), own, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_norms_are_taken_on_the_last_shared_layer_without_passing_the_trunk() -> None:
    generator = torch.Generator().manual_seed(0)
    early, late = (Parameter(torch.randn(3, 3, generator=generator)) for _ in range(2))
    heads = [Parameter(torch.randn(3, 1, generator=generator)) for _ in range(2)]
    features = (torch.ones(1, 3) @ early).tanh() @ late
    losses = [(features.tanh() @ head).square().sum() for head in heads]
    expected = [
        torch.autograd.grad(loss, late, retain_graph=True)[0].norm().double() for loss in losses
    ]
    # The order of the parameters must not matter: what comes last is seen on the graph.
    gradients = Gradients(losses, [late, early, *heads])
    torch.testing.assert_close(gradients.signals.norms, torch.stack(expected))
    assert gradients.passes == Passes(0, 2)


def test_scaled_signals_are_those_of_the_scaled_losses() -> None:
    rows = torch.tensor([[2.0, 0.0], [-1.0, 1.0]], dtype=torch.float64)
    weights = torch.tensor([0.5, 3.0], dtype=torch.float64)
    scaled = Signals.of([1.0, 2.0], rows).scaled(weights)
    direct = Signals.of([0.5, 6.0], rows * weights[:, None])
    torch.testing.assert_close(scaled.gramian, direct.gramian)
    torch.testing.assert_close(scaled.losses, direct.losses)
    torch.testing.assert_close(scaled.norms, direct.norms)


def test_one_tensor_for_two_parameters_is_not_weighed_twice() -> None:
    a, b = Parameter(torch.ones(2)), Parameter(torch.ones(2))
    losses = [(a + b).sum(), (2 * (a + b)).sum()]
    gradients = Gradients(losses, [a, b])
    assert gradients.shared == (True, True)
    gradients.write(torch.tensor([3.0, 1.0]), torch.tensor([1.0, 1.0]))
    assert a.grad is not None
    assert a.grad.tolist() == [5.0, 5.0]
    torch.testing.assert_close(a.grad, b.grad)


def five_heads() -> tuple[list[torch.Tensor], list[Parameter], Callable[..., torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    trunk = Parameter(torch.randn(4, 3, generator=generator, dtype=torch.float64))
    heads = [Parameter(torch.randn(3, 1, generator=generator).double()) for _ in range(5)]
    inputs = torch.randn(6, 4, generator=generator, dtype=torch.float64)

    def losses(trunk: torch.Tensor) -> list[torch.Tensor]:
        return [(inputs @ trunk).tanh().matmul(head).square().mean() for head in heads]

    def slopes(row: Row) -> torch.Tensor:
        assert all(part is None for part in row[1:])  # private ones are no matter of agreement
        _, rises = jvp(lambda p: losses(p["trunk"]), {"trunk": trunk}, {"trunk": row[0]})
        return torch.stack(rises)

    return losses(trunk), [trunk, *heads], slopes


def test_inner_by_one_product_is_row_0_of_the_gramian() -> None:
    losses, parameters, slopes = five_heads()
    expected = Gradients(losses, parameters).signals.gramian[0]
    losses, parameters, slopes = five_heads()
    gradients = Gradients(losses, parameters, jvp=slopes)
    torch.testing.assert_close(gradients.signals.inner, expected)
    assert gradients.passes == Passes(1, 0, 1)
    gradients.write(torch.ones(5), torch.ones(5))
    assert gradients.passes == Passes(2, 0, 1)


def test_only_tasks_whose_two_weights_differ_cost_a_partial_pass() -> None:
    shared = torch.tensor([2.0, 1.0, 1.0, 0.0, 1.0], dtype=torch.float64)
    ones = torch.ones(5, dtype=torch.float64)
    losses, parameters, _ = five_heads()
    gradients = Gradients(losses, parameters)
    gradients.write(shared, ones)
    assert gradients.passes == Passes(1, 2, 0)
    losses, expected, _ = five_heads()
    known = Gradients(losses, expected)
    assert known.rows
    known.write(shared, ones)
    assert known.passes == Passes(5, 0, 0)
    for one, other in zip(parameters, expected, strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_inner_is_scaled_as_the_gramian_is() -> None:
    losses, parameters, slopes = five_heads()
    weights = torch.tensor([2.0, 0.5, 1.0, 3.0, 0.0], dtype=torch.float64)
    expected = Gradients(losses, parameters).signals.scaled(weights).gramian[0]
    losses, parameters, slopes = five_heads()
    signals = Gradients(losses, parameters, jvp=slopes).signals.scaled(weights)
    torch.testing.assert_close(signals.inner, expected)


@pytest.mark.parametrize("chunks", [2, 3, 100])
def test_a_gramian_in_chunks_is_the_same_and_keeps_no_rows(chunks: int) -> None:
    losses, parameters, _ = two_heads()
    expected = Gradients(losses, parameters).signals.gramian
    losses, parameters, _ = two_heads()
    gradients = Gradients(losses, parameters, chunks=chunks)
    torch.testing.assert_close(gradients.signals.gramian, expected)
    assert gradients.passes == Passes(2 * 2, 0)  # two shared parameters: two chunks of one
    assert "rows" not in gradients.__dict__
    weights, ones = torch.tensor([0.3, 2.0]).double(), torch.ones(2).double()
    gradients.write(weights, ones)
    found = [p.grad.clone() for p in parameters if p.grad is not None]
    losses, parameters, _ = two_heads()
    whole = Gradients(losses, parameters)
    assert whole.rows
    whole.write(weights, ones)
    for one, other in zip(found, [p.grad for p in parameters], strict=True):
        torch.testing.assert_close(one, other)
    assert gradients.passes == Passes(5, 2)


def linked(tasks: int) -> tuple[list[torch.Tensor], list[Parameter]]:
    """Branches of which every loss reaches all, as with links in both directions."""
    generator = torch.Generator().manual_seed(2)
    branches, heads = (
        [Parameter(torch.randn(*shape, generator=generator).double()) for _ in range(tasks)]
        for shape in ((4, 3), (3, 1))
    )
    inputs = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    mixed = torch.stack([(inputs @ branch).tanh() for branch in branches]).sum(0)
    return [(mixed @ head).square().mean() for head in heads], [*branches, *heads]


@pytest.mark.parametrize("tasks", [2, 3, 5])
def test_rows_leave_out_what_one_more_pass_gives_for_less(tasks: int) -> None:
    weights = torch.linspace(0.0, 2.0, tasks).double()
    own = torch.full((tasks,), 0.5).double()
    losses, expected = linked(tasks)
    gradients = [torch.autograd.grad(loss, expected[:tasks], retain_graph=True) for loss in losses]
    losses, parameters = linked(tasks)
    found = Gradients(losses, parameters, balanced={id(parameters[0])})
    torch.testing.assert_close(found.gramian[0, 1], (gradients[0][0] * gradients[1][0]).sum())
    assert len(found.norms) == tasks
    found.write(weights, own)
    for place, parameter in enumerate(parameters[:tasks]):
        factors = weights if place == 0 else own
        total = sum(f * row[place] for f, row in zip(factors, gradients, strict=True))
        torch.testing.assert_close(parameter.grad, total)
    assert all(parameter.grad is not None for parameter in parameters[tasks:])
    left_out = [tasks > 2 and 0 < place < tasks for place in range(2 * tasks)]
    assert list(found.summed) == left_out
    assert [gradient is None for gradient in found.rows[0][1:tasks]] == left_out[1:tasks]
    assert found.passes.full == tasks


def test_no_circle_keeps_the_rows_of_a_step_alive() -> None:
    losses, parameters, _ = two_heads()
    gradients = Gradients(losses, parameters)
    signals = gradients.signals
    assert signals.gramian.shape == (2, 2)
    row = weakref.ref(gradients.rows[0][0])
    gc.disable()
    try:
        del gradients, signals
        assert row() is None
    finally:
        gc.enable()
