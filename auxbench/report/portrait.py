"""The data report: a problem's labels, near-duplicates and what labels say, as tables."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from auxbench.report.tables import Column, Table, decimals

if TYPE_CHECKING:
    from auxbench.data.portrait import Portrait, Share

NAMED = 4  # classes that are named with their shares
SHIFTED = 0.1  # of a distribution of classes, and twice as much of a mean, that is worth a warning
SURE = 3.0  # times chance
WARNED = 0.01  # share of samples with a near-duplicate in training that is worth a warning


def tables(portrait: Portrait) -> list[Table]:
    """The tables of a portrait: labels, near-duplicates, and what labels say."""
    found = [_labels(portrait), _twins(portrait)]
    return [*found, _gains(portrait)] if portrait.gains else found


def warnings(portrait: Portrait) -> Iterator[str]:
    """Sentences about what may mislead: labels that determine the primary, twins, shifts, gaps."""
    primary = portrait.primary
    if culprits := portrait.culprits:
        names = " and ".join(culprits.auxiliaries)
        several = len(culprits.auxiliaries) > 1
        yield (
            f"The labels of {names} nearly determine {primary}: with them {culprits.together:.1%} "
            f"of it is explained, without them {culprits.alone:.1%}. A gain from "
            f"{'these tasks' if several else 'this task'} says that the answer helps; ask whether "
            "you will have these labels where you lack the primary's, and leave them out if they "
            "were computed from it."
        )
    for twins in portrait.twins:
        share = twins.count / max(twins.total, 1)
        if twins.split != twins.among and share >= WARNED and twins.pair:
            yield (
                f"{twins.count} of {twins.total} {twins.split} samples ({share:.0%}) have a "
                f"near-duplicate in {twins.among}, such as {twins.split} {twins.pair[0]} and "
                f"{twins.among} {twins.pair[1]}: scores on them say little about new data."
            )
    before = {one.task: one for one in portrait.shares if one.split == "train"}
    moved = [one for one in portrait.shares if _shifted(one, before[one.task])]
    if moved:
        named = ", ".join(f"{one.task} in {one.split} ({one.shift:+.2f})" for one in moved)
        yield f"Labels are distributed differently than in training: {named}."
    rare = [s.task for s in portrait.shares if s.split == "train" and s.labelled == 0]
    if rare:
        yield f"No training sample that was read has a label of {', '.join(rare)}."
    if portrait.without:
        yield f"Nothing is said of how labels depend on each other: {portrait.without}"


def _shifted(one: Share, before: Share) -> bool:
    """True for a shift that matters and is larger than chance makes it in samples of this size."""
    if one.split == "train" or not (one.labelled and before.labelled):
        return False
    noise = math.sqrt(1 / one.samples + 1 / before.samples)
    if not one.shares:
        return abs(one.shift) >= max(2 * SHIFTED, SURE * noise)
    # the mean of half the sum of absolute differences of shares that are drawn alike
    deviations = sum(noise * math.sqrt(part * (1 - part)) for _, part in before.shares)
    chance = math.sqrt(2 / math.pi) * deviations / 2
    return one.shift >= max(SHIFTED, SURE * chance)


def _labels(portrait: Portrait) -> Table:
    columns = (
        Column("task", "task"),
        Column("role", "role", spare=3),
        Column("split", "split"),
        Column("samples", "samples", spare=2),
        Column("labelled", "labelled %", 1),
        Column("labels", "labels"),
        Column("classes", "classes", shown=False),
        Column("mean", "mean", shown=False),
        Column("deviation", "deviation", shown=False),
        Column("shift", "shift", 2, signed=True, spare=1),
    )
    rows = [
        {
            "task": share.task,
            "role": "primary" if share.task == portrait.primary else "auxiliary",
            "split": share.split,
            "samples": share.samples,
            "labelled": 100 * share.labelled,
            "labels": _words(share),
            "classes": len(share.shares) or None,
            "mean": None if share.shares else share.mean,
            "deviation": None if share.shares else share.deviation,
            "shift": None if share.split == "train" else share.shift,
        }
        for share in portrait.shares
    ]
    notes = [
        "Shift from the training split: of classes the share that would have to move, of numbers "
        "the change of the mean in training deviations."
    ]
    if portrait.partly:
        notes.append("Only some samples of each split were read; --samples reads more.")
    return Table(f"{portrait.dataset}: labels", columns, rows, tuple(notes))


def _words(share: Share) -> str:
    if share.shares:
        named = ", ".join(f"{name} {part:.1%}" for name, part in share.shares[:NAMED])
        more = len(share.shares) - NAMED
        return f"{named}, {more} more" if more > 0 else named
    if share.mean != share.mean:
        return "none"
    digits = decimals(share.deviation)
    mean = round(share.mean, digits) + 0.0  # of the two zeros, the one without a sign
    return f"{mean:.{digits}f} ± {share.deviation:.{digits}f}"


def _twins(portrait: Portrait) -> Table:
    columns = (
        Column("split", "samples of"),
        Column("among", "with a near-duplicate in"),
        Column("count", "number"),
        Column("total", "of"),
        Column("share", "%", 1),
        Column("pair", "closest pair", spare=1),
    )
    rows = [
        {
            "split": one.split,
            "among": one.among,
            "count": one.count,
            "total": one.total,
            "share": 100 * one.count / one.total if one.total else None,
            "pair": "{}, {}".format(*one.pair) if one.pair else None,
        }
        for one in portrait.twins
    ]
    from auxbench.data.duplicates import ALIKE, CLOSE  # with torch, which the portrait took anyway
    from auxbench.data.pooled import THUMB

    how = (
        f"Pictures are near-duplicates if their thumbnails of {THUMB} x {THUMB} pixels correlate "
        f"by {ALIKE} or more; mirrored, turned and cropped copies are not found."
        if portrait.pictures
        else f"Vectors are near-duplicates if they are {1 / CLOSE:.0f} times closer than samples "
        "and their nearest neighbours usually are."
    )
    notes = (how + " The first row says how usual that is within training.",)
    return Table(f"{portrait.dataset}: near-duplicates", columns, rows, notes)


def _gains(portrait: Portrait) -> Table:
    columns = (
        Column("auxiliaries", "labels of"),
        Column("alone", "inputs explain %", 1),
        Column("together", "with the labels %", 1),
        Column("gain", "gain", 1, signed=True),
        Column("low", "95 % interval", 1, signed=True, upto="high"),
        Column("high", "high", shown=False),
        Column("determines", "determines", shown=False),
        Column("reading", "reading", spare=1),
    )
    rows = []
    for gain in portrait.gains:
        every = len(gain.auxiliaries) > 1
        reading = "says more" if gain.low > 0 else "nothing found"
        rows.append(
            {
                "auxiliaries": "all together" if every else gain.auxiliaries[0],
                "alone": 100 * gain.alone,
                "together": 100 * gain.together,
                "gain": 100 * gain.gain,
                "low": 100 * gain.low,
                "high": 100 * gain.high,
                "determines": gain.determines,
                "reading": "nearly determines it" if gain.determines else reading,
            }
        )
    what = "entropy" if portrait.classes else "variance"
    notes = (
        f"Share of the {what} of {portrait.primary} on training {portrait.unit}s that small models "
        "(linear, or boosted trees) explain on folds that they were not fitted to: from simple "
        "features of the inputs, and from these and the labels. Every interval is by itself.",
        "This says which labels carry knowledge of the primary that the inputs do not show easily. "
        "It does not say which task helps: one whose labels are a function of the inputs may teach "
        "a network what to look at although it says nothing here, one that says much may be no use "
        "to a network that never sees its labels, and a large network reads more from the inputs.",
    )
    title = f"{portrait.dataset}: what labels say of {portrait.primary} beyond the inputs"
    return Table(title, columns, rows, notes)
