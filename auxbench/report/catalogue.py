"""The catalogue of methods: their measured needs and costs, readable without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_suffix(".json")
TASKS = (2, 3, 5)  # the numbers of tasks for which passes are counted
KINDS = ("forward", "backward", "partial", "jvp")


@dataclass(frozen=True)
class Entry:
    """The facts measured about a method on tiny data (see `auxbench.contract.catalogue`).

    `role` is architecture or balancer. `needs` lists, in words, what it reads besides a batch and
    its labels. `passes` has the mean passes of a training step, by `KINDS`, for each of `TASKS`.
    `primary_differs` says whether the primary is treated differently, `order_matters` whether the
    order of the auxiliaries matters, and `deploys_single` (None for balancers) whether the deployed
    network has the parameters of the single-task network. `options` has one row per option.
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
    """Write the catalogue, sorted by name."""
    content = {name: asdict(entry) for name, entry in sorted(measured.items())}
    file.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
