"""Advice under way: how far each study of `auxbench advise` is, so that the next call goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from auxbench.records.store import Store

Candidate = tuple[str, tuple[str, ...]]  # a method and the auxiliaries that it is trained with


@dataclass(frozen=True)
class State:
    """The state of one study.

    `budget` is the tier that was chosen for it and `methods` those that fit, `spent` the seconds of
    all calls so far. `trials` is the number of trials that every candidate had when screening
    ended, 0 before that. `seeds` has the candidates that were chosen then, the control first, with
    the number of seeds at their latest look, and `active` those that the next look is for.
    """

    budget: str
    methods: tuple[str, ...]
    spent: float = 0.0
    trials: int = 0
    seeds: tuple[tuple[Candidate, int], ...] = ()
    active: tuple[Candidate, ...] = ()


class Advice:
    """The studies in a results folder, appended to `advice/records.jsonl`; the last state counts.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     Advice(folder).save("4f2a", State("demo", ("static",), spent=60.0))
    ...     Advice(folder).load("4f2a").spent, Advice(folder).load("another")
    (60.0, None)
    """

    def __init__(self, folder: Path | str) -> None:
        self.store = Store(Path(folder) / "advice")

    def save(self, key: str, state: State) -> None:
        """Append the state of a study."""
        self.store.append({"id": key, "advice": asdict(state)})

    def load(self, key: str) -> State | None:
        """The latest state of a study; None if there is none that can be read."""
        found = [record for record in self.store.records() if record["id"] == key]
        try:
            return _state(found[-1]["advice"]) if found else None
        except (AttributeError, LookupError, TypeError, ValueError):
            return None


def _state(values: Mapping[str, Any]) -> State:
    state = State(**values)
    return replace(
        state,
        methods=tuple(map(str, state.methods)),
        spent=float(state.spent),
        trials=int(state.trials),
        seeds=tuple((_candidate(one), int(count)) for one, count in state.seeds),
        active=tuple(map(_candidate, state.active)),
    )


def _candidate(values: Any) -> Candidate:
    method, auxiliaries = values
    return str(method), tuple(map(str, auxiliaries))
