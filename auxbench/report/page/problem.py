"""Problems of a page: the board, the comparisons, the runs and the provenance of each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from auxbench.report.comparison import Comparison
from auxbench.report.difference import COLUMNS as COMPARED
from auxbench.report.difference import Difference
from auxbench.report.notes import provenance
from auxbench.report.page.commands import commands
from auxbench.report.page.conclusion import conclusion
from auxbench.report.page.detail import Detail, lines
from auxbench.report.page.packed import Pool, columns, short
from auxbench.report.page.parts import dataset, families, names_of
from auxbench.report.scored import ScoredProblem
from auxbench.report.tables import Table
from auxbench.stats.runs import Runs

REPEATED = ("entry", "seed", "id")
ORIGINS = {
    "torch": "torch",
    "commit": "commit",
    "dirty": "uncommitted changes",
    "hardware": "machine",
}


class Pools:
    """Texts that recur in the runs of a page."""

    def __init__(self) -> None:
        self.words, self.commands = Pool(), Pool()
        self.software, self.steps = Pool(), Pool()

    def to_json(self) -> dict[str, list[Any]]:
        """The texts, for the page."""
        return {
            "words": self.words.values,
            "commands": self.commands.values,
            "software": self.software.values,
            "steps": self.steps.values,
        }


def problem(
    runs: Runs,
    board: Table,
    place: str,
    comparisons: Sequence[Comparison],
    details: Mapping[str, Detail],
    pools: Pools,
) -> dict[str, Any]:
    """Everything that a page shows of one problem."""
    scored = ScoredProblem.of(runs)
    rows, order = board.data(), [row["method"] for row in board.rows]
    apart = scored.apart(order)
    first = rows[0]
    keys = ("dataset", "primary", "auxiliaries", "backbone", "budget")
    titles = {column.key: column for column in board.columns}
    return {
        "name": scored.name,
        "place": place,
        **{key: first[key] for key in (*keys, "metric", "unit", "direction")},
        "digits": titles["mean"].digits,
        "about": dataset(str(first["dataset"])),
        "protocol": runs["protocol"][0],
        "recipe": next((details[name].budget for name in runs["id"] if name in details), ()),
        "training": next((details[n].training for n in runs["id"] if n in details), ()),
        "commands": commands(
            (entry, seed, details[name])
            for entry, seed, name in zip(*(runs[key].tolist() for key in REPEATED), strict=True)
            if name in details
        ),
        "seeds": sorted(set(runs["seed"].tolist())),
        "drawn": len(runs.distinct("draw")) > 1,
        "board": {"count": len(rows), "columns": columns(rows)},
        "families": [families(row["entry"]) for row in rows],
        "parts": [names_of(row["entry"]) for row in rows],
        "apart": "".join("01"[flag] for flag in apart.values()),
        "comparisons": {
            one.differences[0].control: _comparison(found, board.rows)
            for one in comparisons
            if (found := [d for d in one.differences if d.where["problem"] == scored.name])
        },
        "runs": _runs(runs, order, details, pools),
        "lines": [_lines(runs, method, details) for method in order],
        "differs": [_differs(runs, method, details) for method in order],
        "notes": [*board.notes, *board.explanation],
        "provenance": list(provenance(runs)),
        "origins": _origins(runs),
    }


def _comparison(
    differences: Sequence[Difference], board: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The rows as `auxbench compare` gives them, with every seed's difference beside them."""
    table = Table("", COMPARED, [one.row() for one in differences])
    return {
        "count": len(differences),
        "columns": columns(table.data()),
        "digits": differences[0].digits,
        "differences": [[short(v, 5) for v in one.result.differences] for one in differences],
        "sentences": [one.sentence() for one in differences],
        "conclusion": conclusion(differences, board),
    }


def _runs(
    runs: Runs, order: Sequence[str], details: Mapping[str, Detail], pools: Pools
) -> dict[str, Any]:
    """One entry per run, in the order of the board and of seeds."""
    place = {method: number for number, method in enumerate(order)}
    found = []
    keys = ("id", "method", "seed", "status", "reason", "stale", "value", "train_seconds")
    for values in zip(*(runs[key].tolist() for key in keys), strict=True):
        run = dict(zip(keys, values, strict=True))
        detail = details.get(run["id"])
        found.append(
            {
                "id": run["id"],
                "method": place[run["method"]],
                "seed": run["seed"],
                "status": pools.words.place(run["status"]),
                "reason": pools.words.place(run["reason"] or ""),
                "stale": pools.words.place(run["stale"] or ""),
                "value": run["value"] if run["value"] == run["value"] else None,
                "seconds": short(run["train_seconds"], 3),
                "command": pools.commands.place(detail.command) if detail else None,
                "software": pools.software.place(detail.software) if detail else None,
                "steps": pools.steps.place(detail.steps) if detail else None,
                "curve": list(detail.curve) if detail else [],
                "selected": list(detail.selected) if detail else [],
            }
        )
    found.sort(key=lambda run: (run["method"], run["seed"], run["id"]))
    return {"count": len(found), "columns": columns(found)}


def _details(runs: Runs, method: str, details: Mapping[str, Detail]) -> list[Detail]:
    ids = runs["id"][runs.methods[method]].tolist()
    return [details[name] for name in ids if name in details]


def _lines(runs: Runs, method: str, details: Mapping[str, Detail]) -> dict[str, Any]:
    return lines(_details(runs, method, details))


def _differs(runs: Runs, method: str, details: Mapping[str, Detail]) -> str:
    """The difference of the deployed network's operators from the single-task one's, in words."""
    return next((one.differs for one in _details(runs, method, details) if one.differs), "")


def _origins(runs: Runs) -> dict[str, list[list[Any]]]:
    """The code, data, versions and machines behind the runs, each with its number of runs."""
    found: dict[str, Counter[str]] = {"code": Counter(), "data": Counter()}
    for text in runs["code"].tolist():
        kinds = json.loads(text).values()
        parts = ((name, known) for part in kinds for name, known in part.items())
        found["code"].update(f"{name} {known['digest']}" for name, known in parts)
    found["data"].update(text or "no fingerprint" for text in runs["data"].tolist())
    for key, title in ORIGINS.items():
        values = runs[key].tolist()
        found[title] = Counter("unknown" if v is None or v == "" else str(v) for v in values)
    yes_or_no = {"True": "yes", "False": "no"}
    return {
        title: [[yes_or_no.get(value, value), count] for value, count in sorted(counts.items())]
        for title, counts in found.items()
    }
