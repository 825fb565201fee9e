"""Several states of one network: forks, their mixtures, and what may be selected."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from auxbench.errors import UsageError
from auxbench.training import checkpoint as state
from tests.contract._parts import training, weights_of

STEPS = 3
CHAINS = [
    "hps+{}",
    "hps+{}+pcgrad",
    "hps+gradnorm+{}+dbmtl",
    "hps+{}+famo",
    "hps+noise-aux+{}+olaux:horizon=1",
    "hps+{}+auxinash:every=1",
    "auxnas+{}+autolambda",
    "auxnas:warmup=2+{}",
]


@pytest.mark.parametrize(
    ("chain", "backbone"),
    [*((chain, "test_resnet") for chain in CHAINS), ("hps+{}", "test_vit:drop_path_rate=0.5")],
)
def test_every_fork_is_the_training_of_its_own_weights_bit_for_bit(
    chain: str, backbone: str
) -> None:
    oracle: Any = training(
        chain.format("oracle-subset"), steps=STEPS, backbone=backbone, flops=False
    )
    oracle.run()
    forks = oracle.learner.descent.forks
    found = {tuple(fork.weights.tolist()): fork.values for fork in forks}
    assert sorted(found) == [(1, 0, 0), (1, 0, 1), (1, 1, 0), (1, 1, 1)]
    for (_, depth, scene), values in found.items():
        subset = chain.format(f"static:depth={depth}:scene={scene}")
        alone = training(subset, steps=STEPS, backbone=backbone, flops=False)
        alone.run()
        for name, value in weights_of(alone.learner.architecture).items():
            assert torch.equal(value, values[name]), name


@pytest.mark.parametrize("method", ["auxnas+forkmerge:merges=1", "forkmerge:merges=1+autolambda"])
def test_looking_at_validation_changes_nothing(method: str) -> None:
    ends = []
    for evaluations in (1, 4):
        run: Any = training(method, steps=4, evaluations=evaluations)
        run.run()
        phase = run.learner.descent
        ends.append(state.digest(phase.mixture(phase.shares)))
    assert ends[0] == ends[1]


def test_every_fork_is_charged() -> None:
    run = training("oracle-subset", steps=3)
    run.run()
    descent = run.meter.summary()["phases"]["train/descent"]
    assert (descent["forward"], descent["backward"]) == (12, 12)


def test_the_best_subset_on_validation_is_selected() -> None:
    run: Any = training("oracle-subset", steps=4, evaluations=1)
    run.run()
    scores = []
    for _ in run.learner.descent.candidates():
        before = run.best
        run.validate(3, {})
        scores.append(run.best)
        run.best = before
    (look, *_) = run.curve
    chosen = {name: look["scalars"][f"mixture/{name}"] for name in ("depth", "scene")}
    assert set(chosen.values()) <= {0.0, 1.0}
    values = run.selected["state"]
    place = [chosen["depth"], chosen["scene"]]
    (fork,) = [f for f in run.learner.descent.forks if f.weights[1:].tolist() == place]
    for name, value in fork.values.items():
        assert torch.equal(values[name], value), name


def test_too_many_subsets_are_refused_with_the_number_of_networks() -> None:
    with pytest.raises(UsageError, match="32 networks for 5 auxiliary tasks; name at most 4"):
        training("oracle-subset", auxiliaries=("depth", "normals", "edges", "keypoints", "scene"))


def test_two_rules_that_fork_are_refused() -> None:
    with pytest.raises(UsageError, match="'forkmerge' and 'oracle-subset'; keep one"):
        training("forkmerge+oracle-subset")


def test_periods_end_where_validation_is_read() -> None:
    run: Any = training("forkmerge", steps=7, evaluations=3)
    phase = run.learner.descent
    ends = [done for done in range(8) if phase.ends(done)]
    assert ends == [step + 1 for step in range(7) if run.due(step)]


def test_the_first_period_has_a_fork_per_task_and_the_others_nested_ones() -> None:
    run: Any = training("forkmerge", steps=4, evaluations=2)
    phase = run.learner.descent
    run.run(lambda t: t.step < 1)
    assert [f.weights.tolist() for f in phase.forks] == [[1, 0, 0], [1, 1, 0], [1, 0, 1]]
    run.run()
    sizes = [int(fork.weights.sum()) for fork in phase.forks]
    assert sizes == [1, 2, 3]
    first, second = (run.curve[place]["scalars"] for place in (0, 1))
    assert first["mixture/segmentation"] == pytest.approx(1.0)
    assert 0 <= second["mixture/depth"] <= 1


def test_the_mixture_is_no_worse_on_held_out_data_than_any_fork() -> None:
    run: Any = training("forkmerge", steps=4, evaluations=1)
    phase = run.learner.descent
    seen: list[float] = []
    original = phase.loss

    def loss(values: Any, batch: Any) -> float:
        seen.append(original(values, batch))
        return seen[-1]

    phase.loss = loss
    batches: list[Any] = []
    merge = phase.merge
    phase.merge = lambda batch: (batches.append(batch), merge(batch))
    run.run()
    assert len(seen) == 3 + 2 * 4
    assert sum(phase.shares) == pytest.approx(1.0)
    assert min(phase.shares) >= 0
    (batch,) = batches
    assert original(phase.mixture(phase.shares), batch) == pytest.approx(min(seen))


def test_forks_go_on_from_the_mixture_with_its_moments() -> None:
    run: Any = training("forkmerge", steps=4, evaluations=2)
    run.run(lambda t: t.step < 2)
    phase = run.learner.descent
    expected = phase.mixture(phase.shares)

    def moments_of(fork: Any) -> torch.Tensor:
        (descent,) = fork.rest["phases"]
        moments: torch.Tensor = descent["optimizer"]["state"][0]["exp_avg"]
        return moments.clone()

    moments = [moments_of(fork) for fork in phase.forks]
    mean = sum(share * part for share, part in zip(phase.shares, moments, strict=True))
    phase.begin()
    for fork in phase.forks:
        for name, value in fork.values.items():
            torch.testing.assert_close(value, expected[name])
        torch.testing.assert_close(moments_of(fork), mean)


@pytest.mark.parametrize(
    "method",
    [
        "forkmerge",
        *(
            pytest.param(method, marks=pytest.mark.slow)
            for method in ("auxnas+forkmerge", "forkmerge+gradnorm+dbmtl")
        ),
    ],
)
def test_forks_resume_in_the_same_bytes_after_every_step(method: str, tmp_path: Any) -> None:
    def carried(run: Any) -> str:
        tree = run.state_dict()
        del tree["meter"]
        return state.digest(tree)

    whole = training(method, steps=5, evaluations=2)
    whole.run()
    for stop in range(1, 5):
        part = training(method, steps=5, evaluations=2)
        part.run(lambda t, stop=stop: t.step < stop)
        state.save(tmp_path / "state", part.state_dict())
        resumed = training(method, steps=5, evaluations=2)
        resumed.load_state_dict(state.load(tmp_path / "state"))
        resumed.run()
        assert carried(resumed) == carried(whole)
