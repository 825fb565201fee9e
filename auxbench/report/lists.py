"""The registered parts as tables: methods, data sets, backbones, heads, budgets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from auxbench.data.own import places
from auxbench.report.catalogue import Entry, entries
from auxbench.report.cite import citations
from auxbench.report.method import needs, tidy
from auxbench.report.tables import Column, Table
from auxbench.spec.budget import BUDGETS
from auxbench.spec.description import Description
from auxbench.spec.networks import HEADS, TESTED
from auxbench.spec.registry import BACKBONES, DATASETS, METHODS


def methods() -> Table:
    """All registered methods, without importing those of auxbench.

    Methods that were not measured, such as those of other packages, have gaps;
    `auxbench show method NAME` measures them.
    """
    columns = (
        Column("name", "method"),
        Column("family", "family", spare=1),
        Column("needs", "needs", spare=3),
        Column("forward", "forward", shown=False),
        Column("backward", "backward", spare=2),
        Column("partial", "partial", shown=False),
        Column("jvp", "jvp", shown=False),
        Column("primary_differs", "primary differs", shown=False),
        Column("paper", "paper", spare=4),
        Column("summary", "what it is"),
        Column("problem", "not usable", shown=False),
    )
    rows = []
    for about in map(METHODS.describe, METHODS.names()):
        known = entries().get(about.name)
        measured = _unmeasured(about) if known is None else _measured(known)
        papers = "; ".join(paper.short for paper in citations(about)) or None
        told = {"summary": about.problem or about.summary, "problem": about.problem}
        rows.append({"name": about.name, **measured, "paper": papers, **told})
    notes = (
        "Backward passes are per training step with three tasks; see auxbench show method NAME.",
        "Parts are joined by +, and options follow a colon: auxnas:l1=10+gradnorm:alpha=1.",
        "auxbench list methods --cite NAMES gives their papers as BibTeX.",
    )
    return Table("", columns, rows, notes)


def _unmeasured(about: Description) -> dict[str, Any]:
    """The facts about another package's method, which has already been imported."""
    return {} if about.problem else {"family": getattr(METHODS[about.name], "family", None)}


def _measured(entry: Entry) -> dict[str, Any]:
    passes = {kind: tidy(number) for kind, number in entry.passes[1].items()}
    return {
        "family": entry.family,
        "needs": needs(entry),
        "primary_differs": entry.primary_differs,
        **passes,
    }


def datasets() -> Table:
    """All registered data sets, without importing them, and the known folders of own data."""
    columns = (
        Column("name", "data set"),
        Column("summary", "what it is"),
        Column("licence", "licence", spare=2),
        Column("extra", "needs", spare=1),
    )
    rows = []
    for about in map(DATASETS.describe, DATASETS.names()):
        extra = about.attributes.get("extra", "")
        rows.append(
            {
                "name": about.name,
                "summary": about.problem or about.summary,
                "licence": about.attributes.get("licence", ""),
                "extra": f"pip install 'auxbench[{extra}]'" if extra else "",
            }
        )
    for name in places.names():
        facts = {"summary": f"Your own data in '{places.place_of(name)}'.", "licence": "yours"}
        rows.append({"name": f"folder:name={name}", **facts, "extra": ""})
    return Table("", columns, rows)


def backbones() -> Table:
    """The registered and the tested backbones; those of timm that can be cut work too."""
    columns = (
        Column("name", "backbone"),
        Column("family", "family", spare=2),
        Column("parameters", "parameters, millions", 2),
        Column("stages", "blocks per stage", spare=1),
        Column("note", "note"),
    )
    rows: list[dict[str, Any]] = [
        {
            "name": entry.name,
            "family": entry.family,
            "parameters": entry.parameters,
            "stages": entry.stages,
            "note": entry.note,
        }
        for entry in TESTED
    ]
    for about in map(BACKBONES.describe, BACKBONES.names()):
        note = about.problem or about.summary
        rows.append({"name": about.name, "family": "of one's own", "note": note})
    notes = (
        "For images, any other timm network that can be cut into blocks works too.",
        "A network of your own is a file: auxbench new backbone NAME.",
    )
    return Table("", columns, rows, notes)


def heads() -> Table:
    """The heads of tasks that predict maps; other tasks have a linear layer."""
    columns = (Column("name", "head"), Column("summary", "what it is"))
    rows = [{"name": name, "summary": summary} for name, summary in HEADS.items()]
    notes = ("auxbench run --backbone resnet50:output_stride=8 --head deeplab:reach=96",)
    return Table("", columns, rows, notes)


def budgets() -> Table:
    """The budget tiers; a budget in which single values were replaced is marked with a star."""
    columns = (
        Column("name", "budget"),
        Column("steps", "steps"),
        Column("batch", "batch"),
        Column("side", "side"),
        Column("optimizer", "optimizer", spare=3),
        Column("learning_rate", "learning rate", 4, spare=1),
        Column("schedule", "schedule", spare=4),
        Column("evaluations", "evaluations", spare=2),
        Column("weight_decay", "weight decay", 4, shown=False),
        Column("warm_up", "warm-up", 2, shown=False),
        Column("selection", "selection", shown=False),
        Column("purpose", "purpose", spare=1),
    )
    rows = [
        {"name": name, **recipe.to_json(), "purpose": recipe.purpose}
        for name, recipe in BUDGETS.items()
    ]
    return Table("", columns, rows)


TABLES: dict[str, Callable[[], Table]] = {
    "methods": methods,
    "datasets": datasets,
    "backbones": backbones,
    "heads": heads,
    "budgets": budgets,
}
