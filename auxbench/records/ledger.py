"""The ledger: the tunings in a results folder, with every trial and its cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from auxbench.records.store import Store
from auxbench.spec.run import identity


@dataclass(frozen=True)
class Trial:
    """One trial: an entry and its mean validation score over `seeds` seeds, None if a run failed.

    `seconds` and `flops` are totals over its runs, and `hardware` has the classes of these.
    """

    entry: str
    score: float | None
    seeds: int
    seconds: float
    flops: float
    hardware: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tuning:
    """The tuning of one method on one problem: the trials, and the entry that was selected.

    `direction` is 'up' if larger scores are better; `sampler` says how the trials were chosen.
    """

    problem: str
    method: str
    selected: str
    direction: str
    trials: tuple[Trial, ...]
    sampler: str = "sobol"

    @property
    def seconds(self) -> float:
        """The total training time of all trials, in seconds."""
        return sum(trial.seconds for trial in self.trials)


class Ledger:
    """The tunings in a results folder, appended to `ledger/records.jsonl` and never rewritten.

    `auxbench tune` writes it; boards read it to show how an entry was found and at what cost. The
    trials are runs; their records are in `trials/records.jsonl`, separate from the records that
    boards show.

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
        """Append a tuning, which replaces an earlier one; nothing if it says the same."""
        latest = {(known.problem, known.method): known for known in self.tunings()}
        if latest.get((tuning.problem, tuning.method)) == tuning:
            return
        tried = [trial.entry for trial in tuning.trials]
        name = identity({"tuned": [tuning.problem, tuning.method, tuning.sampler, *tried]})
        self.store.append({"id": name, "tuning": asdict(tuning)})

    def tunings(self) -> list[Tuning]:
        """All tunings, the latest last; errors: `UsageError` for a ledger that cannot be read.

        Of several tunings of a method on a problem the last one counts.
        """
        found = (_tuning(record.get("tuning")) for record in self.store.records())
        return [tuning for tuning in found if tuning is not None]


def _tuning(values: Any) -> Tuning | None:
    """The tuning of a record; None if the record is damaged or of something else."""
    try:
        return _made(values)
    except (AttributeError, LookupError, TypeError, ValueError):
        return None


def _made(values: Mapping[str, Any]) -> Tuning:
    trials: Sequence[Mapping[str, Any]] = values["trials"]
    made = (Trial(**{**trial, "hardware": tuple(trial.get("hardware", ()))}) for trial in trials)
    return Tuning(**{**values, "trials": tuple(made)})
