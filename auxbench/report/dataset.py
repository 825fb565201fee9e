"""A data set as its source file describes it: tasks, metrics, options and licence."""

from __future__ import annotations

from typing import Any

from auxbench.report.method import option_tables, options
from auxbench.report.tables import Column, Table
from auxbench.spec.description import Description
from auxbench.spec.grammar import Choice
from auxbench.spec.registry import DATASETS

SIDE = 64  # pixels, where a data set is made to be described


def tables(text: str) -> list[Table]:
    """The tables on a registered data set, which is imported without reading its data.

    With options, as in `folder:data=DIR`, they are on the data set so made, and so they are if only
    making it shows its tasks. Errors: `UsageError` for an unknown name, with the most likely one,
    and for options that it cannot have.
    """
    choice = Choice.parse(text)
    about, maker = DATASETS.describe(choice.name), DATASETS[choice.name]
    made: Any = maker
    if choice.options or not hasattr(maker, "tasks"):
        from auxbench.data.dataset import make_dataset

        made = make_dataset(text, SIDE)
    return [_about(about, made, text), _tasks(made), *option_tables(options(maker))]


def _about(about: Description, maker: Any, name: str) -> Table:
    columns = (
        Column("name", "data set"),
        Column("primary", "primary"),
        Column("auxiliaries", "auxiliaries"),
        Column("backbone", "backbone", spare=1),
        Column("licence", "licence", spare=2),
        Column("extra", "needs", spare=3),
        *(Column(key, key, shown=False) for key in ("summary", "description")),
    )
    summary = getattr(maker, "about", "") or about.summary
    row = {
        "name": name,
        "primary": maker.primary,
        "auxiliaries": ", ".join(maker.auxiliaries),
        "backbone": maker.backbone,
        "licence": maker.licence,
        "extra": f"pip install 'auxbench[{maker.extra}]'" if maker.extra else None,
        "summary": summary,
        "description": "\n\n".join(about.description) or None,
    }
    return Table(summary, columns, [row], tuple(about.description))


def _tasks(maker: Any) -> Table:
    columns = (
        Column("task", "task"),
        Column("outputs", "outputs", spare=1),
        Column("labels", "labels"),
        Column("metrics", "metrics, the first being the headline"),
        Column("margin", "margin of equivalence", spare=2),
    )
    rows = [
        {
            "task": task.name,
            "outputs": task.outputs,
            "labels": ("a map of " if task.dense else "")
            + ("classes" if task.kind.classes else "numbers"),
            "metrics": ", ".join(_metric(make()) for make in task.kind.metrics),
            "margin": maker.margins.get(task.name, task.kind.margin),
        }
        for task in maker.tasks.values()
    ]
    return Table("Tasks", columns, rows)


def _metric(metric: Any) -> str:
    arrow = {"up": "↑", "down": "↓"}[metric.direction]
    return " ".join(filter(None, [metric.name, metric.unit, arrow]))
