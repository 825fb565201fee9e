"""A backbone: its stages and size, and the options of one that is registered."""

from __future__ import annotations

from typing import Any

from auxbench.report.method import option_tables, options
from auxbench.report.tables import Column, Table, si
from auxbench.spec.grammar import Choice
from auxbench.spec.networks import TESTED, Entry
from auxbench.spec.registry import BACKBONES


def tables(text: str, stages: list[dict[str, Any]]) -> list[Table]:
    """The tables on a backbone, whose stages were measured.

    A stage has the keys blocks, channels, reduction and parameters.
    """
    name = Choice.parse(text).name
    own = name in BACKBONES
    about = BACKBONES.describe(name) if own else None
    title = about.summary if about else _tested(name)
    columns = (
        Column("stage", "stage"),
        Column("blocks", "blocks"),
        Column("channels", "channels"),
        Column("reduction", "pixels per cell"),
        Column("parameters", "parameters"),
    )
    rows = [{"stage": at, **stage} for at, stage in enumerate(stages, 1)]
    total = si(sum(stage["parameters"] for stage in stages))
    notes = (
        *(about.description if about else ()),
        f"{text} has {total} parameters without a head; those of stage 1 include the stem.",
    )
    found = [Table(title, columns, rows, notes)]
    return [*found, *option_tables(options(BACKBONES[name]))] if own else found


def _tested(name: str) -> str:
    entry = next((one for one in TESTED if one.name == name), Entry(name, "", 0, ""))
    return f"{name}: {entry.note}." if entry.note else f"{name}, a network from timm."
