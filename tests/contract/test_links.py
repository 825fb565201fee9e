"""Branches joined by links: what the search closes, what is balanced, and what is deployed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from auxbench.contract.dry_run import images
from auxbench.errors import UsageError
from auxbench.methods.auxnas import Schedule, Search
from auxbench.spec.budget import BUDGETS
from auxbench.training.descent import Descent
from auxbench.training.evaluate import Score
from auxbench.training.gradients import Gradients
from tests.contract._parts import BALANCERS, TASKS, training, weights_of

QM9 = ("homo", "lumo", "dipole", "polarisability", "extent", "vibration", "atomisation", "heat")


def closed(run: Any) -> bool:
    """Return whether links into the primary are closed, so that deployment changes nothing."""
    architecture = run.learner.architecture.eval()
    batch = next(run.batches["train"]["train/first"])
    before = architecture(batch.inputs)[architecture.primary.name]
    after = architecture.deploy()(batch.inputs)
    return architecture.dropped_strength() == 0 and torch.equal(before, after)


@pytest.mark.parametrize("steps", [20, 60, pytest.param(150, marks=pytest.mark.slow)])
def test_links_into_the_primary_are_closed_at_the_end_however_short_the_run(steps: int) -> None:
    run = training("auxnas", steps=steps, evaluations=1)
    run.run()
    assert closed(run)
    traces = run.curve[-1]["traces"]
    for name in TASKS[1]:
        assert len(traces[f"links/p2a/{name}"]) == len(traces[f"links/a2p/{name}"])


@pytest.mark.parametrize("count", range(1, 9))
def test_links_close_whatever_the_number_of_auxiliaries(count: int) -> None:
    run = on_vectors("auxnas", "qm9", "gap", QM9[:count])
    assert closed(run)


@pytest.mark.parametrize("scale", ["0.001", "1000"])
@pytest.mark.parametrize("tasks", [("primary",), ("primary", "helpful", "useless")])
def test_links_close_whatever_the_size_of_the_losses(scale: str, tasks: tuple[str, ...]) -> None:
    options = "".join(f":{task}={scale}" for task in tasks)
    assert closed(on_vectors(f"auxnas+static{options}", steps=60))


@pytest.mark.parametrize("balancer", BALANCERS)
def test_links_close_under_every_balancer(balancer: str) -> None:
    assert closed(on_vectors(f"auxnas+{balancer}"))


@pytest.mark.parametrize("rate", ["0.001", "0.1"])
def test_links_close_at_a_rate_of_the_users_own(rate: str) -> None:
    assert closed(on_vectors(f"auxnas:rate={rate}"))


def on_vectors(
    method: str,
    dataset: str = "toy",
    primary: str = "primary",
    auxiliaries: tuple[str, ...] = ("helpful", "useless"),
    steps: int = 20,
) -> Any:
    """A training on vectors, carried to its end."""
    run = training(
        method,
        steps=steps,
        dataset=dataset,
        primary=primary,
        auxiliaries=auxiliaries,
        backbone="mlp",
        evaluations=1,
        flops=False,
    )
    run.run()
    return run


def searching(logits: torch.nn.Parameter, schedule: Schedule) -> Search:
    """A search of the links into a primary, and of nothing else."""
    branches = SimpleNamespace(logits={"a2p/auxiliary": logits}, incoming=[logits])
    return Search(SimpleNamespace(progress=0.0), branches, schedule)  # type: ignore[arg-type]


@pytest.mark.parametrize("tier", BUDGETS)
def test_links_close_in_every_tier_against_any_pull_of_the_losses(tier: str) -> None:
    """A loss that is the smaller the more open links are, and the more so the longer it lasts."""
    steps = BUDGETS[tier].steps
    logits = torch.nn.Parameter(torch.zeros(24))
    search = searching(logits, Schedule.scaled(steps, None, 100.0))
    generator = torch.Generator().manual_seed(0)
    for step in range(steps):
        pull = 50 * (1 + 10 * step / steps) * torch.rand(24, generator=generator)
        total = 1 + (pull * (1 - torch.sigmoid(logits))).sum()
        search.context.progress = step / steps
        search.descend(total, tasks=2)
        if step == steps // 4:
            assert torch.sigmoid(logits).min() > 0.9
    assert torch.sigmoid(logits).max() < 1e-6


def test_without_a_ceiling_links_that_a_loss_needs_stay_open() -> None:
    """The published penalty cannot close them in a short run, and the record can tell."""
    run = on_vectors("auxnas-official", steps=60)
    with torch.no_grad():
        for logits in run.learner.architecture.incoming:
            logits.fill_(0.0)
    assert run.learner.architecture.dropped_strength() == 0.5
    assert not closed(run)


def test_a_state_with_open_links_is_not_selected_once_they_are_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Validation is made to prefer the first state, in which every link is still open."""
    run = training("auxnas", steps=20, evaluations=5, flops=False)
    monkeypatch.setattr(Score, "better_than", lambda self, other: other is None)
    run.run()
    strengths = [max(map(max, links(look["traces"]))) for look in run.curve]
    assert strengths[0] > 0.001
    first = next(look for look, s in zip(run.curve, strengths, strict=True) if s < 1e-6)
    assert run.selected["step"] == first["step"] < run.steps
    run.learner.architecture.load_state_dict(run.selected["state"])
    assert closed(run)


def test_of_states_that_all_have_open_links_the_best_is_selected() -> None:
    run = training("auxnas-official", steps=6, evaluations=3, flops=False)
    with torch.no_grad():
        for logits in run.learner.architecture.incoming:
            logits.fill_(0.0)
    run.run()
    assert all(max(map(max, links(look["traces"]))) > 0.001 for look in run.curve)
    values = [look["scores"][0]["value"] for look in run.curve]
    assert run.selected["step"] == run.curve[values.index(max(values))]["step"]


def links(traces: dict[str, list[float]]) -> list[list[float]]:
    """The strengths of the links into the primary, per auxiliary."""
    return [strengths for key, strengths in traces.items() if key.startswith("links/a2p/")]


def test_a_rate_of_the_users_own_is_obeyed() -> None:
    rates = [Schedule.scaled(20, rate, 1.0).rate for rate in (None, 0.01, 10.0)]
    assert rates == [4.0, 0.01, 10.0]


def test_closed_links_leave_the_graph_and_stay_closed() -> None:
    run = training("auxnas", steps=20, evaluations=1)
    architecture = run.learner.architecture
    x = images()

    def reached() -> set[str]:
        """The networks and fusions that the primary's prediction depends on."""
        named = [(name, p) for name, p in architecture.named_parameters() if "logits" not in name]
        total = architecture(x)[TASKS[0]].sum()
        found = torch.autograd.grad(total, [p for _, p in named], allow_unused=True)
        return {
            "/".join(name.split(".")[:2])
            for (name, _), gradient in zip(named, found, strict=True)
            if gradient is not None
        }

    assert {"networks/depth", "fusions/a2p/depth", "fusions/a2p/scene"} <= reached()
    run.run(lambda run: run.step < 13)
    assert reached() == {f"networks/{TASKS[0]}"}
    run.run()
    assert reached() == {f"networks/{TASKS[0]}"}


def test_gradients_are_balanced_on_the_primarys_trunk_alone() -> None:
    run = training("auxnas")
    architecture, descent = run.learner.architecture, run.learner.descent
    assert isinstance(descent, Descent)
    # The fusions start at zero, so nothing reaches another branch before they have moved.
    with torch.no_grad():
        for fusion in architecture.fusions.parameters():
            fusion.fill_(0.01)
    losses = [prediction.square().mean() for prediction in architecture(images()).values()]
    gradients = Gradients(losses, descent.parameters, balanced=descent.balanced)
    trunk = {id(p) for p in architecture.network(architecture.primary).backbone.parameters()}
    balanced = {id(p) for p, yes in zip(descent.parameters, gradients.shared, strict=True) if yes}
    assert balanced == trunk
    assert sum(Gradients(losses, descent.parameters).shared) > len(trunk)


def test_a_closed_gate_does_not_stop_the_auxiliary_branches() -> None:
    run = training("auxnas")
    architecture, descent = run.learner.architecture, run.learner.descent
    assert isinstance(descent, Descent)
    with torch.no_grad():
        for fusion in architecture.fusions.parameters():
            fusion.fill_(0.01)
    losses = [prediction.square().mean() for prediction in architecture(images()).values()]
    gradients = Gradients(losses, descent.parameters, balanced=descent.balanced)
    gate = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    gradients.write(gate, torch.ones(3, dtype=torch.float64))
    for task in architecture.tasks[1:]:
        for name, parameter in architecture.network(task).backbone.named_parameters():
            assert parameter.grad is not None, name
    own = architecture.network(architecture.tasks[1]).backbone
    every = torch.autograd.grad(
        sum(prediction.square().mean() for prediction in architecture(images()).values()),
        list(own.parameters()),
    )
    for parameter, expected in zip(own.parameters(), every, strict=True):
        torch.testing.assert_close(parameter.grad, expected)


def test_the_pace_of_a_branch_is_read_off_its_own_last_block() -> None:
    run = training("auxnas")
    architecture, descent = run.learner.architecture, run.learner.descent
    assert isinstance(descent, Descent)
    losses = [prediction.square().mean() for prediction in architecture(images()).values()]
    gradients = Gradients(losses, descent.parameters, paced=descent.paced)
    norms = gradients.signals.norms
    for place, task in enumerate(architecture.tasks):
        last = architecture.network(task).backbone.blocks[-1]
        weights = [p for p in last.parameters() if p.ndim >= 2]
        found = torch.autograd.grad(losses[place], weights, retain_graph=True)
        # Of the fusions none carries anything yet, and a common weight would give the others 0.
        assert norms[place] > 0
        assert min(abs(g.double().norm() - norms[place]) for g in found) < 1e-9


def test_gradnorm_does_not_starve_the_primary_of_linked_branches() -> None:
    weights = {}
    for sharing in ("hps", "auxnas"):
        run = training(
            f"{sharing}+gradnorm",
            steps=60,
            primary="depth",
            auxiliaries=("segmentation", "normals"),
            evaluations=1,
            flops=False,
        )
        run.run()
        weights[sharing] = run.curve[-1]["scalars"]["weight/depth"]
    assert 0.5 * weights["hps"] < weights["auxnas"] < 2 * weights["hps"]


def test_links_to_the_auxiliaries_only_leave_nothing_to_close() -> None:
    run = training("auxnas:directions=p2a", steps=4)
    architecture = run.learner.architecture
    assert set(architecture.logits) == {f"p2a/{name}" for name in TASKS[1]}
    assert architecture.dropped_strength() == 0.0
    before = weights_of(architecture.logits)
    run.run()
    for name, value in architecture.logits.state_dict().items():
        assert not torch.equal(value, before[name]), name
    assert closed(run)


def test_the_released_configuration_starts_almost_closed_and_keeps_its_rates() -> None:
    run = training("auxnas-official", steps=2)
    traces = run.learner.architecture.traces()
    assert set(traces["links/a2p/depth"]) == {0.001}
    assert set(traces["links/p2a/depth"]) == {0.5}
    descent = next(p for p in run.learner.stages[0].phases if isinstance(p, Descent))
    recipe = descent.context.recipe
    assert (recipe.optimizer, recipe.learning_rate) == ("adam", 1e-4)
    search: Any = run.learner.stages[0].phases[0]
    schedule = search.schedule
    penalties = [schedule.l1 * schedule.ramped(t) for t in (0.0, 0.5, 0.65, 0.8, 1.0)]
    assert penalties == pytest.approx([0, 0, 500, 1000, 1000])


def test_the_released_configuration_refuses_another_learning_rate() -> None:
    with pytest.raises(UsageError, match="and method 'auxnas-official' fixes it at 0"):
        training("auxnas-official", learning_rate=0.1)
    training("auxnas-official", learning_rate=1e-4, schedule="poly")


def test_the_search_computes_no_gradient_of_the_weights() -> None:
    from torch.utils._python_dispatch import TorchDispatchMode

    asked: list[bool] = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if func.name() == "aten::convolution_backward":
                asked.append(bool(args[-1][1]))
            return func(*args, **(kwargs or {}))

    run = training("auxnas")
    search, descent = run.learner.stages[0].phases
    batches = {split: next(s) for split, s in run.batches["train"].items()}
    with Watch():
        search.step(batches)
    assert asked
    assert not any(asked)
    with Watch():
        descent.step(batches)
    assert any(asked)


def test_a_search_moves_neither_weights_nor_running_statistics() -> None:
    run = training("auxnas")
    search = run.learner.stages[0].phases[0]
    run.learner.architecture.train()
    before = weights_of(run.learner.architecture)
    batches = {split: next(s) for split, s in run.batches["train"].items()}
    for _ in range(2):
        search.step(batches)
    for name, value in run.learner.architecture.state_dict().items():
        if not name.startswith("logits"):
            assert torch.equal(value, before[name]), name


def test_links_are_moved_once_the_fusions_carry_something() -> None:
    run = training("auxnas", steps=4)
    before = weights_of(run.learner.architecture.logits)
    run.run()
    for name, value in run.learner.architecture.logits.state_dict().items():
        assert not torch.equal(value, before[name]), name


def test_the_search_weighs_the_losses_as_the_descent_did() -> None:
    run = training("auxnas+static:depth=0.25:scene=4")
    run.run()
    assert run.learner.context.weights.tolist() == [1.0, 0.25, 4.0]
