"""Digests of files by their contents, computed once and kept by size and time of change."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from auxbench.data.own import places
from auxbench.data.prepared.form import sha256
from auxbench.data.progress import bar

SETTLED = 2 * 10**9  # nanoseconds; a file changed more recently may change again unseen
MANY = 50_000_000  # bytes from which on hashing shows its progress


def contents(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """The SHA-256 of files in a folder, by name.

    A digest is kept in the cache folder with the file's size and time of change, and computed again
    if one of these differs. Errors: `OSError`, with the name of the file, if one cannot be read.
    """
    file = places.home() / "digests" / f"{_text(str(folder.resolve()))[:16]}.json"
    file.parent.mkdir(exist_ok=True)
    before = _kept(file)
    found: dict[str, str] = {}
    stamps: dict[str, list[int]] = {}
    todo: list[str] = []
    for name in names:
        facts = (folder / name).stat()
        stamps[name] = [facts.st_size, facts.st_mtime_ns]
        kept = before.get(name)
        if kept is not None and kept[:2] == stamps[name]:
            found[name] = kept[2]
        else:
            todo.append(name)
    total = sum(stamps[name][0] for name in todo)
    if total < MANY:
        found |= {name: sha256(folder / name) for name in todo}
    else:
        with bar("hashing the data", total, unit="byte") as advance:
            for name in todo:
                found[name] = sha256(folder / name)
                advance(stamps[name][0])
    if todo:
        now = time.time_ns()
        settled = {n: [*stamps[n], found[n]] for n in found if now - stamps[n][1] > SETTLED}
        places.write(file, settled)
    return found


def _kept(file: Path) -> dict[str, list[Any]]:
    """Size, time of change and digest of files, by name; of a damaged file what can be read."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    entries = found.items() if isinstance(found, dict) else ()
    return {n: kept for n, kept in entries if isinstance(kept, list) and len(kept) == 3}


def _text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
