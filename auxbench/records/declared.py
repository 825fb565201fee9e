"""Declared comparisons: those that were named before their runs were made."""

from __future__ import annotations

import json
from pathlib import Path

from auxbench.errors import UsageError
from auxbench.records.store import Store
from auxbench.spec.grammar import split_list


class Declared:
    """The comparisons that a results folder was made for, kept in `declared/records.jsonl`.

    For `auxbench run` and `tune`, which write them down first, and for reports, in which they are
    confirmatory, with a correction over them alone; everything else is exploratory.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     Declared(folder).append("pcgrad/single,hps/single", runs=0)
    ...     Declared(folder).pairs()
    {('pcgrad', 'single'): 0, ('hps', 'single'): 0}
    """

    def __init__(self, folder: Path | str) -> None:
        self.store = Store(Path(folder) / "declared")

    def append(self, text: str, runs: int) -> None:
        """Declare comparisons, written METHOD/CONTROL with commas between them.

        `runs` is how many runs the folder has already. What is declared stays as it was at first.
        Errors: `UsageError` for a text that is not of this form.
        """
        known = self.pairs()
        for entry in split_list(text):
            method, slash, control = (part.strip() for part in entry.partition("/"))
            if not (method and slash and control) or "/" in control:
                raise UsageError(f"comparison '{entry}' is not METHOD/CONTROL; write one such.")
            if (method, control) not in known:
                name = json.dumps([method, control])
                self.store.append({"id": name, "pair": [method, control], "runs": runs})

    def pairs(self) -> dict[tuple[str, str], int]:
        """The declared pairs (method, control), and how many runs there were at that time."""
        return {(r["pair"][0], r["pair"][1]): r["runs"] for r in self.store.records()}
