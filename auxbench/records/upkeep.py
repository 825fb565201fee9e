"""Upkeep of results folders: checking, merging and repairing them.

Predictions that were kept beside records are checked, merged and set aside with these.
"""

from __future__ import annotations

import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auxbench.errors import AuxbenchError, UsageError
from auxbench.records.declared import Declared
from auxbench.records.predictions import FILE, read
from auxbench.records.record import FINAL
from auxbench.records.store import Store

Pairs = Mapping[tuple[str, str], int]  # declared comparisons, with the runs that existed before
PARTS = ("", "trials", "ledger", "looks", "declared", "advice")  # the folder and its subfolders


@dataclass(frozen=True)
class Finding:
    """The state of one file of records: how many it has, and what is wrong with its lines.

    Kept predictions are one finding together, which counts the runs that have them.
    """

    file: str
    records: int
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Merged:
    """The outcome of a merge: how many records were added, and runs whose results differ.

    `undeclared` has the comparisons that only some of the folders had declared.
    """

    added: int
    different: tuple[str, ...]
    undeclared: tuple[str, ...]


def check(folder: Path) -> list[Finding]:
    """Read everything in a results folder; errors: `UsageError` if it is not one."""
    findings = []
    for store in _stores(folder):
        found = store.runs() if _of_runs(store, folder) else store.records()
        name = str(store.file.relative_to(folder))
        findings.append(Finding(name, len(found), tuple(store.problems)))
    if not findings:
        raise UsageError(f"folder '{folder}' has no records; name a results folder.")
    if kept := list(_kept(folder)):
        wrong = [said for said in map(_fault, kept) if said]
        findings.append(Finding(f"runs/*/{FILE}", len(kept) - len(wrong), tuple(wrong)))
    return findings


def merge(sources: Sequence[Path], target: Path) -> Merged:
    """Add the records of some results folders to another, which need not exist.

    If a run is in both, the target keeps its own record unless only the other one is final.
    Predictions that were kept come along with the records that they belong to. A declaration comes
    along if all folders have it, since for the runs of the others it would come too late.
    Errors: `UsageError` for a source without records.
    """
    held = {folder: Declared(folder).pairs() for folder in (target, *sources) if _stores(folder)}
    added, different, came = 0, [], Counter[Path]()
    for source in sources:
        stores = _stores(source)
        if not stores:
            raise UsageError(f"folder '{source}' has no records; name a results folder.")
        for store in stores:
            if store.folder == source / "declared":
                continue
            own = Store(target / store.folder.relative_to(source))
            known = {record["id"]: record for record in own.records()}
            new, same = [], []
            for record in store.runs() if _of_runs(store, source) else store.records():
                mine = known.get(record["id"])
                if mine is None or _settles(record, mine):
                    new.append(record)
                elif _result(record) != _result(mine):
                    different.append(record["id"])
                else:
                    same.append(record)
            own.extend(new)
            came[source] += len(new) if store.folder == source else 0
            if _of_runs(store, source):
                _bring([record["id"] for record in (*new, *same)], store, own)
            added += len(new)
    return Merged(added, tuple(different), tuple(_declare(target, held, came)))


def repair(folder: Path) -> list[Path]:
    """Rewrite damaged files without unreadable lines; return the paths of the old files.

    Predictions that cannot be read are only set aside.

    The old files stay beside the new ones. Errors: `UsageError` as for `check`.
    """
    aside = []
    for finding in check(folder):
        if not finding.problems or finding.file.endswith(FILE):
            continue
        store = Store(folder / finding.file)
        aside += store.rewrite(_of_runs(store, folder))
    stamp = time.strftime("%Y%m%d-%H%M%S")
    for file in _kept(folder):
        if _fault(file):
            aside.append(file.with_name(f"{file.name}.damaged-{stamp}"))
            os.replace(file, aside[-1])
    return aside


def pack(folder: Path) -> list[Path]:
    """Compress the records of runs; return the files that hold them.

    Errors: `UsageError` for a folder without runs and for records that cannot be read.
    """
    stores = [store for store in _stores(folder) if _of_runs(store, folder)]
    if not stores:
        raise UsageError(f"folder '{folder}' has no records of runs; name a results folder.")
    for store in stores:
        store.pack()
    return [store.archive for store in stores]


def _kept(folder: Path) -> Iterator[Path]:
    """The files of kept predictions in a results folder, by name."""
    yield from sorted((folder / "runs").glob(f"*/{FILE}"))


def _fault(file: Path) -> str:
    """The fault of a file of predictions, in a sentence; empty if it has none."""
    try:
        read(file.parent)
    except AuxbenchError as error:
        return f"{str(error).removesuffix('.')}; the page goes without them."
    return ""


def _bring(names: Sequence[str], store: Store, own: Store) -> None:
    """Copy the predictions of runs from one store to another that has none of theirs."""
    for name in names:
        file, target = store.run_folder(name) / FILE, own.run_folder(name) / FILE
        if file.is_file() and not target.exists() and not _fault(file):
            target.parent.mkdir(parents=True, exist_ok=True)
            draft = target.with_name(f".{FILE}.{os.getpid()}.tmp")
            shutil.copyfile(file, draft)
            os.replace(draft, target)


def _stores(folder: Path) -> list[Store]:
    """The stores of a results folder that have a file."""
    stores = [Store(folder / part) for part in PARTS]
    return [store for store in stores if store.file.exists() or store.archive.exists()]


def _of_runs(store: Store, folder: Path) -> bool:
    """Return whether a store of a results folder holds records of runs."""
    return store.folder in (folder, folder / "trials")


def _declare(target: Path, held: Mapping[Path, Pairs], came: Mapping[Path, int]) -> list[str]:
    """Declare what all merged folders had declared; return what only some of them had.

    For a declaration of the target, the runs that `came` from folders without it count as earlier.
    """
    known = {pair for pairs in held.values() for pair in pairs}
    shared = {pair for pair in known if all(pair in pairs for pairs in held.values())}
    own = Declared(target)
    for pair in sorted(shared):
        own.mark(pair, max(pairs[pair] for pairs in held.values()))
    for pair, runs in own.pairs().items():
        if pair not in shared:
            own.mark(pair, runs + sum(n for one, n in came.items() if pair not in held[one]))
    return ["/".join(pair) for pair in sorted(known - shared)]


def _settles(record: dict[str, Any], mine: dict[str, Any]) -> bool:
    return record.get("status") in FINAL and mine.get("status") not in FINAL


def _result(record: dict[str, Any]) -> Any:
    """The part of a record that must be the same when a run is repeated: status and scores."""
    if "run" not in record:
        return {key: value for key, value in record.items() if key != "schema"}
    return record["status"], record["scores"] if record["status"] == "done" else None
