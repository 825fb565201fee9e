"""Predictions on a page: the pictures of as many runs as leave the page small."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from auxbench.errors import AuxbenchError
from auxbench.records.predictions import FILE, STRIPS, Predictions, read
from auxbench.records.store import Store
from auxbench.report.page.packed import Pool, rows

TOLD = ("name", "network", "captions", "ranges", "scale", "key")
LIMIT = 3_000_000  # characters of a page


def predictions(
    document: Mapping[str, Any], store: Store, room: int
) -> tuple[dict[str, Any] | None, list[str]]:
    """The pictures of the document's runs within `room` characters, and what cannot be read.

    All runs that kept predictions, else one seed of every method, else as many of these as there is
    room for, in the order of the boards. A picture that several runs share is held once. None if no
    run kept any.
    """
    kept = [_kept(problem, store) for problem in document["problems"]]
    every = [name for methods in kept for seeds in methods for name in seeds]
    if not every:
        return None, []
    first = [seeds[0] for methods in _in_turn(kept) for seeds in methods]
    shelf = _Shelf(store, room)
    whole = shelf.add(first)
    short = shelf.to_json()
    more = [name for name in every if name not in set(first)]
    if whole and shelf.add(more):
        short = shelf.to_json()
    elif whole:
        short["note"] = (
            f"{len(every)} runs kept predictions; the page holds one seed of every method, since "
            f"all would make it larger than {LIMIT // 10**6} MB."
        )
    else:
        short["note"] = (
            f"{len(every)} runs kept predictions; the page holds those of {len(short['runs'])}, "
            f"one seed per method, since more would make it larger than {LIMIT // 10**6} MB."
        )
    return short, shelf.problems


class _Shelf:
    """Pictures by place and the runs that show them, within some characters."""

    def __init__(self, store: Store, room: int) -> None:
        self.store, self.room = store, room
        self.pictures, self.runs = Pool(), dict[str, Any]()
        self.problems: list[str] = []

    def add(self, names: Iterable[str]) -> bool:
        """Add runs as long as there is room; return whether all found it."""
        for name in names:
            try:
                found = read(self.store.run_folder(name))
            except AuxbenchError as error:
                self.problems.append(str(error))
                continue
            before = len(self.pictures.values)
            run = _run(found, self.pictures)
            self.room -= len(json.dumps(run)) + len(name) + 4
            self.room -= sum(len(new) + 3 for new in self.pictures.values[before:])
            if self.room < 0:
                return False
            self.runs[name] = run
        return True

    def to_json(self) -> dict[str, Any]:
        """The pictures on the shelf, in the form that the page reads."""
        used = [place for run in self.runs.values() for place in _places(run)]
        pictures = self.pictures.values[: max(used, default=-1) + 1]
        return {"pictures": pictures, "runs": dict(self.runs), "note": ""}


def _run(found: Predictions, pool: Pool) -> dict[str, Any]:
    places = {
        name: pool.place(base64.b64encode(content).decode())
        for name, content in found.pictures.items()
    }
    about = found.about
    tasks = [
        {
            **{word: task[word] for word in TOLD},
            **{strip: places.get(f"{number}-{strip}") for strip in STRIPS},
        }
        for number, task in enumerate(about["tasks"])
    ]
    sizes = {word: about[word] for word in ("samples", "height", "width")}
    return {**sizes, "picture": places["picture"], "tasks": tasks}


def _places(run: Mapping[str, Any]) -> list[int]:
    strips = [task[strip] for task in run["tasks"] for strip in STRIPS]
    return [run["picture"], *(place for place in strips if place is not None)]


def _kept(problem: Mapping[str, Any], store: Store) -> list[list[str]]:
    """The runs of a problem that kept predictions, by method and seed as on the board."""
    found: dict[int, list[str]] = {}
    for run in rows(problem["runs"]["columns"], problem["runs"]["count"]):
        if (store.run_folder(run["id"]) / FILE).is_file():
            found.setdefault(run["method"], []).append(run["id"])
    return list(found.values())


def _in_turn(kept: Sequence[list[list[str]]]) -> list[list[list[str]]]:
    """The first method of every problem, then the second of every problem, and so on."""
    longest = max(map(len, kept), default=0)
    return [
        [methods[place] for methods in kept if place < len(methods)] for place in range(longest)
    ]
