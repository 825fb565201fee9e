"""Details of runs: what a page shows of each record besides the columns of a frame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from auxbench.report.page.packed import short, thinned
from auxbench.report.run import command, surroundings
from auxbench.stats.paired import intervals

BUDGET = ("steps", "batch", "side", "evaluations", "selection", "warm_up")
TRAINING = ("learning_rate", "weight_decay", "optimizer", "schedule")
LOOKS = 12  # points of a curve
LINES = 36  # lines in the figure of link strengths; with more, blocks are put together
Series = tuple[float | None, ...]


@dataclass(frozen=True)
class Detail:
    """The curve of a run, its weights and links by name, its budget, how and where it was made.

    `command` is in two halves, between which `--seeds` stands. `links` has one row per look, with
    one strength per block.
    """

    steps: tuple[int, ...]
    curve: Series
    weights: Mapping[str, Series]
    links: Mapping[str, Sequence[Series]]
    selected: tuple[Any, ...]
    command: tuple[str, str]
    budget: tuple[tuple[str, Any], ...]
    training: tuple[tuple[str, Any], ...]
    software: tuple[str, str, str]
    differs: str

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Detail:
        """The details of a record; a curve is thinned to a dozen looks."""
        curve = [look for look in record.get("curve") or [] if "step" in look]
        looks = [curve[place] for place in thinned(len(curve), LOOKS)]
        seed = record["run"]["seed"]
        head, found, tail = command(record).rpartition(f" --seeds {seed}-{seed}")
        about = surroundings(record.get("environment") or {})
        chosen = record.get("selected") or {}
        recipe = record["run"]["recipe"]
        keys = ("step", "score_with_auxiliaries", "score_deployed", "dropped_strength")
        return cls(
            tuple(int(look["step"]) for look in looks),
            tuple(short(_headline(look)) for look in looks),
            _series(looks, "scalars", "weight/"),
            _series(looks, "traces", "links/"),
            tuple(short(chosen.get(key), 6) for key in keys),
            (head, tail) if found else (tail, ""),
            tuple((key, recipe[key]) for key in BUDGET if key in recipe),
            tuple((key, recipe[key]) for key in TRAINING if key in recipe),
            (about["auxbench"], about["packages"], about["machine"]),
            "; ".join((record.get("inference") or {}).get("difference") or []),
        )


def lines(details: Sequence[Detail]) -> dict[str, Any]:
    """The mean curve of a method's runs with a 95 % interval, and its mean weights and links.

    Only runs that looked at the same steps as most of them count. Weights that never change are one
    number.
    """
    if not any(one.steps for one in details):
        return {}
    steps = Counter(one.steps for one in details if one.steps).most_common(1)[0][0]
    alike = [one for one in details if one.steps == steps]
    points = [
        np.array([one.curve[look] for one in alike if one.curve[look] is not None], dtype=float)
        for look in range(len(steps))
    ]
    mean, low, high = intervals(points)
    found: dict[str, Any] = {
        "steps": list(steps),
        "n": len(alike),
        **{key: [short(v) for v in part] for key, part in (("m", mean), ("l", low), ("h", high))},
    }
    if names := list(dict.fromkeys(name for one in alike for name in one.weights)):
        found["weights"] = {name: _constant(_mean(alike, name)) for name in names}
    if names := list(dict.fromkeys(name for one in alike for name in one.links)):
        found["links"] = _links(alike, names)
    return found


def _headline(look: Mapping[str, Any]) -> Any:
    scores = look.get("scores") or [{}]
    return scores[0].get("value")


def _series(looks: Sequence[Mapping[str, Any]], key: str, prefix: str) -> dict[str, Any]:
    names = dict.fromkeys(
        name for look in looks for name in look.get(key) or {} if name.startswith(prefix)
    )
    return {
        name.removeprefix(prefix): tuple((look.get(key) or {}).get(name) for look in looks)
        for name in names
    }


def _mean(details: Sequence[Detail], name: str) -> list[float | int | None]:
    return _averaged([one.weights[name] for one in details if name in one.weights])


def _averaged(series: Sequence[Sequence[Any]]) -> list[float | int | None]:
    """The mean of some series, look by look, without what is missing."""
    means = []
    for values in zip(*series, strict=True):
        numbers = [float(v) for v in values if short(v) is not None]
        means.append(short(sum(numbers) / len(numbers), 3) if numbers else None)
    return means


def _constant(values: list[float | int | None]) -> Any:
    return values[0] if len(set(values)) == 1 else values


def _links(details: Sequence[Detail], names: Sequence[str]) -> dict[str, Any]:
    """The mean strengths by name of the link, one series per block, or their mean if too many."""
    found: dict[str, list[Any]] = {}
    for name in names:
        known = [one.links[name] for one in details if name in one.links]
        known = [rows for rows in known if all(isinstance(row, list) and row for row in rows)]
        blocks = min((len(row) for rows in known for row in rows), default=0)
        found[name] = [
            _averaged([[row[block] for row in rows] for rows in known]) for block in range(blocks)
        ]
    if sum(map(len, found.values())) > LINES:
        return {name: [_averaged(series)] for name, series in found.items()}
    return found
