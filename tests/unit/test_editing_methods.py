"""Rules that rewrite gradients coordinate by coordinate or tensor by tensor."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import Parameter

from auxbench.spec.registry import METHODS
from auxbench.training.balancer import Balancer
from auxbench.training.gradients import Gradients
from auxbench.training.signals import Row
from tests.contract._parts import training

CASES: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "golden" / "gradients.json").read_text(encoding="utf-8")
)
EDITORS = [n for n in METHODS.names() if "edit" in getattr(METHODS[n], "overrides", ())]


def make(name: str, tasks: int, **options: Any) -> Balancer:
    names = ["primary", *(f"aux{i}" for i in range(1, tasks))]
    balancer = METHODS[name](names, torch.Generator().manual_seed(0), **options)
    assert isinstance(balancer, Balancer)
    return balancer


def rows_of(case: str) -> list[Row]:
    return [(torch.tensor(row, dtype=torch.float64),) for row in CASES[case]["J"]]


def total(rows: Sequence[Row]) -> torch.Tensor:
    parts = [row[0] for row in rows if row[0] is not None]
    return torch.stack(parts).sum(dim=0)


@pytest.mark.parametrize("case", CASES)
def test_graddrop_is_the_sum_on_average(case: str) -> None:
    balancer, rows = make("graddrop", len(CASES[case]["J"])), rows_of(case)
    draws = torch.stack([total(balancer.edit(rows)) for _ in range(8_000)])
    error = draws.std(dim=0) / 8_000**0.5
    expected = torch.tensor(CASES[case]["sum"], dtype=torch.float64)
    assert ((draws.mean(dim=0) - expected).abs() <= 5 * error + 1e-9).all()


@pytest.mark.parametrize("case", CASES)
def test_graddrop_keeps_a_sign_with_its_purity(case: str) -> None:
    balancer, rows = make("graddrop", len(CASES[case]["J"])), rows_of(case)
    purity = torch.tensor(CASES[case]["graddrop_P"], dtype=torch.float64)
    draws = torch.stack([total(balancer.edit(rows)) for _ in range(4_000)])
    jacobian = torch.stack([row[0] for row in rows if row[0] is not None])
    mixed = (jacobian.max(dim=0).values > 0) & (jacobian.min(dim=0).values < 0)
    share = (draws > 0).double().mean(dim=0)
    assert ((share - purity).abs()[mixed] < 0.04).all()


def test_graddrop_draws_a_sign_for_every_coordinate() -> None:
    rows: list[Row] = [(torch.ones(1000),), (-torch.ones(1000),)]
    assert set(total(make("graddrop", 2).edit(rows)).tolist()) == {-1.0, 1.0}


@pytest.mark.parametrize("case", CASES)
def test_metabalance_golden(case: str) -> None:
    rows = rows_of(case)
    found = total(make("metabalance", len(rows)).edit(rows))
    expected = torch.tensor(CASES[case]["metabalance_r0.7_first_step_d"], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)


def test_metabalance_scales_every_tensor_by_itself() -> None:
    rows: list[Row] = [
        (torch.tensor([1.0]), torch.tensor([10.0]), None),
        (torch.tensor([2.0]), torch.tensor([2.0]), torch.tensor([5.0])),
    ]
    primary, auxiliary = make("metabalance", 2, r=1.0).edit(rows)
    assert [None if g is None else g.tolist() for g in primary] == [[1.0], [10.0], None]
    assert [g.tolist() for g in auxiliary if g is not None] == [[1.0], [10.0], [5.0]]


@pytest.mark.parametrize(
    ("beta", "expected"), [(0.0, (0.58578644, 1.41421356)), (0.9, (0.058578644, 0.141421356))]
)
def test_dbmtl_golden(beta: float, expected: tuple[float, float]) -> None:
    """Case A with losses (1, 2): by hand, and the published code's first step with its memory."""
    shared = Parameter(torch.zeros(2, dtype=torch.float64))
    jacobian = torch.tensor(CASES["A"]["J"], dtype=torch.float64)
    losses = [(jacobian[i] @ shared) + 1.0 + i for i in range(2)]
    gradients = Gradients(losses, [shared])
    balancer = make("dbmtl", 2, beta=beta)
    weights = balancer.weights(gradients.signals)
    assert weights.tolist() == [1.0, 0.5]
    gradients.edit(weights, gradients.signals.scaled(weights), balancer.edit)
    ones = torch.ones(2, dtype=torch.float64)
    gradients.write(ones, ones)
    assert shared.grad is not None
    assert shared.grad.tolist() == pytest.approx(expected, rel=1e-6)


def test_dbmtl_goes_on_wherever_the_gradients_lie() -> None:
    """A checkpoint brings the averages back to the CPU; a dtype stands for a device here."""
    rows: list[Row] = [(torch.ones(2),), (torch.zeros(2),)]
    balancer = make("dbmtl", 2)
    balancer.edit(rows)
    resumed = make("dbmtl", 2)
    resumed.load_state_dict(balancer.state_dict())
    resumed.edit([(row[0].double(),) for row in rows if row[0] is not None])
    assert resumed.means[0][0].dtype == torch.float64
    assert resumed.means[0][0].tolist() == pytest.approx([0.19, 0.19])


def test_the_weights_before_an_edit_are_recorded() -> None:
    run = training("static:depth=0.1+graddrop", auxiliaries=("depth", "scene"), steps=1)
    run.run()
    scalars = run.curve[0]["scalars"]
    found = [scalars[f"weight/{name}"] for name in ("segmentation", "depth", "scene")]
    assert found == [1.0, 0.1, 1.0]


@pytest.mark.parametrize("name", EDITORS)
@pytest.mark.parametrize("scale", [0.0, 1e-10, 1e10])
def test_edited_gradients_are_finite(name: str, scale: float) -> None:
    balancer = make(name, 3)
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        rows = [(scale * torch.randn(5, generator=generator),) for _ in range(3)]
        assert total(balancer.edit(rows)).isfinite().all()


@pytest.mark.parametrize("name", EDITORS)
def test_a_single_task_keeps_its_gradient(name: str) -> None:
    (row,) = make(name, 1).edit([(torch.tensor([1.0, -2.0]),)])
    assert row[0] is not None
    assert row[0].tolist() == [1.0, -2.0]


def test_an_edit_sees_weighed_shared_gradients_and_leaves_the_rest_alone() -> None:
    shared, own = Parameter(torch.ones(1)), Parameter(torch.ones(1))
    gradients = Gradients([(3 * shared).sum(), (shared * own).sum()], [shared, own])
    seen: list[list[float]] = []

    def double(rows: Sequence[Row]) -> Sequence[Row]:
        seen.extend([g.tolist() for g in row if g is not None] for row in rows)
        return [tuple(None if g is None else 2 * g for g in row) for row in rows]

    weights = torch.tensor([1.0, 10.0])
    signals = gradients.edit(weights, gradients.signals.scaled(weights), double)
    assert seen == [[[3.0]], [[10.0]]]
    assert signals.gramian.tolist() == [[36.0, 120.0], [120.0, 400.0]]
    assert signals.losses.tolist() == [3.0, 10.0]
    assert signals.scale.tolist() == [1.0, 10.0]
    gradients.write(torch.ones(2), torch.ones(2))
    assert shared.grad is not None
    assert own.grad is not None
    assert (shared.grad.item(), own.grad.item()) == (26.0, 1.0)
