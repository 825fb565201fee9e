"""Notes under a board: what a reader has to know about the runs behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas


def notes(group: pandas.DataFrame, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Notes for the reader: first those on these rows, then those that every board has."""
    for row in rows:
        if row["failed"]:
            part = group[(group["method"] == row["method"]) & (group["status"] != "done")]
            reasons = [reason for reason in dict.fromkeys(part["reason"]) if reason]
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
            "The deployed network differs from the single-task network in its operators: "
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
    yield from provenance(group)
    if len(devices := sorted(set(group["device"].dropna()))) > 1:
        yield f"Seconds and latency come from different devices: {', '.join(devices)}."
    busy = {row["method"]: row["contended"] for row in rows if row["contended"]}
    if busy:
        runs = ", ".join(f"{method} ({count})" for method, count in busy.items())
        yield (
            f"The machine was busy with other work in runs of {runs}, whose threads waited for a "
            "free core for more than a tenth of the time: do not compare their seconds."
        )
    if len(different := threads(group)) > 1:
        counts = ", ".join(map(str, different))
        yield f"Seconds and latency are left out: runs had different numbers of threads ({counts})."
    yield (
        "Score of the deployed network on the test split: mean over the seeds that finished, with "
        "a 95 % t-interval. Costs are means per run, latency the median: passes and FLOPs of "
        "training, parameters and MACs of what is deployed."
    )
    yield (
        "Methods of a tier cannot be told apart from its best one (see auxbench compare); the rank "
        "is a 95 % interval from a bootstrap over seeds."
    )
    yield "Do not judge by overlapping intervals; auxbench compare pairs the seeds."


def provenance(group: pandas.DataFrame) -> Iterator[str]:
    """Notes on stale runs of a problem, and on differences in code, data and versions."""
    for why, part in group[group["stale"] != ""].groupby("stale", sort=False):
        yield f"Stale: {len(part)} of {len(group)} runs, {why}; auxbench run repeats stale runs."
    if group.loc[group["data"] != "", "data"].nunique() > 1:
        yield "Some of these runs were made on different data from the rest: do not compare them."
    digests: dict[str, set[str]] = {}
    for text in set(group["code"]):
        for parts in json.loads(text).values():
            for name, known in parts.items():
                digests.setdefault(name, set()).add(known["digest"])
    if mixed := sorted(name for name, known in digests.items() if len(known) > 1):
        yield f"Runs were made by different code of {', '.join(mixed)}: do not compare them."
    if len(versions := sorted(set(group["torch"].dropna()))) > 1:
        yield f"Runs were made with different versions of torch: {', '.join(versions)}."
    if changed := sum(state is True for state in group["dirty"]):
        yield f"{changed} of {len(group)} runs were made from a checkout with uncommitted changes."
    if len(commits := set(group["commit"].dropna())) > 1:
        yield f"Runs were made from {len(commits)} commits of auxbench."


def threads(group: pandas.DataFrame) -> list[int]:
    """The numbers of threads that the finished runs of a problem had."""
    return sorted({int(count) for count in group["threads"].dropna()})
