"""`rescale` gives a rule's direction the length of the plain sum."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor
from torch.nn import Parameter

from auxbench import METHODS
from auxbench.contract.dry_run import training
from auxbench.training.balancer import Balancer
from auxbench.training.gradients import Gradients, Passes
from auxbench.training.signals import Signals
from tests.contract._parts import BALANCERS

RULES = [name for name in BALANCERS if METHODS[name].family == "gradient" and name != "rescale"]
CHAINS = [*RULES, "gcs", "metabalance", "gradnorm+pcgrad", "pcgrad+graddrop", "graddrop+mgda"]


def make(chain: str, tasks: int) -> list[Balancer]:
    names = [f"task{i}" for i in range(tasks)]
    balancers = [
        METHODS[part](names, torch.Generator().manual_seed(3)) for part in chain.split("+")
    ]
    assert all(isinstance(balancer, Balancer) for balancer in balancers)
    return balancers


def rows_of(seed: int, tasks: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(tasks, 20, generator=generator, dtype=torch.float64)


def combined(
    chain: str, rows: Tensor, losses: Sequence[float] = (), chunks: int = 1
) -> tuple[Tensor, Passes]:
    """The gradient that a chain gives two shared parameters, and the passes that it took."""
    halves = [Parameter(torch.zeros_like(half)) for half in rows[0].split(10)]
    plain = losses or [1.0] * len(rows)
    totals = [torch.cat(halves) @ row + loss for row, loss in zip(rows, plain, strict=True)]
    gradients = Gradients(totals, halves, learning_rate=0.01, chunks=chunks)
    signals, shared = gradients.signals, torch.ones(len(rows), dtype=torch.float64)
    if chain.endswith("rescale"):
        _ = signals.sum_length  # as the descent does, before an edit replaces the gradients
    for balancer in make(chain, len(rows)):
        weights = balancer.weights(signals)
        signals, shared = signals.scaled(weights), shared * weights
        if "edit" in balancer.overrides:
            signals = gradients.edit(shared, signals, balancer.edit)
            shared = torch.ones_like(shared)
    gradients.write(shared, torch.ones_like(shared))
    return torch.cat([half.grad for half in halves if half.grad is not None]), gradients.passes


@pytest.mark.parametrize("chain", CHAINS)
def test_only_the_length_changes_and_becomes_the_plain_sums(chain: str) -> None:
    for seed in range(6):
        rows, losses = rows_of(seed), [0.5, 2.0, 1.0 + seed]
        own, found = (combined(one, rows, losses)[0] for one in (chain, f"{chain}+rescale"))
        assert found.norm().item() == pytest.approx(rows.sum(dim=0).norm().item(), rel=1e-6)
        torch.testing.assert_close(found / found.norm(), own / own.norm(), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("chain", CHAINS)
def test_where_the_sum_vanishes_so_does_the_combined_gradient(chain: str) -> None:
    rows = rows_of(0)
    rows[2] = -rows[0] - rows[1]
    assert combined(f"{chain}+rescale", rows)[0].norm() < 1e-6 * rows.norm()


@pytest.mark.parametrize("chain", ["mgda", "upgrad", "nashmtl", "fairgrad"])
def test_no_direction_is_made_out_of_rounding_errors(chain: str) -> None:
    """A convex combination of the gradients vanishes, their sum does not."""
    rows = rows_of(0)
    rows[2] = -rows[0] - 2 * rows[1]
    assert combined(f"{chain}+rescale", rows)[0].norm() < 1e-6 * rows.norm()


@pytest.mark.parametrize("chain", CHAINS)
def test_a_task_that_alone_has_a_gradient_keeps_it(chain: str) -> None:
    rows = rows_of(0, tasks=1)
    together = torch.cat([rows, torch.zeros_like(rows)])
    found = combined(f"{chain}+rescale", together)[0]
    torch.testing.assert_close(found, rows[0], rtol=1e-6, atol=0)


@pytest.mark.parametrize("scale", [0.0, 1e-100, 1e100, torch.inf, torch.nan])
@pytest.mark.parametrize("chain", CHAINS)
def test_weights_are_finite_whatever_the_gradients(chain: str, scale: float) -> None:
    signals = Signals.of([1.0, 1.0, 1.0], rows_of(0) * scale)
    for balancer in make(f"{chain}+rescale", 3):
        weights = balancer.weights(signals)
        assert weights.isfinite().all()
        signals = signals.scaled(weights)


@pytest.mark.parametrize(("chain", "chunks"), [("mgda", 1), ("mgda", 2), ("graddrop", 1)])
def test_it_costs_nothing_after_a_rule_that_has_the_gradients_anyway(
    chain: str, chunks: int
) -> None:
    rows = rows_of(0)
    spent = [combined(one, rows, chunks=chunks)[1] for one in (chain, f"{chain}+rescale")]
    assert spent[0] == spent[1]


def test_private_parameters_keep_their_gradients() -> None:
    """Those of the heads, under a rule that weighs their losses too."""
    runs = [training(f"hps+{chain}", steps=1, flops=False) for chain in ("gls", "gls+rescale")]
    for run in runs:
        run.run()
    own, rescaled = (dict(run.learner.architecture.named_parameters()) for run in runs)
    for name, parameter in own.items():
        one, other = parameter.grad, rescaled[name].grad
        assert one is not None
        assert other is not None
        assert ((one - other).norm() < 1e-3 * one.norm()) == ("head" in name), name


def test_a_step_is_as_long_as_one_of_the_plain_sum() -> None:
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
