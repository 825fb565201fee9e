"""The option `every` of rules on the Gramian: weights are kept for some steps."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from auxbench import METHODS
from auxbench.contract.balancer import balancer_of, rows_of, signals_of, usable
from auxbench.contract.dry_run import carried, training
from auxbench.errors import UsageError
from auxbench.execution.plan import counted
from auxbench.spec.grammar import options_of
from auxbench.spec.method import Method
from auxbench.training import checkpoint
from auxbench.training.balancer import Balancer, keeping

KEEPING = [
    name
    for name in usable()
    if issubclass(METHODS[name], Balancer) and METHODS[name].common() is keeping
]


def test_every_rule_on_the_gramian_has_the_option_and_no_other() -> None:
    assert {"pcgrad", "cagrad", "nashmtl", "olaux", "gcs", "rescale"} <= set(KEEPING)
    assert not {"uw", "static", "gradnorm", "graddrop", "arml"} & set(KEEPING)
    with pytest.raises(UsageError, match="'uw' has no option 'every'"):
        Method.parse("uw:every=2")
    assert options_of(METHODS["arml"])["every"].default == 20  # its own


@pytest.mark.parametrize("name", KEEPING)
def test_weights_are_kept_and_then_compared_again(name: str) -> None:
    tasks = ["depth", "normals", "scene"]
    kept, fresh = balancer_of(f"{name}:every=3", tasks), balancer_of(name, tasks)
    assert str(Method.parse(f"{name}:every=1")) == name
    found, first = [], fresh.weigh(signals_of(rows_of(3, 0)))
    for step in range(6):
        signals = signals_of(rows_of(3, step))
        found.append(kept.weigh(signals))
        assert bool(signals.read) == (step % 3 == 0)
    assert torch.equal(found[0], first)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[1], found[2])
    assert torch.equal(found[3], fresh.weigh(signals_of(rows_of(3, 3))))
    assert torch.equal(found[3], found[5])


@pytest.mark.parametrize("method", ["pcgrad:every=3", "auxnas+pcgrad:every=3"])
def test_steps_between_cost_one_backward_pass_and_plans_know(method: str) -> None:
    auxiliaries = ("depth", "normals")
    run = training(method, steps=7, auxiliaries=auxiliaries, flops=False)
    run.run()
    descent = run.meter.summary()["phases"]["train/descent"]
    assert descent["forward"] == 7
    assert descent["backward"] == 3 * 3 + 4
    planned = training(method, steps=7, auxiliaries=auxiliaries, flops=False)
    total = counted(planned, planned.learner.stages[-1])
    assert total["backward"] == run.meter.summary()["backward"]


def test_a_chain_keeps_all_weights_or_compares_at_the_cost_of_one() -> None:
    run = training("pcgrad:every=2+rescale:every=2", steps=4, auxiliaries=("depth", "normals"))
    run.run()
    assert run.meter.summary()["backward"] == 2 * 3 + 2


@pytest.mark.parametrize("stop", [1, 2, 3, 4])
def test_kept_weights_resume_in_the_same_bytes(stop: int, tmp_path: Path) -> None:
    whole = training("pcgrad:every=3", steps=5, flops=False)
    whole.run()
    part = training("pcgrad:every=3", steps=5, flops=False)
    part.run(lambda run: run.step < stop)
    checkpoint.save(tmp_path / "state", part.state_dict())
    resumed = training("pcgrad:every=3", steps=5, flops=False)
    resumed.load_state_dict(checkpoint.load(tmp_path / "state"))
    resumed.run()
    assert carried(resumed) == carried(whole)
