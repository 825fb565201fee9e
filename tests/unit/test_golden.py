"""Rules of balancers against golden numbers, float64.

`tests/golden/gradients.json` holds, for five sets of gradients (A two conflicting, B two agreeing,
C orthogonal of unlike length, D three conflicting, E three whose hull holds zero), what each rule
gives; most are derivable by hand and were cross-checked with public implementations where these
are right.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import Parameter

from auxbench.spec.registry import METHODS
from auxbench.training.balancer import Balancer
from auxbench.training.gradients import Gradients
from auxbench.training.signals import Signals

CASES: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "golden" / "gradients.json").read_text(encoding="utf-8")
)

# golden key -> method, options, the order in which PCGrad visits
DIRECTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "sum": ("sum", {}),
    "pcgrad": ("pcgrad", {}),
    "pcgrad_order12": ("pcgrad", {}),
    "pcgrad_order21": ("pcgrad", {}),
}


def make(name: str, tasks: int, **options: Any) -> Balancer:
    names = ["primary", *(f"aux{i}" for i in range(1, tasks))]
    balancer = METHODS[name](names, torch.Generator().manual_seed(0), **options)
    assert isinstance(balancer, Balancer)
    return balancer


@pytest.fixture
def visit(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    def fix(backwards: bool) -> None:
        def order(count: int, generator: torch.Generator) -> torch.Tensor:
            return torch.arange(count).flip(0) if backwards else torch.arange(count)

        monkeypatch.setattr(torch, "randperm", order)

    return fix


@pytest.mark.parametrize(
    ("case", "key"),
    [(case, key) for case in CASES for key in DIRECTIONS if CASES[case].get(key) is not None],
)
def test_directions(case: str, key: str, visit: Callable[[bool], None]) -> None:
    visit(key.endswith("21"))
    rows = torch.tensor(CASES[case]["J"], dtype=torch.float64)
    name, options = DIRECTIONS[key]
    balancer = make(name, len(rows), **options)
    direction = balancer.weights(Signals.of([1.0] * len(rows), rows)) @ rows
    torch.testing.assert_close(direction, torch.tensor(CASES[case][key], dtype=torch.float64))


def test_pcgrad_never_projects_a_gradient_off_itself(visit: Callable[[bool], None]) -> None:
    visit(False)
    rows = torch.tensor(CASES["E"]["J"], dtype=torch.float64)
    direction = make("pcgrad", 3).weights(Signals.of([1.0] * 3, rows)) @ rows
    wrong = torch.tensor(CASES["E"]["pcgrad_order12_include_self_last"], dtype=torch.float64)
    assert not torch.allclose(direction, wrong)


def test_pcgrad_on_a_gradient_whose_square_is_lost_to_single_precision() -> None:
    shared = Parameter(torch.zeros(2))
    losses = [2 * shared[0], 1e-24 * (shared[1] - shared[0])]
    signals = Gradients(losses, [shared]).signals
    assert signals.gramian[1].tolist() == pytest.approx([-2e-24, 2e-48])
    assert make("pcgrad", 2).weights(signals).tolist() == pytest.approx([1.0, 1e24])


def test_pcgrad_visits_in_random_order() -> None:
    rows = torch.tensor(CASES["D"]["J"], dtype=torch.float64)
    balancer = make("pcgrad", 3)
    seen = {tuple(balancer.weights(Signals.of([1.0] * 3, rows)).tolist()) for _ in range(30)}
    assert len(seen) > 2


def test_gradnorm() -> None:
    """Case A, losses (1, 2), first losses 1, weights 1, alpha 1.5.

    The targets are (0.92923123, 2.62826283), below and above the norms (2, sqrt 2), so the
    derivative is (2, -sqrt 2).
    """
    rows = torch.tensor(CASES["A"]["J"], dtype=torch.float64)
    balancer: Any = make("gradnorm", 2)
    balancer.initial = torch.ones(2, dtype=torch.float64)
    signals = Signals.of([1.0, 2.0], rows)
    targets = torch.tensor([0.92923123, 2.62826283], dtype=torch.float64)
    torch.testing.assert_close(balancer.targets(signals), targets, rtol=0, atol=1e-8)
    derivative = torch.tensor([2.0, -(2**0.5)], dtype=torch.float64)
    torch.testing.assert_close(balancer.gradient(signals), derivative)


def test_gradnorm_waits_for_the_first_labels_of_a_task() -> None:
    rows = torch.tensor(CASES["A"]["J"], dtype=torch.float64)
    whole, late = make("gradnorm", 2), make("gradnorm", 2)
    unlabelled = Signals.of([1.0, 0.0], rows * torch.tensor([[1.0], [0.0]]))
    assert late.weights(unlabelled).tolist() == [1.0, 1.0]
    for losses in [(1.0, 1.5)] * 60:
        ends = [b.weights(Signals.of(losses, rows)) for b in (whole, late)]
    torch.testing.assert_close(ends[0], ends[1], rtol=0.05, atol=0)


def test_gradnorm_weights_sum_to_the_number_of_tasks_and_stay_positive() -> None:
    rows = torch.tensor([[100.0, 0.0], [0.0, 1e-3], [0.0, 0.0]], dtype=torch.float64)
    balancer = make("gradnorm", 3, rate=0.5)
    for _ in range(50):
        weights = balancer.weights(Signals.of([1.0, 1.0, 0.0], rows))
        assert weights.min() > 0
        assert weights.sum().item() == pytest.approx(3)
    assert weights[0] < weights[1]


def test_olaux() -> None:
    """Case A with eta 0.1, beta 1 and a horizon of 1: the auxiliary's weight moves by -0.2."""
    rows = torch.tensor(CASES["A"]["J"], dtype=torch.float64)
    balancer = make("olaux", 2, beta=1.0, horizon=1)
    signals = Signals.of([1.0, 1.0], rows, learning_rate=0.1)
    assert balancer.weights(signals).tolist() == [1.0, 1.0]
    assert balancer.weights(signals).tolist() == pytest.approx([1.0, 0.8])


def test_olaux_accumulates_over_its_horizon_and_stays_at_zero_or_above() -> None:
    rows = torch.tensor(CASES["A"]["J"], dtype=torch.float64)
    balancer = make("olaux", 2, beta=1.0, horizon=3)
    signals = Signals.of([1.0, 1.0], rows, learning_rate=0.1)
    auxiliary = [balancer.weights(signals)[1].item() for _ in range(10)]
    assert auxiliary == pytest.approx([1.0] * 3 + [0.4] * 3 + [0.0] * 4)


def test_static_weighs_the_named_tasks() -> None:
    balancer = make("static", 3, aux2=0.25)
    assert balancer.weights(Signals.of([1.0] * 3, torch.eye(3))).tolist() == [1.0, 1.0, 0.25]
