"""The catalogue of methods: what they need and cost, as it was measured, read without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_suffix(".json")
TASKS = (2, 3, 5)  # the numbers of tasks with which passes are counted
KINDS = ("forward", "backward", "partial", "jvp")


@dataclass(frozen=True)
class Entry:
    """The facts measured of a method on tiny data (see `auxbench.contract.catalogue`).

    `role` is architecture or balancer. `needs` are what it reads besides a batch and its labels,
    in words. `passes` are those of a training step on average, for each of `TASKS` by `KINDS`.
    `primary_differs` says whether the primary is treated differently, `order_matters` whether the
    order of the auxiliaries does, and `deploys_single`, of architectures, whether the deployed
    network has the parameters of the single-task one. `options` has a row for each option.
    """

    role: str
    family: str
    needs: list[str]
    passes: list[dict[str, float]]
    primary_differs: bool
    order_matters: bool
    deploys_single: bool | None
    options: list[dict[str, Any]]


@cache
def entries() -> Mapping[str, Entry]:
    """The entries of all methods of auxbench, by name."""
    return {name: Entry(**entry) for name, entry in json.loads(FILE.read_text("utf-8")).items()}


def save(measured: Mapping[str, Entry], file: Path = FILE) -> None:
    """Write the catalogue, in the order of names."""
    content = {name: asdict(entry) for name, entry in sorted(measured.items())}
    file.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
