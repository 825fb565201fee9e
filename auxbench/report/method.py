"""A method: its needs, costs, options and known flaws."""

from __future__ import annotations

from typing import Any

from auxbench.report.catalogue import KINDS, TASKS, Entry
from auxbench.report.cite import citations
from auxbench.report.tables import Column, Table
from auxbench.spec.description import Description
from auxbench.spec.grammar import Option, options_of, per_task, spelled
from auxbench.spec.registry import METHODS

LEGEND = (
    "Passes of a training step, measured on tiny data and averaged over 40 steps, without "
    "validation: forward and backward passes of the training network; partial backward passes, "
    "from a loss down to the last shared layer; forward-mode products (jvp)."
)


def tables(name: str, entry: Entry) -> list[Table]:
    """The tables on a registered method, given its entry in the catalogue.

    Errors: `UsageError` for an unknown name, with the most likely one.
    """
    return [_about(METHODS.describe(name), entry), *option_tables(entry.options), _passes(entry)]


def needs(entry: Entry) -> str | None:
    """A method's needs besides a batch and its labels, in words."""
    return ", ".join(entry.needs) or None


def _about(about: Description, entry: Entry) -> Table:
    papers = citations(about)
    columns = (
        Column("name", "method"),
        Column("family", "family"),
        Column("needs", "needs", spare=2),
        Column("primary_differs", "treats the primary differently", spare=3),
        Column("order_matters", "depends on the order of auxiliaries", spare=4),
        Column("deploys_single", "deploys the single-task network", spare=1),
        Column("paper", "paper", spare=2),
        *(
            Column(key, key, shown=False)
            for key in ("summary", "description", "flaws", "source", "url")
        ),
    )
    row = {
        "name": about.name,
        "family": entry.family,
        "needs": needs(entry),
        "primary_differs": entry.primary_differs,
        "order_matters": entry.order_matters,
        "deploys_single": entry.deploys_single,
        "paper": "; ".join(paper.short for paper in papers) or None,
        "summary": about.summary,
        "description": "\n\n".join(about.description) or None,
        "flaws": about.flaws or None,
        "source": "; ".join(paper.full for paper in papers) or None,
        "url": "; ".join(paper.url for paper in papers) or None,
    }
    notes = (
        *about.description,
        *([f"Known flaws: {about.flaws}"] if about.flaws else []),
        *(f"Source: {paper.full} {paper.url}" for paper in papers),
    )
    return Table(about.summary, columns, [row], notes)


def _passes(entry: Entry) -> Table:
    columns = (Column("tasks", "tasks"), *(Column(kind, kind) for kind in KINDS))
    pairs = zip(TASKS, entry.passes, strict=True)
    rows = [{"tasks": tasks, **{k: tidy(v) for k, v in found.items()}} for tasks, found in pairs]
    return Table("Passes of a training step", columns, rows, (LEGEND,))


def tidy(number: float) -> float:
    """A whole number as an int, so that it is written without decimals."""
    return int(number) if float(number).is_integer() else number


def options(maker: type) -> list[dict[str, Any]]:
    """A row for every option of a registered part: name, type, default, range, explanation."""
    rows = [
        _row(option, option.name, spelled(option.default)) for option in options_of(maker).values()
    ]
    each = per_task(maker)
    return rows if each is None else [*rows, _row(each, "name of a task", None)]


def _row(option: Option, name: str, default: str | None) -> dict[str, Any]:
    return {
        "option": name,
        "kind": option.kind,
        "default": default,
        "range": option.range or None,
        "help": option.help or None,
    }


def option_tables(rows: list[dict[str, Any]]) -> list[Table]:
    """A table of options, or none if there are none."""
    columns = (
        Column("option", "option"),
        Column("kind", "type", spare=2),
        Column("default", "default"),
        Column("range", "range", spare=1),
        Column("help", "what it does"),
    )
    return [Table("Options", columns, rows)] if rows else []
