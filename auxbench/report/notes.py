"""Notes under a board: what a reader has to know about the runs behind it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from auxbench.data.progress import counted
from auxbench.stats.runs import Runs

NAMED = 4  # methods that a note names one by one


def notes(runs: Runs, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Notes on these rows: failures, changed networks, stale or mixed runs, busy machines."""
    for row in rows:
        if row["failed"]:
            places = runs.methods[row["method"]]
            unfinished = places[runs["status"][places] != "done"]
            reasons = [reason for reason in dict.fromkeys(runs["reason"][unfinished]) if reason]
            share = f"{row['failed']} of {row['seeds'] + row['failed']} runs without a score"
            text = f"{row['method']}: {share}, {row['failures']}"
            yield f"{text} ({reasons[0].rstrip('.')})." if reasons else f"{text}."
    if any(row["failed"] for row in rows):
        yield (
            "Methods are sorted by a mean in which a run without a score counts as the worst score "
            "on this board. Training costs are the recorded costs of all runs, divided by the "
            "number of runs with a score."
        )
    others = [row["method"] for row in rows if row["same_as_single"] is False]
    if others:
        yield (
            "The deployed network differs from the single-task network in its graph: "
            f"{', '.join(others)}."
        )
    for row in rows:
        if row["dropped_open"]:
            yield (
                f"{row['method']}: in {row['dropped_open']} of {row['seeds']} runs the deployed "
                "network lost connections that were still open, with strengths up to "
                f"{row['dropped_strength']:.2f}: the score is that of a primary cut off from "
                "features that it depends on."
            )
    yield from provenance(runs)
    busy = {row["method"]: row["contended"] for row in rows if row["contended"]}
    if busy:
        names = ", ".join(f"{method} ({count})" for method, count in busy.items())
        if len(busy) > NAMED:
            names = f"{len(busy)} methods ({sum(busy.values())} of {len(runs)} runs)"
        yield (
            f"The machine was busy with other work in runs of {names}, whose threads waited for a "
            "free core for more than a tenth of the time: do not compare their seconds."
        )
    if len(classes := hardware(runs)) > 1:
        shown = next(iter(classes))
        rest = ", ".join(f"{name} ({count})" for name, count in list(classes.items())[1:])
        yield (
            f"Seconds and latency are those of {counted(classes[shown], 'run')} on {shown}; runs "
            f"on other hardware do not count in them: {rest}."
        )


def provenance(runs: Runs) -> Iterator[str]:
    """Notes on stale runs of a problem, and on differences in code, data and versions."""
    stale = Counter(runs["stale"].tolist())
    for why, count in stale.items():
        if why:
            yield f"Stale: {count} of {len(runs)} runs, {why}; auxbench run repeats stale runs."
    if len([data for data in runs.distinct("data") if data]) > 1:
        yield "Some of these runs were made on different data from the rest: do not compare them."
    digests: dict[str, set[str]] = {}
    for text in runs.distinct("code"):
        for name, digest in _digests(text):
            digests.setdefault(name, set()).add(digest)
    if mixed := sorted(name for name, known in digests.items() if len(known) > 1):
        yield f"Runs were made by different code of {', '.join(mixed)}: do not compare them."
    if len(versions := sorted(runs.distinct("torch"))) > 1:
        yield f"Runs were made with different versions of torch: {', '.join(versions)}."
    if changed := sum(state is True for state in runs["dirty"].tolist()):
        yield f"{changed} of {len(runs)} runs were made from a checkout with uncommitted changes."
    if len(commits := runs.distinct("commit")) > 1:
        yield f"Runs were made from {len(commits)} commits of auxbench."


@lru_cache(maxsize=1024)
def _digests(text: str) -> tuple[tuple[str, str], ...]:
    """The parts in a run's provenance, and the digests of their code."""
    kinds = json.loads(text).values()
    return tuple((name, known["digest"]) for parts in kinds for name, known in parts.items())


def hardware(runs: Runs) -> dict[str, int]:
    """The hardware classes of the runs that have seconds or a latency, with their counts.

    The first one has runs of the most methods; boards show its seconds and no others.
    """
    names = runs["hardware"]
    timed = ~(np.isnan(runs["train_seconds"]) & np.isnan(runs["latency_ms"]))
    counts = Counter(names[timed].tolist())
    if len(counts) < 2:
        return dict(counts)
    methods = {name: len(set(runs["method"][timed & (names == name)].tolist())) for name in counts}
    order = sorted(counts, key=lambda name: (-methods[name], -counts[name], name))
    return {name: counts[name] for name in order}
