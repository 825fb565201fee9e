"""The ledger: what was tuned in a results folder, with every trial and what it cost."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from auxbench.records.store import Store


@dataclass(frozen=True)
class Trial:
    """One entry that was tried: its mean validation score over `seeds` seeds, None if a run failed.

    `seconds` and `flops` are those of all its runs.
    """

    entry: str
    score: float | None
    seeds: int
    seconds: float
    flops: float


@dataclass(frozen=True)
class Tuning:
    """The tuning of one method on one problem: the trials, and the entry that was selected.

    `direction` is 'up' where a larger score is better, `sampler` how the trials were chosen.
    """

    problem: str
    method: str
    selected: str
    direction: str
    trials: tuple[Trial, ...]
    sampler: str = "sobol"

    @property
    def seconds(self) -> float:
        """The seconds of training that all trials took."""
        return sum(trial.seconds for trial in self.trials)


class Ledger:
    """The tunings of a results folder, appended to `ledger/records.jsonl` and never rewritten.

    For `auxbench tune`, which writes it, and for boards, which say how an entry was found and
    what that cost. The trials are runs; their records lie in `trials/records.jsonl`, apart from
    those of the boards.

    >>> from tempfile import TemporaryDirectory
    >>> tuning = Tuning("toy", "hps", "hps:lr=0.01", "down", (Trial("hps", 0.9, 2, 3.0, 1e9),))
    >>> with TemporaryDirectory() as folder:
    ...     Ledger(folder).append(tuning)
    ...     Ledger(folder).tunings()[0].selected
    'hps:lr=0.01'
    """

    def __init__(self, folder: Path | str) -> None:
        self.store = Store(Path(folder) / "ledger")
        self.trials = Store(Path(folder) / "trials")

    def append(self, tuning: Tuning) -> None:
        """Write a tuning down; a later one of the same method and problem takes its place."""
        name = json.dumps([tuning.problem, tuning.method])
        self.store.append({"id": name, "tuning": asdict(tuning)})

    def tunings(self) -> list[Tuning]:
        """All tunings; errors: `UsageError` for a ledger that cannot be read."""
        return [_tuning(record["tuning"]) for record in self.store.records()]


def _tuning(values: Mapping[str, Any]) -> Tuning:
    trials: Sequence[Mapping[str, Any]] = values["trials"]
    return Tuning(**{**values, "trials": tuple(Trial(**trial) for trial in trials)})
