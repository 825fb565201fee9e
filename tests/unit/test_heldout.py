"""Rules that learn on held-out data: hypergradients against closed forms and differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import Parameter

from auxbench.cost.training import Meter
from auxbench.data.dataset import Batch, SampleLosses, Task
from auxbench.data.kinds import Number
from auxbench.errors import UsageError
from auxbench.methods._heldout.heldout import inverse_hessian_product, primary_gradient
from auxbench.methods._solvers import bargain
from auxbench.methods.auxinash import weights_by_powers
from auxbench.networks.heads import HEADS
from auxbench.spec.budget import BUDGETS
from auxbench.spec.registry import METHODS
from auxbench.training.architecture import Architecture
from auxbench.training.balancer import Balancer
from auxbench.training.context import Context
from auxbench.training.descent import Descent
from auxbench.training.objective import Objective
from auxbench.training.signals import Signals
from tests.contract._parts import training

STEP = 1e-5


def quadratic(centre: Sequence[float], curvature: Tensor) -> Task:
    """The loss 1/2 (x - c)' A (x - c) of a prediction x, alike for every sample."""

    class Quadratic(Number):
        def loss(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
            away = prediction - torch.tensor(centre, dtype=torch.float64)
            return 0.5 * (away @ curvature * away).sum(dim=1), torch.ones(len(prediction)).double()

    return Task(f"at {centre}", Quadratic(2))


class Point(Architecture):
    """A network whose prediction is its only parameter, whatever the input."""

    def __init__(self, tasks: Sequence[Task], start: Sequence[float]) -> None:
        super().__init__(SimpleNamespace(tasks=tuple(tasks)))  # type: ignore[arg-type]
        self.theta = Parameter(torch.tensor(start, dtype=torch.float64))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {task.name: self.theta.expand(len(images), -1) for task in self.tasks}

    def deploy(self) -> Any:
        raise NotImplementedError


def batch(tasks: Sequence[Task], size: int = 1) -> Batch:
    return Batch(torch.zeros(size, 1), {task.name: torch.zeros(size) for task in tasks})


def setting(
    method: str, tasks: Sequence[Task], place: Sequence[float], rate: float = 0.1, **options: Any
) -> tuple[Any, Any, Descent]:
    """A balancer, its phase, and the descent, on a point."""
    architecture = Point(tasks, place)
    balancer = METHODS[method]([t.name for t in tasks], torch.Generator(), **options)
    recipe = BUDGETS["demo"].with_changes(learning_rate=rate, schedule="constant", optimizer="sgd")
    objective = Objective(architecture, tasks, Meter())
    named = {"theta": architecture.theta}
    context = Context(architecture, architecture.tasks, architecture.deploy, objective, recipe)
    context.parameters, context.progress = named, 0.5
    descent = Descent(context, [balancer])
    (phase,) = balancer.before(context)
    return balancer, phase, descent


def caught(balancer: Balancer) -> list[Tensor]:
    """Record the balancer's updates instead of applying them."""
    gradients: list[Tensor] = []
    balancer.descend = gradients.extend  # type: ignore[attr-defined]
    return gradients


def differences(function: Callable[[Tensor], float], at: Tensor, size: float = STEP) -> Tensor:
    """The gradient of a function by central differences."""
    result = torch.zeros_like(at)
    for place in range(at.numel()):
        step = torch.zeros_like(at).flatten()
        step[place] = size
        step = step.view_as(at)
        result.view(-1)[place] = (function(at + step) - function(at - step)) / (2 * size)
    return result


UNIT = torch.eye(2, dtype=torch.float64)
PAIR = (quadratic((1, 0), UNIT), quadratic((0, 1), UNIT))


def test_auto_lambda_takes_the_published_trial_step() -> None:
    _, phase, _ = setting("autolambda", PAIR, (0, 0), start=1.0)
    found = phase.hypergradient(batch(PAIR), batch(PAIR))
    torch.testing.assert_close(found, torch.tensor([-0.09, 0.01], dtype=torch.float64))


def test_auto_lambda_agrees_with_central_differences() -> None:
    bent = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=torch.float64)
    tasks = (quadratic((1, 0), bent), quadratic((0, 1), UNIT), quadratic((-1, 2), 3 * bent))
    balancer, phase, descent = setting("autolambda", tasks, (0.3, -0.7), start=0.4)
    found = phase.hypergradient(batch(tasks), batch(tasks))
    theta = descent.parameters[0].detach()
    slopes = [torch.autograd.functional.jacobian(lambda x, t=t: value(t, x), theta) for t in tasks]

    def outcome(weights: Tensor) -> float:
        step = sum((w * g for w, g in zip(weights, slopes, strict=True)), start=0 * theta)
        return value(tasks[0], theta - descent.context.learning_rate * step).item()

    torch.testing.assert_close(found, differences(outcome, balancer.numbers), rtol=1e-6, atol=1e-8)


def value(task: Task, theta: Tensor) -> Tensor:
    return task.losses(theta[None], torch.zeros(1)).mean()


@pytest.mark.parametrize(("terms", "expected"), [(0, -0.1), (3, -0.2952), (200, -0.5)])
def test_auxilearn_sums_neumanns_series_with_its_last_factor(terms: int, expected: float) -> None:
    """Of two quadratics with Hessian 2 I together; -0.5 is exact, and for the primary."""
    descent = setting("auxilearn", PAIR, (0, 0))[2]
    theta = {"theta": descent.parameters[0]}
    total = value(PAIR[0], theta["theta"]) + value(PAIR[1], theta["theta"])
    vector = primary_gradient(descent.objective, batch(PAIR), theta)
    direction = inverse_hessian_product(total, theta, vector, terms, 0.1)
    rises = descent.objective.jvp(batch(PAIR), direction)
    assert [-rise.mean().item() for rise in rises] == pytest.approx([expected, 0.0])


def bent_tasks() -> tuple[tuple[Task, ...], list[Tensor], list[Tensor]]:
    curvatures = [
        torch.tensor([[2.0, 0.5], [0.5, 1.0]]).double(),
        torch.tensor([[1.0, -0.3], [-0.3, 0.5]]).double(),
        torch.tensor([[0.7, 0.1], [0.1, 2.0]]).double(),
    ]
    centres = [(1.0, 0.0), (0.0, 1.0), (-1.0, 2.0)]
    tasks = tuple(quadratic(c, a) for c, a in zip(centres, curvatures, strict=True))
    return tasks, curvatures, [torch.tensor(c).double() for c in centres]


def test_auxilearn_agrees_with_differences_of_the_trained_network() -> None:
    """With a closed form for where training ends, whatever the weights."""
    tasks, curvatures, centres = bent_tasks()
    unseen = (quadratic((0.5, 0.5), UNIT), *tasks[1:])

    def trained(weights: Tensor) -> Tensor:
        every = [1.0, *weights.tolist()]
        hessian = sum((w * a for w, a in zip(every, curvatures, strict=True)), start=0 * UNIT)
        pull = sum(
            (w * a @ c for w, a, c in zip(every, curvatures, centres, strict=True)),
            start=0 * centres[0],
        )
        return torch.linalg.solve(hessian, pull)

    weights = torch.tensor([0.6, 1.3], dtype=torch.float64)
    balancer, phase, descent = setting(
        "auxilearn", tasks, trained(weights).tolist(), terms=2000, alpha=0.1, every=1
    )
    balancer.numbers.copy_(weights)
    gradients = caught(balancer)
    vector = {"theta": trained(weights) - torch.tensor([0.5, 0.5]).double()}
    losses = descent.objective.samples(batch(tasks), phase.parameters)
    direction = inverse_hessian_product(
        balancer.total(losses), phase.parameters, vector, balancer.terms, balancer.alpha
    )
    balancer.learn(losses, descent.objective.jvp(batch(tasks), direction))
    expected = differences(lambda w: value(unseen[0], trained(w)).item(), weights)
    torch.testing.assert_close(gradients[0], expected, rtol=1e-6, atol=1e-8)


def test_the_nonlinear_combination_is_what_the_descent_follows() -> None:
    """Also where a sample lacks labels, and where samples have different numbers of them."""
    generator = torch.Generator().manual_seed(0)
    balancer = METHODS["auxilearn-nonlinear"](["a", "b"], generator)
    theta = torch.tensor([0.7, -0.2], dtype=torch.float64, requires_grad=True)
    counts = [torch.tensor([1.0, 4.0, 2.0]), torch.tensor([3.0, 0.0, 1.0])]
    losses = [
        SampleLosses((theta[task] + 1.5) ** 2 * count.double(), count.double())
        for task, count in enumerate(counts)
    ]
    followed = sum(loss.mean() for loss in balancer.weigh_samples(losses))
    (found,) = torch.autograd.grad(followed, theta, retain_graph=True)
    (expected,) = torch.autograd.grad(balancer.total(losses), theta)
    torch.testing.assert_close(found, expected)


def test_the_nonlinear_combination_learns_by_its_mixed_derivatives() -> None:
    tasks = bent_tasks()[0]
    balancer, phase, descent = setting("auxilearn-nonlinear", tasks, (0.3, -0.7))
    for parameter in balancer.learned:
        parameter.data = parameter.data.double() + 0.1
    direction = {"theta": torch.tensor([0.4, -1.1], dtype=torch.float64)}
    gradients = caught(balancer)
    losses = descent.objective.samples(batch(tasks), phase.parameters)
    detached = [SampleLosses(loss.sums.detach(), loss.counts) for loss in losses]
    balancer.learn(detached, descent.objective.jvp(batch(tasks), direction))

    def slope(place: int, values: Tensor) -> float:
        kept = balancer.learned[place].data
        balancer.learned[place].data = values
        losses = descent.objective.samples(batch(tasks), phase.parameters)
        (gradient,) = torch.autograd.grad(balancer.total(losses), [phase.parameters["theta"]])
        balancer.learned[place].data = kept
        return -(gradient @ direction["theta"]).item()

    for place, found in enumerate(gradients):
        at = balancer.learned[place].detach().clone()
        expected = differences(lambda values, place=place: slope(place, values), at)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("tasks", [2, 3, 5])
@pytest.mark.parametrize("factor", [1.0, 0.3, 780.0])
def test_bargains_by_powers_agree_with_central_differences(tasks: int, factor: float) -> None:
    generator = torch.Generator().manual_seed(tasks)
    rows = torch.randn(tasks, 20, generator=generator, dtype=torch.float64) * factor
    gramian, powers = rows @ rows.T, torch.rand(tasks, generator=generator).double() + 0.5
    powers *= tasks / powers.sum()
    own = torch.from_numpy(bargain(gramian.numpy(), powers.numpy()))
    expected = torch.stack(
        [
            differences(lambda p, i=i: float(bargain(gramian.numpy(), p.numpy())[i]), powers)
            for i in range(tasks)
        ]
    )
    torch.testing.assert_close(
        weights_by_powers(gramian, powers, own), expected, rtol=1e-5, atol=1e-8 / factor
    )
    clipped = 0.4 * own  # as by max_norm
    torch.testing.assert_close(
        weights_by_powers(gramian, powers, clipped), 0.4 * expected, rtol=1e-5, atol=1e-8 / factor
    )


@pytest.mark.parametrize("scale", [(1.0, 1.0, 1.0), (1.0, 0.1, 5.0)])
def test_auxinash_learns_by_the_chain_of_both_derivatives(scale: tuple[float, ...]) -> None:
    """With the losses as balancers before it have scaled them."""
    tasks = bent_tasks()[0]
    scales = torch.tensor(scale, dtype=torch.float64)
    balancer, phase, _ = setting("auxinash", tasks, (0.3, -0.7), every=1, terms=0, alpha=1.0)
    rows = torch.stack(
        [torch.autograd.functional.jacobian(lambda x, t=t: value(t, x), START) for t in tasks]
    )
    scaled = scales[:, None] * rows
    signals = Signals.of([1.0] * 3, rows).scaled(scales)
    weights = balancer.weights(signals)
    gradients = caught(balancer)
    phase.revise(batch(tasks), batch(tasks))
    slope = weights_by_powers(scaled @ scaled.T, torch.ones(3).double(), weights)
    torch.testing.assert_close(gradients[0], -(scaled @ rows[0]) @ slope)
    losses = [SampleLosses(torch.tensor([one]), torch.ones(1)) for one in (1.0, 2.0, 3.0)]
    total = (weights * scales) @ torch.tensor([1.0, 2.0, 3.0]).double()
    assert balancer.total(losses).item() == pytest.approx(total.item())
    assert gradients[0].abs().max() > 0


START = torch.tensor([0.3, -0.7], dtype=torch.float64)


def test_powers_stay_positive_and_keep_their_sum() -> None:
    balancer, phase, _ = setting("auxinash", bent_tasks()[0], (0.3, -0.7), every=1, rate=10.0)
    balancer.gramian.copy_(torch.eye(3) + 0.1)
    balancer.current.copy_(torch.from_numpy(bargain(balancer.gramian.numpy(), np.ones(3))))
    phase.revise(batch(phase.objective.tasks), batch(bent_tasks()[0]))
    assert balancer.numbers.min() > 0
    assert balancer.numbers.sum().item() == pytest.approx(3.0)


@pytest.mark.parametrize("backbone", ["test_resnet", "test_vit"])
def test_slopes_are_the_products_with_every_samples_gradient(backbone: str) -> None:
    run = training("hps", backbone=backbone)
    objective = run.learner.objective
    architecture = objective.network.double()
    seen = next(run.batches["train"]["train"])
    seen = Batch(seen.inputs.double(), seen.targets)
    named = dict(architecture.named_parameters())
    generator = torch.Generator().manual_seed(0)
    direction = {
        name: torch.randn(p.shape, generator=generator, dtype=torch.float64)
        for name, p in named.items()
    }
    found = objective.jvp(seen, direction)
    losses = objective.samples(seen)
    for rise, loss in zip(found, losses, strict=True):
        for sample in range(len(seen)):
            gradient = torch.autograd.grad(
                loss.sums[sample], list(named.values()), retain_graph=True, allow_unused=True
            )
            expected = sum(
                (g * direction[n]).sum()
                for n, g in zip(named, gradient, strict=True)
                if g is not None
            )
            torch.testing.assert_close(rise.sums[sample].double(), expected, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(rise.counts, loss.counts)


def test_slgrad_weighs_as_published() -> None:
    balancer = METHODS["slgrad"](["a", "b"], torch.Generator())
    rises = [torch.tensor([1.0, 0.0]), torch.tensor([-1.0, 1.0])]
    balancer.learn([SampleLosses(rise * 3, torch.full((2,), 3.0)) for rise in rises])
    assert balancer.shares.tolist() == [[0.5, 0.0], [0.0, 0.5]]
    losses = [SampleLosses(torch.tensor([4.0, 8.0]), torch.tensor([1.0, 2.0])) for _ in "ab"]
    total = sum(loss.mean() for loss in balancer.weigh_samples(losses))
    assert total.item() == pytest.approx(0.5 * 4 + 0.5 * 4)


def test_slgrad_without_agreement_moves_nothing() -> None:
    balancer = METHODS["slgrad"](["a", "b"], torch.Generator())
    balancer.learn([SampleLosses(-torch.ones(2), torch.ones(2)) for _ in "ab"])
    assert balancer.shares.tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_revisions_come_as_often_as_asked_and_held_out_data_are_drawn_then_only() -> None:
    run = training("auxilearn:every=2", steps=5)
    run.run()
    phases = run.meter.summary()["phases"]
    assert phases["train/hypergradient"]["forward"] == 2 * 2
    assert phases["train/hypergradient"]["backward"] == 2 * (2 + 2 * 3)
    assert phases["train/hypergradient"]["jvp"] == 2
    stream = run.batches["train"]["holdout"]
    drawn = stream.epoch * (stream.share // stream.size) + stream.position // stream.size
    assert drawn == 2


@pytest.mark.parametrize("method", ["autolambda", "auxilearn", "auxilearn-nonlinear", "auxinash"])
def test_what_is_learned_moves(method: str) -> None:
    run = training(f"{method}:every=1" if method != "autolambda" else method, steps=4)
    balancer = run.learner.balancers[0]
    before = [part.detach().clone() for part in balancer.learned]
    run.run()
    after = list(balancer.learned)
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert all(part.isfinite().all() for part in after)


def test_held_out_samples_are_not_trained_on() -> None:
    run = training("autolambda")
    streams = run.batches["train"]
    assert not set(streams["train"].indices) & set(streams["holdout"].indices)
    assert set(training("hps").batches["train"]["train"].indices) > set(streams["train"].indices)


@pytest.mark.parametrize("method", ["pcgrad+slgrad", "uw+auxilearn-nonlinear"])
def test_weighing_samples_comes_first(method: str) -> None:
    with pytest.raises(UsageError, match=r"weighs single samples.* first"):
        training(method)
    first, second = method.split("+")
    training(f"{second}+{first}")


def test_maxl_agrees_with_central_differences() -> None:
    run = training("maxl", steps=20)
    architecture = run.learner.architecture.double()
    phase: Any = run.learner.stages[0].phases[0]
    run.learner.context.progress = 0.5
    seen = next(run.batches["train"]["train"])
    seen = Batch(seen.inputs.double(), seen.targets)
    head = architecture.labels.head.predict.bias
    loss, order = phase.outcome(seen)
    (found,) = torch.autograd.grad(loss + 0.2 * order, [head])

    def outcome(values: Tensor) -> float:
        kept = head.data
        head.data = values
        loss, order = phase.outcome(seen)
        head.data = kept
        return (loss + 0.2 * order).item()

    some = torch.zeros_like(head)
    some[::7] = 1.0
    expected = differences(outcome, head.detach().clone(), size=0.05)  # heads are float32
    assert found.abs().max() > 0
    torch.testing.assert_close(found * some, expected * some, rtol=0.02, atol=1e-5)


def test_maxl_needs_a_primary_with_classes() -> None:
    with pytest.raises(UsageError, match="'depth' has none; name a primary with classes"):
        training("maxl", primary="depth", auxiliaries=("normals",))


@pytest.mark.parametrize(
    ("backbone", "head"),
    [("test_vit:drop_path_rate=0.5", "fpn"), *(("test_resnet", name) for name in HEADS)],
)
def test_agreement_is_the_same_by_rows_and_by_a_product_with_the_same_dropped_units(
    backbone: str, head: str
) -> None:
    """OL-AUX's gains over three steps, with five tasks; another rule in the chain asks for rows."""
    tasks = ("depth", "normals", "edges", "scene")
    gains = []
    for method in ("olaux:horizon=100", "olaux:horizon=100+alignedmtl:scale=min"):
        run = training(method, steps=1, auxiliaries=tasks, backbone=backbone, head=head)
        run.run()
        gains.append(run.learner.balancers[0].gain)
        passes = run.meter.summary()["phases"]["train/descent"]
        expected = (2, 1) if "+" not in method else (5, 0)
        assert (passes["backward"], passes["jvp"]) == expected
    torch.testing.assert_close(gains[0], gains[1], rtol=1e-4, atol=1e-7)
