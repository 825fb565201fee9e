"""The fastest precision of a study on this machine, found by timing some steps in each."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from statistics import median
from typing import Any

import click

from auxbench.errors import UsageError
from auxbench.execution.executor import launched
from auxbench.execution.resources import Resources, resolve, slots, threads_of
from auxbench.execution.study import Study
from auxbench.records.store import Store
from auxbench.spec.budget import CHOICES
from auxbench.spec.method import SHARING
from auxbench.spec.run import Run
from auxbench.spec.study import AUTO, Words

STEPS = 3
CLEARLY = 0.9  # a half precision is chosen if its steps take at most this share of the time
NAMES = CHOICES["precision"]
HOPELESS = 3.0  # a precision is given up if its first step takes this many times the best


def resolved(
    methods: Words, dataset: Words, words: Mapping[str, Any], resources: Resources, store: Store
) -> dict[str, Any]:
    """The words of a study with the precision 'auto' replaced by the one to be used.

    It is that of the runs recorded before. If there are none, the plain sum takes three steps in
    every precision on the study's problems and backbones, and the fastest is used. Errors:
    `UsageError` as for studies, and under torchrun, whose processes could disagree.
    """
    if words.get("precision") != AUTO:
        return dict(words)
    if launched():
        raise UsageError("precision is 'auto' under torchrun; write fp32, bf16 or fp16.")
    known = {record["id"] for record in store.runs()}
    found = {name: Study.of(methods, dataset, **{**words, "precision": name}) for name in NAMES}
    for name, study in found.items():
        if any(run.id in known for run in study.runs):
            click.echo(f"auxbench: precision {name}, as in the runs recorded here", err=True)
            return {**words, "precision": name}
    device = resolve(resources.device)
    import torch

    torch.set_num_threads(threads_of(resources.threads, slots(device, resources.jobs)))
    seconds = timed(found[NAMES[0]].runs, device)
    best = chosen(seconds)
    spent = ", ".join(f"{1000 * value:.3g} in {name}" for name, value in seconds.items())
    click.echo(f"auxbench: precision {best}: a step of the sum takes {spent} (ms)", err=True)
    return {**words, "precision": best}


def chosen(seconds: Mapping[str, float]) -> str:
    """The fastest precision; the first one unless another is clearly faster.

    >>> chosen({"fp32": 1.0, "bf16": 0.95}), chosen({"fp32": 1.0, "bf16": 0.5, "fp16": 0.7})
    ('fp32', 'bf16')
    """
    first = next(iter(seconds))
    best = min(seconds, key=seconds.__getitem__)
    return best if seconds[best] <= CLEARLY * seconds[first] else first


def timed(runs: tuple[Run, ...], device: str) -> dict[str, float]:
    """The seconds of a step of the plain sum in every precision that this device can compute."""
    cells = dict.fromkeys(replace(run, method=SHARING, seed=0, pretrained=False) for run in runs)
    result: dict[str, float] = {}
    for name in NAMES:
        if name == "fp16" and device == "cpu":
            continue  # which emulates it, a hundred times slower
        best = min(result.values(), default=float("inf"))
        try:
            result[name] = sum(
                _step(replace(cell, recipe=cell.recipe.with_changes(precision=name)), device, best)
                for cell in cells
            )
        except RuntimeError:  # torch has no such arithmetic here
            continue
    return result


def _step(run: Run, device: str, best: float) -> float:
    from auxbench.cost.training import Meter
    from auxbench.execution.execute import begin
    from auxbench.execution.stand_in import StandIn

    training = begin(replace(run, weights=""), device, StandIn(run))
    training.meter = training.learner.objective.meter = Meter(device, flops=False)
    stage, taken = training.learner.stages[-1], []
    for step in range(1 + STEPS):
        start = time.perf_counter()
        training.iterate(stage, min(step, stage.steps - 1))
        taken.append(time.perf_counter() - start)
        if step == 0 and taken[0] > HOPELESS * best:
            return taken[0]
    return median(taken[1:])
