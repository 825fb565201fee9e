"""Parts: what a page says about the rules behind its methods, and about its data sets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from auxbench.errors import AuxbenchError
from auxbench.report.catalogue import KINDS, TASKS, entries
from auxbench.report.cite import citations
from auxbench.report.method import tidy
from auxbench.spec.grammar import Choice
from auxbench.spec.registry import DATASETS, METHODS

OTHER = "other"


def names_of(entry: str) -> list[str]:
    """The names of an entry's parts, without options.

    >>> names_of("auxnas:l1=17.8+pcgrad:lr=0.01")
    ['auxnas', 'pcgrad']
    """
    return [Choice.parse(part).name for part in entry.split("+")]


def families(entry: str) -> list[str]:
    """The families of an entry's parts; 'other' for parts that the catalogue does not have."""
    known = entries()
    found = (known[name].family if name in known else OTHER for name in names_of(entry))
    return list(dict.fromkeys(found))


def parts(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The page of every part: its rule, known flaws, measured passes, options and papers."""
    return {name: _part(name) for name in sorted(set(names))}


def dataset(text: str) -> str:
    """A data set in one sentence; empty if it is not on this machine."""
    try:
        return DATASETS.describe(Choice.parse(text).name).summary
    except (AuxbenchError, OSError, SyntaxError):
        return ""


def _part(name: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    try:
        about = METHODS.describe(name)
        found = {
            "summary": about.summary,
            "description": about.description,
            "flaws": about.flaws,
            "papers": [
                {"short": one.short, "full": one.full, "url": one.url, "bibtex": one.bibtex}
                for one in citations(about)
            ],
        }
    except (AuxbenchError, OSError, SyntaxError):
        found = {"summary": "This method is not on the machine on which the page was made."}
    if entry := entries().get(name):
        found |= {
            "family": entry.family,
            "needs": entry.needs,
            "primary_differs": entry.primary_differs,
            "deploys_single": entry.deploys_single,
            "tasks": list(TASKS),
            "passes": {kind: [tidy(one[kind]) for one in entry.passes] for kind in KINDS},
            "options": [
                [row["option"], row["default"], row["range"], row["help"]] for row in entry.options
            ],
        }
    return found
