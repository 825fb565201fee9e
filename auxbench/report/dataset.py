"""A data set, as its source tells it: tasks, metrics, options and licence."""

from __future__ import annotations

from typing import Any

from auxbench.report.method import options
from auxbench.report.tables import Column, Table
from auxbench.spec.description import Card


def tables(name: str) -> list[Table]:
    """All there is to say of a registered data set; it is imported, its data are not touched.

    Errors: `UsageError` for an unknown name, with the likely one.
    """
    from auxbench.spec.registry import DATASETS

    card = DATASETS.card(name)
    maker = DATASETS[name]
    return [_about(card, maker), _tasks(maker), *options(maker, card)]


def _about(card: Card, maker: Any) -> Table:
    columns = (
        Column("name", "data set"),
        Column("primary", "primary"),
        Column("auxiliaries", "auxiliaries"),
        Column("backbone", "backbone"),
        Column("licence", "licence"),
        Column("extra", "needs"),
        *(Column(key, key, shown=False) for key in ("summary", "description")),
    )
    row = {
        "name": card.name,
        "primary": maker.primary,
        "auxiliaries": ", ".join(maker.auxiliaries),
        "backbone": maker.backbone,
        "licence": maker.licence,
        "extra": f"pip install 'auxbench[{maker.extra}]'" if maker.extra else None,
        "summary": card.summary,
        "description": "\n\n".join(card.description) or None,
    }
    return Table(card.summary, columns, [row], tuple(card.description))


def _tasks(maker: Any) -> Table:
    columns = (
        Column("task", "task"),
        Column("outputs", "outputs"),
        Column("labels", "labels"),
        Column("metrics", "metrics, the first being the headline"),
    )
    rows = [
        {
            "task": task.name,
            "outputs": task.outputs,
            "labels": ("a map of " if task.dense else "")
            + ("classes" if task.classes else "numbers"),
            "metrics": ", ".join(_metric(make()) for make in task.metrics),
        }
        for task in maker.tasks.values()
    ]
    return Table("Tasks", columns, rows)


def _metric(metric: Any) -> str:
    arrow = {"up": "↑", "down": "↓"}[metric.direction]
    return " ".join(filter(None, [metric.name, metric.unit, arrow]))
