"""Records as runs leave them, made up for tests of what reads them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from auxbench.records.record import record as make
from auxbench.spec.budget import BUDGETS
from auxbench.spec.run import Run
from auxbench.spec.study import CHANGES

PRIMARY = {
    "task": "segmentation",
    "metric": "miou",
    "version": 1,
    "unit": "%",
    "direction": "up",
    "split": "test",
    "network": "deployed",
    "value": 50.0,
}


def record(
    method: str,
    seed: int,
    value: float | None,
    *,
    dataset: str = "rooms",
    primary: str = "segmentation",
    status: str = "done",
    direction: str = "up",
    budget: str = "small",
    backbone: str = "resnet18",
) -> dict[str, Any]:
    """The record of one run; without a value it failed, or scored nothing."""
    run = Run(dataset, primary, ("depth",), backbone, False, method, BUDGETS[budget], seed)
    if status != "done":
        return make(run, status, f"made up to be {status}")
    score = {
        "task": primary,
        "metric": "miou" if direction == "up" else "abs",
        "version": 1,
        "unit": "%" if direction == "up" else "m",
        "direction": direction,
        "split": "test",
        "network": "deployed",
        "value": value,
    }
    training = {
        "seconds": 10.0 + seed,
        "cpu_seconds": 9.0,
        "evaluation_seconds": 2.0,
        "waiting_seconds": 0.5,
        "forward": 400,
        "backward": 1200,
        "partial": 0,
        "jvp": 0,
        "examples": 12800,
        "flops": 2_500_000_000_000,
        "peak_memory_bytes": None,
        "phases": {},
    }
    inference = {
        "parameters": 11_176_512,
        "macs": 150_000_000,
        "latency_ms": 3.25,
        "same_as_single": True,
        "difference": [],
    }
    return make(run, "done", primary=score, scores=[score], training=training, inference=inference)


def study_words(given: Mapping[str, Any]) -> dict[str, Any]:
    """Of the options of a command those that describe a study."""
    from auxbench.execution.study import Study  # imports torch, which most tests do without

    known = {*inspect.signature(Study.of).parameters, *CHANGES}
    return {name: value for name, value in given.items() if name in known}


def study(values: dict[str, Sequence[float]], **changes: Any) -> list[dict[str, Any]]:
    """Records of several methods, one per seed."""
    return [
        record(method, seed, value, **changes)
        for method, scores in values.items()
        for seed, value in enumerate(scores)
    ]
