"""Every architecture, every balancer and three chains: trained, stopped, resumed."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from auxbench.contract.check import TRAINING
from auxbench.contract.dry_run import carried
from auxbench.errors import Diverged
from auxbench.spec.method import Method
from auxbench.training import checkpoint as state
from auxbench.training.objective import frozen_batchnorm_stats
from tests.contract._parts import (
    ARCHITECTURES,
    BALANCERS,
    CHAINS,
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


def test_a_gramian_in_chunks_costs_its_passes_a_chunk_and_one_more() -> None:
    run = training("pcgrad", auxiliaries=("depth", "normals"), steps=2, chunks=3)
    run.run()
    assert run.meter.summary()["backward"] == 2 * (3 * 3 + 1)


def test_still_keeps_running_statistics_and_normalises_by_the_batch() -> None:
    norm = torch.nn.BatchNorm1d(3)
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(0)) + 5
    with frozen_batchnorm_stats(norm):
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
    assert str(Method.parse("gradnorm+auxnas+pcgrad")) == "auxnas+gradnorm+pcgrad"
    assert str(Method.parse("hps+pcgrad+sum")) == "pcgrad"
    assert str(Method.parse("sum")) == "hps"


@pytest.mark.slow
@pytest.mark.parametrize("name", COVER)
def test_every_part_trains_in_half_precision(name: str) -> None:
    run = training(name, steps=2, precision="bf16", flops=False)
    run.run()
    weights = weights_of(run.learner.architecture)
    kinds = {value.dtype for value in weights.values() if value.is_floating_point()}
    assert kinds == {torch.float32} or kinds == {torch.float32, torch.float64}
    assert all(bool(value.isfinite().all()) for value in weights.values())
