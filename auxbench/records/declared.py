"""Declared comparisons: those that were announced before their runs."""

from __future__ import annotations

import json
from pathlib import Path

from auxbench.errors import UsageError
from auxbench.records.store import Store
from auxbench.spec.grammar import split_list


class Declared:
    """The comparisons that a results folder was made for, kept in `declared/records.jsonl`.

    `auxbench run` and `tune` write them before any run. In reports they are confirmatory, with a
    correction over them alone; all other comparisons are exploratory.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     Declared(folder).append("pcgrad/single,hps/single", runs=0)
    ...     Declared(folder).pairs()
    {('pcgrad', 'single'): 0, ('hps', 'single'): 0}
    """

    def __init__(self, folder: Path | str) -> None:
        self.store = Store(Path(folder) / "declared")

    def append(self, text: str, runs: int) -> None:
        """Declare comparisons, written METHOD/CONTROL and separated by commas.

        `runs` is the number of runs that the folder already has. Existing declarations are not
        changed. Errors: `UsageError` for a text that does not have this form.
        """
        known = self.pairs()
        for entry in split_list(text):
            method, slash, control = (part.strip() for part in entry.partition("/"))
            if not (method and slash and control) or "/" in control:
                raise UsageError(f"comparison '{entry}' is not METHOD/CONTROL; write one such.")
            if (method, control) not in known:
                name = json.dumps([method, control])
                self.store.append({"id": name, "pair": [method, control], "runs": runs})

    def mark(self, pair: tuple[str, str], runs: int) -> None:
        """Declare one comparison, or change the number of runs that were made before."""
        if self.pairs().get(pair) != runs:
            self.store.append({"id": json.dumps(pair), "pair": pair, "runs": runs})

    def pairs(self) -> dict[tuple[str, str], int]:
        """The declared pairs (method, control), and how many runs existed at that time."""
        return {(r["pair"][0], r["pair"][1]): r["runs"] for r in self.store.records()}
