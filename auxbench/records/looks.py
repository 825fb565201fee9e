"""Looks: interim analyses of comparisons, made before more seeds are added."""

from __future__ import annotations

import json
from pathlib import Path

from auxbench.records.store import Store


class Looks:
    """The interim looks at a results folder, kept in `looks/records.jsonl`.

    `auxbench run --until decided` writes them; comparisons are then decided at the significance
    level of the latest look.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     Looks(folder).append("toy", "hps", "single", 5)
    ...     Looks(folder).append("toy", "hps", "single", 10)
    ...     Looks(folder).latest()
    {('toy', 'hps', 'single'): 10}
    """

    def __init__(self, folder: Path | str) -> None:
        self.store = Store(Path(folder) / "looks")

    def append(self, problem: str, method: str, control: str, seeds: int) -> None:
        """Record that a comparison was looked at when it had this many seeds."""
        name = json.dumps([problem, method, control, seeds])
        self.store.append({"id": name, "look": [problem, method, control], "seeds": seeds})

    def latest(self) -> dict[tuple[str, str, str], int]:
        """The number of seeds at the latest look, by problem, method and control."""
        found: dict[tuple[str, str, str], int] = {}
        for record in self.store.records():
            problem, method, control = record["look"]
            key = (problem, method, control)
            found[key] = max(found.get(key, 0), record["seeds"])
        return found
