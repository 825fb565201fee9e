"""The catalogue: what every method needs and costs, measured on tiny data.

`python -m auxbench.contract.catalogue` measures all methods of auxbench again and writes the file
that `auxbench list` and `auxbench show` read without importing torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import torch

from auxbench.contract.architecture import architecture_of, deploys_single
from auxbench.contract.balancer import balancer_of, rows_of, usable
from auxbench.contract.documentation import maker_of
from auxbench.contract.dry_run import SINGLE, training
from auxbench.data.progress import bar
from auxbench.errors import UsageError
from auxbench.report.catalogue import FILE, KINDS, TASKS, Entry, save
from auxbench.report.method import options
from auxbench.spec.registry import METHODS
from auxbench.training.architecture import Architecture
from auxbench.training.balancer import Balancer
from auxbench.training.loop import Training
from auxbench.training.signals import Signals

STEPS = 40  # training steps over which passes are averaged
TOY = ("primary", ("helpful", "useless", "harmful", "conflicting"), "mlp", "toy")
ROOMS = ("segmentation", ("depth", "scene", "normals", "edges"), "test_resnet", "rooms")
SIGNALS = {
    "losses": "losses",
    "gramian": "Gramian",
    "inner": "inner products with the primary",
    "norms": "norms",
    "rows": "gradients",
    "sum_length": "length of the sum",
}


def measure(name: str) -> Entry:
    """Train a method on tiny data with 2, 3 and 5 tasks, and return what it needed.

    Errors: `UsageError` for a method that cannot be trained.
    """
    maker = maker_of(name)
    runs = [_trained(name, tasks) for tasks in TASKS]
    balancers = runs[0].learner.balancers
    return Entry(
        role=maker.role,
        family=maker.family,
        needs=_needs(runs[0], balancers),
        passes=[_passes(run) for run in runs],
        primary_differs=_sees_the_primary(name, runs[1]),
        order_matters=issubclass(maker, Balancer) and not _permutes(name, fixed=1),
        deploys_single=_deploys_single(name, maker),
        options=options(maker),
    )


def _trained(name: str, tasks: int) -> Training:
    """A short training with `tasks` tasks, on images if the method cannot train on vectors."""
    for primary, auxiliaries, backbone, dataset in (TOY, ROOMS):
        try:
            run = training(
                name,
                STEPS,
                auxiliaries[: tasks - 1],
                primary,
                backbone,
                dataset,
                flops=False,
                evaluations=1,
            )
        except UsageError:
            if dataset == "rooms":
                raise
            continue
        run.run()
        break
    return run


def _needs(run: Training, balancers: Sequence[Balancer]) -> list[str]:
    """The method's needs besides a batch and its labels."""
    reads = frozenset[str]().union(*(balancer.reads for balancer in balancers))
    overrides = frozenset[str]().union(*(balancer.overrides for balancer in balancers))
    splits = {split for stage in run.learner.stages for split in stage.splits}
    told = [word for signal, word in SIGNALS.items() if signal in reads]
    told += ["losses of samples"] if "weigh_samples" in overrides else []
    told += ["held-out batch"] if any(split.startswith("holdout") for split in splits) else []
    told += ["half of the training data"] if "train/second" in splits else []
    told += ["second forward pass"] if "after" in overrides else []
    told += ["several networks"] if "around" in overrides else []
    return told


def _passes(run: Training) -> dict[str, float]:
    """The passes of a training step, on average, without those of validation."""
    phases = run.meter.summary()["phases"].values()
    return {kind: round(sum(p[kind] for p in phases) / STEPS, 2) for kind in KINDS}


def _sees_the_primary(name: str, run: Training) -> bool:
    """Return whether the primary is treated differently from the auxiliaries."""
    architecture = run.learner.architecture
    if issubclass(maker_of(name), Architecture):
        if len(architecture.tasks) != 3 or architecture.balanced() is not None:
            return True
        return any(len(phase.splits) for phase in run.learner.stages[-1].phases[:-1])
    (balancer,) = run.learner.balancers or (balancer_of(name, ("a", "b")),)
    splits = {split for stage in run.learner.stages for split in stage.splits}
    elsewhere = {"around", "weigh_samples", "relabel"} & balancer.overrides
    held_out = any(split.startswith("holdout") for split in splits)
    return bool(elsewhere) or held_out or (_permutes(name, fixed=1) and not _permutes(name, 0))


def _permutes(name: str, fixed: int) -> bool:
    """Return whether the directions do not depend on the order of tasks after the first `fixed`."""
    names = [f"task{i}" for i in range(4)]
    for order in permutations(range(4)):
        if order[:fixed] != tuple(range(fixed)):
            continue
        straight = _directions(balancer_of(name, names), list(range(4)))
        if not torch.allclose(straight, _directions(balancer_of(name, names), list(order)), 1e-5):
            return False
    return True


def _directions(balancer: Balancer, order: list[int]) -> torch.Tensor:
    """The combined gradients of some batches, with the tasks in the given order."""
    result = []
    for step in range(12):
        rows = rows_of(4, step)[order]
        losses = torch.tensor([1.0 + i + 0.1 * (i - 1.5) * step for i in range(4)])[order]
        weighted = rows * balancer.weights(Signals.of(losses.tolist(), rows, 0.05))[:, None]
        edited = balancer.edit([(row,) for row in weighted])
        result.append(torch.stack([row[0] for row in edited if row[0] is not None]).sum(dim=0))
    return torch.stack(result)


def _deploys_single(name: str, maker: type) -> bool | None:
    if not issubclass(maker, Architecture):
        return None
    return deploys_single(architecture_of(name), architecture_of(SINGLE))


def main(file: Path = FILE) -> None:
    """Measure every method of auxbench and write the catalogue."""
    torch.set_num_threads(1)
    names = [name for name in usable() if METHODS[name].__module__.startswith("auxbench.")]
    entries: dict[str, Any] = {}
    with bar("measuring", len(names), unit="method") as advance:
        for name in names:
            entries[name] = measure(name)
            advance(1)
    save(entries, file)


if __name__ == "__main__":
    main()
