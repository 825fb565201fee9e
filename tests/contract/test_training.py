"""Every architecture, every balancer and three chains: trained, stopped, resumed."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from auxbench import state
from auxbench.budget import BUDGETS
from auxbench.check import TRAINING
from auxbench.descent import Descent
from auxbench.errors import Diverged, UsageError
from auxbench.method import Method
from auxbench.phase import still
from auxbench.trial import carried
from tests.contract._parts import (
    ARCHITECTURES,
    BALANCERS,
    CHAINS,
    TASKS,
    cells,
    hold,
    training,
    weights_of,
)

# State is carried by parts, so that every part and the chains cover what there is to resume.
COVER = [*ARCHITECTURES, *(f"hps+{b}" for b in BALANCERS), *CHAINS]


@cells(COVER, TRAINING)
def test_training(name: str, check: Callable[[str], None]) -> None:
    hold(name, check)


def test_a_warm_up_resumes_in_the_same_bytes_and_is_counted_apart(tmp_path: Path) -> None:
    whole = training("auxnas:warmup=2+olaux")
    whole.run()
    for stop in range(1, 5):
        part = training("auxnas:warmup=2+olaux")
        part.run(lambda t, stop=stop: t.step < stop)
        state.save(tmp_path / "state", part.state_dict())
        resumed = training("auxnas:warmup=2+olaux")
        resumed.load_state_dict(state.load(tmp_path / "state"))
        resumed.run()
        assert carried(resumed) == carried(whole)
    phases = whole.meter.summary()["phases"]
    assert phases["warm-up/descent"]["forward"] == 2
    assert phases["train/descent"]["forward"] == phases["train/search"]["forward"] == 3


def test_a_warm_up_trains_every_branch_by_itself() -> None:
    one, other = training("auxnas:warmup=3"), training("single")
    one.run(lambda t: t.step < 3)
    trunk = one.learner.architecture.deploy().state_dict()
    assert any(
        not torch.equal(trunk[k], v)
        for k, v in weights_of(training("single").learner.architecture.deploy()).items()
    )
    other.batches["train"]["train"].purpose = ("warm-up",)
    other.run()
    for name, value in other.learner.architecture.deploy().state_dict().items():
        torch.testing.assert_close(trunk[name], value)


@pytest.mark.parametrize("sharing", ["hps", "auxg"])
def test_zero_auxiliary_weights_give_the_single_task_training_bit_for_bit(sharing: str) -> None:
    single = training("single", steps=6)
    zero = training(f"{sharing}+static:depth=0:scene=0", steps=6)
    single.run()
    zero.run()
    expected = weights_of(single.learner.architecture.deploy())
    found = weights_of(zero.learner.architecture.deploy())
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert torch.equal(value, found[name]), name
    scores = [[look["scores"] for look in t.curve] for t in (single, zero)]
    assert scores[0] == scores[1]


@pytest.mark.parametrize("steps", [20, 60, 150])
def test_links_into_the_primary_are_closed_at_the_end_however_short_the_run(steps: int) -> None:
    run = training("auxnas", steps=steps, evaluations=1)
    run.run()
    traces = run.curve[-1]["traces"]
    for name in TASKS[1]:
        assert max(traces[f"links/a2p/{name}"]) < 0.01
        assert len(traces[f"links/p2a/{name}"]) == len(traces[f"links/a2p/{name}"])


@pytest.mark.parametrize("tier", BUDGETS)
def test_links_close_in_every_tier_against_a_pull_of_the_losses(tier: str) -> None:
    """The search's own optimiser and ramp, on a loss that wants the links open."""
    from auxbench.methods._search import Schedule

    steps = BUDGETS[tier].steps
    schedule = Schedule.scaled(steps, 0.01, 100.0)
    logits = torch.zeros(24, requires_grad=True)
    optimizer = torch.optim.Adam([logits], schedule.lr, schedule.betas)
    generator = torch.Generator().manual_seed(0)
    for step in range(steps):
        progress = step / steps
        strength = torch.sigmoid(logits)
        pull = 0.1 + 0.2 * torch.randn(24, generator=generator)
        loss = schedule.penalty(progress) * strength.mean() - (pull * strength).sum()
        (logits.grad,) = torch.autograd.grad(loss, logits)
        for group in optimizer.param_groups:
            group["lr"] = schedule.lr * (1 - progress) ** 0.9
        optimizer.step()
        with torch.no_grad():
            logits.clamp_(max=schedule.bound)
    assert torch.sigmoid(logits).max() < 0.01


def test_the_released_configuration_starts_almost_closed_and_keeps_its_rates() -> None:
    run = training("auxnas-official", steps=2)
    traces = run.learner.architecture.traces()
    assert set(traces["links/a2p/depth"]) == {0.001}
    assert set(traces["links/p2a/depth"]) == {0.5}
    descent = next(p for p in run.learner.stages[0].phases if isinstance(p, Descent))
    assert (descent.recipe.optimizer, descent.recipe.learning_rate) == ("adam", 1e-4)
    schedule: Any = run.learner.stages[0].phases[0]
    penalties = [schedule.schedule.penalty(t) for t in (0.0, 0.5, 0.65, 0.8, 1.0)]
    assert penalties == pytest.approx([0, 0, 500, 1000, 1000])


def test_the_released_configuration_refuses_another_learning_rate() -> None:
    with pytest.raises(UsageError, match="and method 'auxnas-official' fixes it at 0"):
        training("auxnas-official", learning_rate=0.1)
    training("auxnas-official", learning_rate=1e-4, schedule="poly")


def test_a_gramian_in_chunks_costs_its_passes_a_chunk_and_one_more() -> None:
    run = training("pcgrad", auxiliaries=("depth", "normals"), steps=2, chunks=3)
    run.run()
    assert run.meter.summary()["backward"] == 2 * (3 * 3 + 1)


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
    assert run.learner.objective.weights.tolist() == [1.0, 0.25, 4.0]


def test_still_keeps_running_statistics_and_normalises_by_the_batch() -> None:
    norm = torch.nn.BatchNorm1d(3)
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(0)) + 5
    with still(norm):
        inside = norm(x)
    assert norm.running_mean is not None
    assert norm.running_mean.tolist() == [0.0] * 3
    assert norm.num_batches_tracked == 0
    torch.testing.assert_close(inside, norm(x))


def test_a_non_finite_loss_is_a_divergence_that_names_the_task() -> None:
    run = training("hps")
    with torch.no_grad():
        for parameter in run.learner.architecture.heads["depth"].parameters():
            parameter.fill_(math.inf)
    with pytest.raises(Diverged, match=r"the loss of task 'depth' became (nan|inf) at 0%"):
        run.run()


def test_selection_takes_the_best_state_on_validation() -> None:
    best, last = (training("hps", steps=5, evaluations=5, selection=s) for s in ("best", "last"))
    best.run()
    last.run()
    values = [look["scores"][0]["value"] for look in best.curve]
    assert best.selected["step"] == 1 + values.index(max(values))
    assert last.selected["step"] == 5


def test_methods_are_chains_whose_order_is_kept() -> None:
    assert str(Method.parse("pcgrad+auxnas+gradnorm")) == "auxnas+pcgrad+gradnorm"
    assert str(Method.parse("hps+pcgrad+sum")) == "pcgrad"
    assert str(Method.parse("sum")) == "hps"
