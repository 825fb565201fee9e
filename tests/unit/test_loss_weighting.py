"""Loss weighting by loss values: numbers worked out by hand, and what must hold of every rule."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from auxbench.spec.registry import METHODS
from auxbench.training.balancer import Balancer
from auxbench.training.signals import Signals
from tests.contract._parts import training, weights_of

RULES = ["logsum", "uw", "dwa", "rlw", "famo", "gls", "imtll", "stch"]
EYE = torch.eye(2)


def make(name: str, tasks: int = 2, **options: Any) -> Any:
    names = ["primary", *(f"aux{i}" for i in range(1, tasks))]
    return METHODS[name](names, torch.Generator().manual_seed(0), **options)


def weigh(balancer: Balancer, *losses: float) -> list[float]:
    result: list[float] = balancer.weights(Signals.of(losses, torch.eye(len(losses)))).tolist()
    return result


@pytest.mark.parametrize(
    ("name", "options", "losses", "expected"),
    [
        ("logsum", {}, (2.0, 5.0), (0.5, 0.2)),
        ("uw", {}, (1.0, 2.0), (0.5, 0.5)),
        ("imtll", {}, (1.0, 2.0), (1.0, 1.0)),
        ("gls", {}, (1.0, 4.0), (1.0, 0.25)),
        ("gls", {}, (1.0, 8.0, 27.0), (2.0, 0.25, 2 / 27)),
        ("famo", {}, (1.0, 2.0), (2 / 3, 1 / 3)),
        ("stch", {"mu": 1.0, "warmup": 0}, (1.0, 2.0), (2 / 3, 2 / 3)),
        ("stch", {"mu": 0.1, "warmup": 0}, (1.0, 2.0), (0.00195122, 0.99902439)),
    ],
)
def test_first_weights(
    name: str, options: dict[str, Any], losses: tuple[float, ...], expected: tuple[float, ...]
) -> None:
    found = weigh(make(name, len(losses), **options), *losses)
    assert found == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize(("name", "gradient"), [("uw", (0.0, -0.5)), ("imtll", (0.0, 1.0))])
def test_learned_numbers_descend_on_the_published_objective(
    name: str, gradient: tuple[float, float]
) -> None:
    balancer = make(name)
    weigh(balancer, 1.0, 2.0)
    assert balancer.current.grad.tolist() == pytest.approx(gradient)


@pytest.mark.parametrize(("name", "size"), [("uw", 0.5), ("imtll", 1.0)])
def test_learned_weights_bring_the_losses_to_one_size(name: str, size: float) -> None:
    balancer = make(name, rate=0.05)
    for _ in range(1500):
        weights = weigh(balancer, 0.2, 5.0)
    assert [0.2 * weights[0], 5.0 * weights[1]] == pytest.approx([size, size], rel=1e-3)


@pytest.mark.parametrize("name", ["uw", "imtll"])
def test_the_learned_numbers_have_a_rate_of_their_own(name: str) -> None:
    balancer = make(name, rate=0.5)
    weigh(balancer, 1.0, 2.0)
    assert balancer.current.abs().tolist() == pytest.approx([0.0, 0.5])


@pytest.mark.parametrize("name", ["gls", "stch"])
def test_weights_are_the_derivatives_of_the_published_objective(name: str) -> None:
    losses = torch.tensor([0.7, 2.0, 3.5], dtype=torch.float64, requires_grad=True)
    if name == "gls":
        balancer, total = make("gls", 3), losses.prod() ** (1 / 3)
    else:
        balancer = make("stch", 3, mu=0.5, warmup=0)
        total = 3 * 0.5 * torch.logsumexp(losses.log() / 0.5, dim=0)
    total.backward()
    assert losses.grad is not None
    assert weigh(balancer, *losses.tolist()) == pytest.approx(losses.grad.tolist())


def test_dwa_follows_the_means_of_the_last_two_windows() -> None:
    balancer = make("dwa", window=2)
    # Means of the windows: (2, 1), then (1, 1), so that the paces are 1/2 and 1.
    for losses in ((3, 0.5), (1, 1.5), (1.5, 0.25), (0.5, 1.75)):
        assert weigh(balancer, *losses) == [1.0, 1.0]
    for _ in range(2):
        assert weigh(balancer, 2.0, 2.0) == pytest.approx([0.87564700, 1.12435300], abs=1e-8)
    assert weigh(balancer, 2.0, 2.0) == pytest.approx([1.0, 1.0])  # both losses doubled


def test_a_lower_temperature_tells_paces_apart_more() -> None:
    spreads = []
    for tau in (2.0, 0.5):
        balancer = make("dwa", window=1, tau=tau)
        for losses in ((2, 1), (1, 1), (1, 1)):
            weights = weigh(balancer, *losses)
        spreads.append(weights[1] - weights[0])
    assert spreads[1] > 2 * spreads[0]


def test_random_weights_have_the_mean_of_equal_weighting() -> None:
    balancer = make("rlw", 3)
    draws = torch.tensor([weigh(balancer, 1.0, 2.0, 3.0) for _ in range(2000)])
    torch.testing.assert_close(draws.sum(dim=1), torch.full((2000,), 3.0))
    assert draws.mean(dim=0).tolist() == pytest.approx([1.0] * 3, abs=0.06)
    assert draws.std() > 0.5


def test_stch_warms_up_on_logarithms_and_takes_the_nadir_from_the_last_quarter() -> None:
    balancer = make("stch", mu=1.0, warmup=8)
    for step in range(8):
        losses = (100.0, 100.0) if step < 6 else (2.0 + step - 6, 10.0)
        assert weigh(balancer, *losses) == pytest.approx([1 / loss for loss in losses])
    assert balancer.nadir.tolist() == pytest.approx([2.5, 10.0])
    ratio = weigh(balancer, 3.0, 4.0)
    assert ratio[0] / ratio[1] == pytest.approx(10.0 / 2.5)


def test_a_small_mu_lets_the_worst_loss_decide() -> None:
    balancer = make("stch", 3, mu=0.01, warmup=0)
    assert weigh(balancer, 1.0, 2.0, 1.5) == pytest.approx([0.0, 1.5, 0.0], abs=1e-6)


def test_famo_moves_its_logits_towards_the_slower_task() -> None:
    balancer = make("famo")
    weigh(balancer, 1.0, 2.0)
    gradient = balancer.gradient(torch.tensor([0.5, 1.8], dtype=torch.float64))
    assert gradient.tolist() == pytest.approx([0.14694666, -0.14694666], abs=1e-7)
    balancer.learn(gradient)
    assert balancer.current.tolist() == pytest.approx([-0.025, 0.025], abs=1e-8)


def test_famo_compares_losses_as_the_balancers_before_it_have_scaled_them() -> None:
    scale, after = torch.tensor([1.0, 0.1], dtype=torch.float64), torch.tensor([0.5, 1.8])
    balancer = make("famo")
    balancer.weights(Signals.of([1.0, 2.0], EYE).scaled(scale))
    expected = [0.14694666, -0.14694666]
    assert balancer.gradient(after.double()).tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", ["famo", "gls"])
def test_a_batch_without_labels_for_a_task_leaves_the_others_their_weight(name: str) -> None:
    three, two = weigh(make(name, 3), 1.0, 0.0, 3.0), weigh(make(name), 1.0, 3.0)
    assert three == pytest.approx([two[0], 0.0, two[1]])


def test_batches_without_labels_do_not_count_for_means_of_losses() -> None:
    stch = make("stch", warmup=8)
    for losses in [(9.0, 9.0)] * 6 + [(4.0, 0.0), (2.0, 5.0)]:
        weigh(stch, *losses)
    assert stch.nadir.tolist() == [3.0, 5.0]
    dwa = make("dwa", window=2)
    for losses in [(2.0, 0.0), (2.0, 4.0), (1.0, 2.0), (1.0, 0.0), (1.0, 0.0), (1.0, 0.0)]:
        weigh(dwa, *losses)
    pace = torch.tensor([1.0, 1.0])  # the latest window has no labels of the second task
    assert dwa.current.tolist() == pytest.approx((2 * torch.softmax(pace / 2, 0)).tolist())
    assert dwa.latest.tolist() == [1.0, 2.0]


def test_famo_learns_nothing_of_a_task_without_labels() -> None:
    balancer = make("famo", 3)
    weigh(balancer, 1.0, 0.0, 2.0)
    slope = balancer.gradient(torch.tensor([0.5, 0.0, 1.8], dtype=torch.float64))
    assert slope[1] == 0
    assert slope[0] > 0 > slope[2]  # the slower one gains
    assert slope.sum().item() == pytest.approx(0)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize(
    "losses",
    [(0.0, 0.0), (0.0, 1.0), (5e-324, 1e308), (1e-10, 1e-10), (1e30, 1e30), (3.4e38, 0.0)],
)
def test_weights_stay_finite_whatever_the_losses(name: str, losses: tuple[float, float]) -> None:
    options = {"dwa": {"window": 1}, "stch": {"warmup": 3}}.get(name, {})
    balancer = make(name, **options)
    for _ in range(5):
        assert all(math.isfinite(w) and w >= 0 for w in weigh(balancer, *losses))
        assert all(math.isfinite(w) and w >= 0 for w in weigh(balancer, *reversed(losses)))


@pytest.mark.parametrize("name", ["uw", "imtll"])
def test_a_task_that_never_has_labels_does_not_overflow(name: str) -> None:
    balancer = make(name, rate=1.0)
    for _ in range(2000):
        weights = weigh(balancer, 1.0, 0.0)
    assert all(map(math.isfinite, weights))
    assert weights[1] < 1e12


@pytest.mark.parametrize("name", RULES)
def test_one_task_keeps_weight_1_exactly(name: str) -> None:
    balancer = make(name, 1)
    assert [weigh(balancer, loss) for loss in (0.1, 3.0, 0.0)] == [[1.0]] * 3


def test_famo_looks_at_the_descents_batch_again_after_the_step() -> None:
    run = training("hps+famo")
    descent, again = run.learner.stages[0].phases
    assert again.splits == descent.splits
    assert not again.claimed
    batches = {"train": next(run.batches["train"]["train"])}
    architecture = run.learner.architecture.train()
    run.learner.context.progress = 0.5
    descent.step(batches)
    balancer: Any = run.learner.balancers[0]
    assert balancer.current.tolist() == [0.0] * 3
    before = weights_of(architecture)
    with torch.no_grad():
        after = torch.stack(run.learner.objective(batches["train"])).double()
    expected = balancer.gradient(after)
    assert expected.abs().max() > 1e-4
    again.step(batches)
    torch.testing.assert_close(balancer.current.grad, expected)
    for name, value in architecture.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_famos_second_forward_pass_is_counted() -> None:
    run = training("hps+famo")
    run.run()
    phases = run.meter.summary()["phases"]
    assert phases["train/famo"]["forward"] == phases["train/descent"]["forward"] == 3
    assert phases["train/famo"]["backward"] == 0
    assert all(w != 0 for w in run.learner.balancers[0].current.tolist())


def test_famo_reads_the_half_that_the_descent_reads() -> None:
    run = training("auxnas+famo")
    assert run.learner.stages[0].phases[-1].splits == ("train/first",)


def test_famo_without_auxiliaries_adds_no_phase() -> None:
    assert len(training("hps+famo", auxiliaries=()).learner.stages[0].phases) == 1
