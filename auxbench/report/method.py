"""A method, as its source tells it: what it needs, costs and takes, and what is wrong with it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import Any

from auxbench.report.cite import citations
from auxbench.report.tables import Column, Table
from auxbench.spec import passes as cost
from auxbench.spec.description import Card
from auxbench.spec.grammar import Option, options_of, per_task, spelled
from auxbench.spec.registry import METHODS

LEGEND = (
    "Passes: F forward, B backward, b backward down to the last shared layer, J forward-mode "
    "product, T tasks. Where private parameters keep their own gradients and no rows are known, "
    "up to T b come on top. With --chunks C a Gramian takes C T B, and the step one B more."
)
SIGNALS = {
    "losses": "losses",
    "gramian": "Gramian",
    "inner": "the primary's row",
    "norms": "norms",
    "rows": "rows",
}
MEANING = re.compile(r"^\* `(\w+)`: (.+?)(?=\n\* |\n\s*\n|\Z)", re.MULTILINE | re.DOTALL)
TASKS = (2, 3, 5)  # numbers of tasks for which passes are counted


def needs(card: Card) -> str | None:
    """What a method needs beside a batch and its labels, in words; None for an architecture's none.

    >>> needs(METHODS.card("pcgrad")), needs(METHODS.card("famo")), needs(METHODS.card("hps"))
    ('Gramian', 'losses, a second look', None)
    """
    about = card.attributes
    found = [word for signal, word in SIGNALS.items() if signal in about.get("reads", ())]
    if about.get("weighs_samples"):
        found.append("losses of samples")
    if "reads" in about and not (found or about.get("forks")):
        found.append("losses")
    if any(split.startswith("holdout") for split in card.splits):
        found.append("held-out batch")
    if "train/second" in card.splits:
        found.append("half of the training data")
    if "after" in card.defines:
        found.append("a second look")
    if about.get("forks"):
        found.append("several networks")
    return ", ".join(found) or None


def passes(card: Card) -> str:
    """The passes of a step, as a formula.

    >>> passes(METHODS.card("gradnorm")), passes(METHODS.card("arml"))
    ('F + B + T b', 'F + B + (T - 1) B / every')
    """
    return cost.formula(**_costs(card)) + (" per network" if card.attributes.get("forks") else "")


def tables(name: str) -> list[Table]:
    """All there is to say of a registered method; it is imported, for its options.

    Errors: `UsageError` for an unknown name, with the likely one.
    """
    card = METHODS.card(name)
    maker = METHODS[name]
    return [_about(card), *options(maker, card), *_counted(card, maker)]


def _about(card: Card) -> Table:
    about, papers = card.attributes, citations(card)
    columns = (
        Column("name", "method"),
        Column("family", "family"),
        Column("needs", "needs"),
        Column("passes", "passes a step"),
        Column("asymmetric", "primary is special"),
        Column("paper", "paper"),
        *(
            Column(key, key, shown=False)
            for key in ("summary", "description", "flaws", "source", "url")
        ),
    )
    row = {
        "name": card.name,
        "family": about.get("family"),
        "needs": needs(card),
        "passes": passes(card),
        "asymmetric": about.get("asymmetric"),
        "paper": "; ".join(paper.short for paper in papers) or None,
        "summary": card.summary,
        "description": "\n\n".join(card.description) or None,
        "flaws": card.flaws or None,
        "source": "; ".join(paper.full for paper in papers) or None,
        "url": "; ".join(paper.url for paper in papers) or None,
    }
    notes = (
        LEGEND,
        *card.description,
        *([f"Known flaws: {card.flaws}"] if card.flaws else []),
        *(f"Source: {paper.full} {paper.url}" for paper in papers),
    )
    return Table(card.summary, columns, [row], notes)


def options(maker: type, card: Card) -> list[Table]:
    """A table of the options of a registered part, or none if it has none.

    An option's meaning is its item in the docstring of the class or of a base class, which is
    written "* `option`: ...", or else the first sentence there or in the module's that names it.
    """
    meanings, sentences = _meanings(maker), _sentences(maker, card)
    rows = [
        {
            "option": option.name,
            "kind": option.kind,
            "default": spelled(option.default),
            "range": option.range or None,
            "meaning": meanings.get(option.name) or _meaning(option.name, sentences),
        }
        for option in options_of(maker).values()
    ]
    each = per_task(maker)
    if each is not None:
        rows.append(_each(each, meanings.get(each.name)))
    columns = (
        Column("option", "option"),
        Column("kind", "type"),
        Column("default", "default"),
        Column("range", "range"),
        Column("meaning", "meaning"),
    )
    return [Table("Options", columns, rows)] if rows else []


def _each(option: Option, meaning: str | None) -> dict[str, Any]:
    return {
        "option": "name of a task",
        "kind": option.kind,
        "default": None,
        "range": option.range or None,
        "meaning": meaning or f"{option.name} by task",
    }


def _counted(card: Card, maker: type) -> list[Table]:
    known = {name: option.default for name, option in options_of(maker).items()}
    numbers = {name: float(v) for name, v in known.items() if isinstance(v, int | float)}
    try:
        rows = [
            {"tasks": tasks}
            | {
                kind: int(value) if value.is_integer() else value
                for kind, value in cost.count(tasks, **_costs(card), options=numbers)
                ._asdict()
                .items()
            }
            for tasks in TASKS
        ]
    except KeyError:  # the default of an option depends on the run
        return []
    columns = tuple(Column(key, key) for key in ("tasks", *cost.Passes._fields))
    what = "network's step" if card.attributes.get("forks") else "step"
    return [Table(f"Passes a {what} with the default options", columns, rows)]


def _costs(card: Card) -> dict[str, Any]:
    about = card.attributes
    return {
        "reads": about.get("reads", frozenset()),
        "also": about.get("also", ""),
        "every": about.get("reads_every", ""),
    }


def _meanings(maker: type) -> dict[str, str]:
    """The meanings of options by their names, as docstrings of classes list them."""
    found: dict[str, str] = {}
    for part in reversed(maker.__mro__):
        doc = inspect.cleandoc(part.__dict__.get("__doc__") or "")
        found |= {name: " ".join(text.split()).rstrip(".") for name, text in MEANING.findall(doc)}
    return found


def _sentences(maker: type, card: Card) -> list[str]:
    """What is said of a part: by its class, its module and the helpers that it is made of."""
    helpers = [base for base in maker.__mro__ if base.__module__.startswith("auxbench.")]
    texts = [_prose(helpers[0]), *card.prose, *map(_prose, helpers[1:]), card.flaws]
    return [one for text in texts for one in re.split(r"(?<=[;:])\s+|(?<=\.)\s+(?=[A-Z`])", text)]


def _prose(part: type) -> str:
    doc = inspect.cleandoc(part.__dict__.get("__doc__") or "")
    return " ".join(doc.partition(">>>")[0].split())


def _meaning(name: str, sentences: Sequence[str]) -> str | None:
    named = re.compile(rf"`{name}`|(?<![\w.]){name}=")
    found = (sentence for sentence in sentences if named.search(sentence))
    sentence = next(found, None)
    return sentence.rstrip(".;:") if sentence else None
