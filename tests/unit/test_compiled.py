"""Compiled networks: the same numbers up to rounding, the same signals, and an honest record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from auxbench import run as carry_out
from auxbench.contract.dry_run import training, weights_of
from auxbench.spec.budget import BUDGETS
from auxbench.training.gradients import Gradients

AUXILIARIES = ("depth", "normals")


def failing(*_: Any, **__: Any) -> Any:
    raise RuntimeError("no compiler\nwas found")


@pytest.mark.slow
def test_a_compiled_step_is_the_same_up_to_rounding_and_observes_the_same() -> None:
    plain, compiled = (
        training("pcgrad", steps=2, auxiliaries=AUXILIARIES, flops=False, optimizer="sgd")
        for _ in range(2)
    )
    before = weights_of(compiled.learner.architecture)
    assert compiled.compile() == ""
    after = weights_of(compiled.learner.architecture)
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert compiled.meter.compile_seconds > 0
    plain.run()
    compiled.run()
    for name, value in weights_of(plain.learner.architecture).items():
        other = weights_of(compiled.learner.architecture)[name]
        torch.testing.assert_close(other, value, rtol=1e-3, atol=1e-5)
    assert compiled.meter.summary()["backward"] == plain.meter.summary()["backward"]

    shared = []
    for run in (plain, compiled):
        objective = run.learner.objective
        batch = run.prepare(run.validation.batch(torch.arange(4).numpy(), None))
        losses = [loss.mean() for loss in objective.samples(batch, descent=True)]
        parameters = list(run.learner.context.parameters.values())
        shared.append(Gradients(losses, parameters).shared)
    assert shared[0] == shared[1]
    assert 0 < sum(shared[1]) < len(shared[1])


def test_without_a_compiler_the_run_goes_on_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch, "compile", failing)
    run, plain = (training("hps", steps=2, flops=False) for _ in range(2))
    assert run.compile() == "no compiler was found"
    run.run()
    plain.run()
    assert run.curve == plain.curve


def test_compiled_runs_are_another_budget_and_the_default_is_not_written() -> None:
    assert "compiled" not in BUDGETS["demo"].to_json()
    changed = BUDGETS["demo"].with_changes(compiled=True)
    assert (changed.budget, changed.to_json()["compiled"]) == ("demo*", True)


@pytest.mark.slow
def test_compilation_is_recorded_apart(tmp_path: Path) -> None:
    words = {"budget": "demo", "steps": 3, "batch": 4, "seeds": 1, "quiet": True}
    carry_out("hps", "toy", compiled=True, results=tmp_path, device="cpu", **words)
    from auxbench.records.store import Store

    (record,) = Store(tmp_path).runs()
    assert record["status"] == "done"
    costs = record["training"]
    assert costs["compile_seconds"] > costs["seconds"]
    assert costs["flops"] > 0
    assert set(costs["phases"]) == {"train/descent", "evaluate"}
