"""`rescale` gives a rule's direction the length of the plain sum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from auxbench import METHODS
from auxbench.contract.dry_run import training
from auxbench.training.balancer import Balancer
from auxbench.training.signals import Signals
from tests.contract._parts import BALANCERS

RULES = [name for name in BALANCERS if getattr(METHODS[name], "family", "") == "gradient"]


@pytest.mark.parametrize("name", [*(n for n in RULES if n != "rescale"), "gcs", "metabalance"])
def test_rescaled_rules_are_as_long_as_the_plain_sum_in_their_own_direction(name: str) -> None:
    for seed in range(6):
        generator = torch.Generator().manual_seed(seed)
        rows = torch.randn(3, 20, generator=generator, dtype=torch.float64)
        own, long = (combined(name, rows, rescaled) for rescaled in (False, True))
        assert long.norm().item() == pytest.approx(rows.sum(dim=0).norm().item(), rel=1e-6)
        torch.testing.assert_close(long / long.norm(), own / own.norm(), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ["pcgrad", "nashmtl", "imtlg", "graddrop"])
@pytest.mark.parametrize("rows", ["zero", "opposed"])
def test_rescaling_divides_by_no_zero(name: str, rows: str) -> None:
    given = {
        "zero": torch.zeros(3, 4, dtype=torch.float64),
        "opposed": torch.tensor([[1.0], [-1.0], [0.0]], dtype=torch.float64),
    }[rows]
    assert combined(name, given, rescaled=True).isfinite().all()


def combined(name: str, rows: torch.Tensor, rescaled: bool) -> torch.Tensor:
    """The combined gradient of a rule, by itself or with `rescale` behind it."""
    names = [f"task{i}" for i in range(len(rows))]
    make: Callable[..., Any] = METHODS[name]
    balancer: Balancer = make(names, torch.Generator().manual_seed(3))
    signals = Signals.of([1.0] * len(rows), rows)
    weights = balancer.weights(signals)
    edited = balancer.edit([(row,) for row in rows * weights[:, None]])
    after = torch.stack([row[0] for row in edited if row[0] is not None])
    if rescaled:
        signals = Signals.of([1.0] * len(rows), after)
        signals._source.sum_length = float(rows.sum(dim=0).norm())  # type: ignore[misc]
        after = after * METHODS["rescale"](names, torch.Generator()).weights(signals)[:, None]
    return after.sum(dim=0)


def test_a_step_with_rescale_is_as_long_as_one_of_the_plain_sum() -> None:
    """On the shared parameters, also behind a rule that edits gradients."""

    def shared_length(method: str) -> float:
        run = training(method, steps=1, flops=False)
        run.run()
        return sum(
            float(p.grad.double().square().sum())
            for name, p in run.learner.architecture.named_parameters()
            if name.startswith("network.backbone") and p.grad is not None
        )

    expected = shared_length("hps")
    for method in ("nashmtl+rescale", "graddrop+rescale", "uw+pcgrad+rescale"):
        assert shared_length(method) == pytest.approx(expected, rel=1e-4)
    assert shared_length("nashmtl") != pytest.approx(expected, rel=0.1)
