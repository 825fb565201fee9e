"""Portraits: a problem's data as they can be seen before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from auxbench.data.duplicates import Twins, twins
from auxbench.data.information import Gain, Information
from auxbench.data.pooled import Labels, Pooled, pooled
from auxbench.data.problem import Problem
from auxbench.data.progress import bar
from auxbench.errors import UsageError

SPLITS = ("train", "validation", "test")
PAIRS = (("train", "train"), ("validation", "train"), ("test", "train"), ("test", "validation"))


@dataclass(frozen=True)
class Share:
    """The labels of one task on one split.

    `labelled` is the share of samples, or of pixels, with a label. Of classes, `shares` has the
    share of each class that occurs, by name and the largest first, and `shift` is half the sum of
    the differences from the training split's. Of numbers, `mean` and `deviation` are those of the
    first channel, and `shift` is the change of the mean in training deviations.
    """

    task: str
    split: str
    samples: int
    labelled: float
    shares: tuple[tuple[str, float], ...] = ()
    mean: float = float("nan")
    deviation: float = float("nan")
    shift: float = 0.0


@dataclass(frozen=True)
class Portrait:
    """The data of a problem: labels by task and split, near-duplicates, and what labels say.

    `gains` has one entry for every auxiliary and one for all together, and `culprits` the fewest
    auxiliaries that nearly determine the primary. `without` says why there are no gains, and is
    empty if there are; `unit` is what is predicted, a sample or a cell of a map, and `classes` is 0
    for numbers. `partly` is True if only some of the samples were looked at.
    """

    dataset: str
    primary: str
    shares: tuple[Share, ...]
    twins: tuple[Twins, ...]
    gains: tuple[Gain, ...] = ()
    culprits: Gain | None = None
    without: str = ""
    unit: str = "sample"
    classes: int = 0
    pictures: bool = False
    partly: bool = False
    counts: dict[str, int] = field(default_factory=dict)


def portrait(name: str, problem: Problem, most: int = 2000) -> Portrait:
    """Look at the data of a problem; they must have been prepared.

    At most `most` samples of each split are read. What labels say of each other is computed from
    the training split alone.
    """
    data = problem.dataset
    data.narrow(problem.tasks)
    seen = {}
    with bar("reading", len(SPLITS), unit="split") as advance:
        for split in SPLITS:
            seen[split] = pooled(data, split, most, problem.tasks)
            advance(1)
    pictures = data.features == 0
    partly = any(len(data.samples(split)) > len(seen[split]) for split in SPLITS)
    labels = tuple(share for task in problem.tasks for share in _shares(task.name, seen))
    alike = tuple(twins(one, seen[one], two, seen[two], pictures) for one, two in PAIRS)
    found = Portrait(
        name,
        problem.primary.name,
        labels,
        alike,
        pictures=pictures,
        partly=partly,
        counts={split: len(seen[split]) for split in SPLITS},
    )
    return replace(found, **_gains(seen["train"], problem))


def _gains(training: Pooled, problem: Problem) -> dict[str, Any]:
    """The fields of a portrait about the gains of labels."""
    names = [task.name for task in problem.auxiliaries]
    if not names:
        return {"without": "there is no auxiliary task."}
    try:
        information = Information(training, problem.primary.name)
    except UsageError as error:
        return {"without": str(error)}
    sets = [*([name] for name in names), *([names] if len(names) > 1 else [])]
    gains = []
    with bar("what labels say", len(sets), unit="label set") as advance:
        for one in sets:
            gains.append(information.gain(one))
            advance(1)
    return {
        "gains": tuple(gains),
        "culprits": information.culprits(names),
        "unit": information.unit,
        "classes": information.classes,
    }


def _shares(task: str, seen: dict[str, Pooled]) -> Sequence[Share]:
    first: Share | None = None
    found = []
    for split, samples in seen.items():
        labels = samples.labels[task]
        share = _share(task, split, labels, first)
        first = first or share
        found.append(share)
    return found


def _share(task: str, split: str, labels: Labels, first: Share | None) -> Share:
    known = float(labels.known.mean())
    weights = labels.known * np.isfinite(labels.values).all(-1)
    values = np.nan_to_num(labels.values)
    total = float(weights.sum())
    if not total:
        return Share(task, split, len(values), known)
    if labels.classes:
        parts = ((values * weights[..., None]).sum((0, 1)) / total).tolist()
        names = [str(name) for name in labels.names or range(labels.classes)]
        shares = {name: part for name, part in zip(names, parts, strict=True) if part > 0}
        before = dict(first.shares) if first else shares
        moved = sum(abs(shares.get(n, 0) - before.get(n, 0)) for n in {*shares, *before}) / 2
        ordered = tuple(sorted(shares.items(), key=lambda item: -item[1]))
        return Share(task, split, len(values), known, ordered, shift=moved)
    one = values[..., 0]
    mean = float((one * weights).sum() / total)
    deviation = float(np.sqrt(((one - mean) ** 2 * weights).sum() / total))
    moved = (mean - first.mean) / first.deviation if first and first.deviation else 0.0
    return Share(task, split, len(values), known, (), mean, deviation, moved)
