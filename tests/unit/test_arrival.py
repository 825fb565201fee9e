"""Losses on their way to the CPU: when they are looked at."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from auxbench.contract.dry_run import training
from auxbench.errors import Diverged
from auxbench.training import gradients
from auxbench.training.arrival import Arrival, Watch
from auxbench.training.gradients import Gradients


class Late(Arrival):
    """Values that a GPU has yet to compute."""

    def __init__(self, values: Tensor) -> None:
        super().__init__(values)
        self.waits = True

    @property
    def late(self) -> bool:
        return self.waits

    def read(self) -> Tensor:
        self.waits = False
        return super().read()


def seen(*steps: Arrival) -> list[list[tuple[int, float]]]:
    """The losses that are refused at each step."""
    refused: list[list[tuple[int, float]]] = []
    watch = Watch(lambda task, loss, progress: refused[-1].append((task, progress)))
    for number, step in enumerate(steps):
        refused.append([])
        watch.see(step, float(number))
    refused.append([])
    watch.rest()
    return refused


GOOD, BAD = torch.tensor([1.0, 2.0]), torch.tensor([1.0, math.inf])


def test_losses_that_are_there_are_looked_at_at_once() -> None:
    assert seen(Arrival(GOOD), Arrival(BAD), Arrival(GOOD)) == [[], [(1, 1.0)], [], []]


def test_late_losses_are_looked_at_one_step_later() -> None:
    assert seen(Late(GOOD), Late(BAD), Late(GOOD)) == [[], [], [(1, 1.0)], []]
    assert seen(Late(GOOD), Late(BAD)) == [[], [], [(1, 1.0)]]


def test_late_losses_that_a_balancer_has_read_are_looked_at_at_once() -> None:
    read = Late(BAD)
    read.read()
    assert seen(read) == [[(1, 0.0)], []]


@pytest.mark.parametrize(("method", "reads"), [("hps", False), ("hps+uw", True)])
def test_a_step_reads_losses_only_if_a_balancer_does(
    method: str, reads: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Late] = []

    def late(values: Tensor) -> Late:
        made.append(Late(values))
        return made[-1]

    monkeypatch.setattr(gradients, "Arrival", late)
    run = training(method, flops=False)
    stage = run.learner.stages[-1]
    for step in range(2):
        run.iterate(stage, step)
    first, second = made
    assert not first.late  # looked at during the second step
    assert second.late is not reads
    run.learner.state_dict()  # a checkpoint holds no step that has not been looked at
    assert not second.late


def test_a_late_loss_that_is_not_finite_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradients, "Arrival", Late)
    run = training("hps", flops=False)
    stage = run.learner.stages[-1]
    with torch.no_grad():
        for parameter in run.learner.architecture.parameters():
            parameter.fill_(math.nan)
    run.iterate(stage, 0)
    with pytest.raises(Diverged, match="became nan at 0% of the stage"):
        run.iterate(stage, 1)


def test_a_late_loss_of_the_last_step_ends_the_run_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradients, "Arrival", Late)
    run = training("hps", flops=False)
    with torch.no_grad():
        for parameter in run.learner.architecture.parameters():
            parameter.fill_(math.nan)
    scalars = run.iterate(run.learner.stages[-1], 0)
    with pytest.raises(Diverged, match="became nan"):
        run.validate(0, scalars)


def test_the_values_are_those_of_the_losses() -> None:
    parameter = torch.nn.Parameter(torch.ones(1))
    losses = [(2 * parameter).sum(), (3 * parameter).sum()]
    values = Gradients(losses, [parameter]).signals.losses
    assert values.tolist() == [2.0, 3.0] and values.dtype == torch.float64
    assert not values.requires_grad
