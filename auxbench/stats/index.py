"""The index: what boards read of the records of a folder, kept beside them in a compact form.

Records hold curves and traces, which boards do not need. The index is made from the records
whenever it is missing or does not belong to them, and is continued when records were appended, so
it may be deleted at any time. It is an .npz file without pickled objects: columns of numbers, and
for all others the numbers of their distinct values, which are stored as JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from auxbench.records.record import FINAL
from auxbench.records.store import Store
from auxbench.stats.columns import FIXED, PLAIN, Columns, decoded, table

if TYPE_CHECKING:
    import pandas

FILE = ".index.npz"
VERSION = 4
MANY = 2_000  # runs from which on an index is kept
TAIL = 4096  # bytes at the end of a file by which it is known again


def indexed(store: Store) -> pandas.DataFrame:
    """The columns of all runs of a folder (see `columns_of`), read from its index if there is one.

    Problems with lines are listed in `store.problems`, as by reading the records. Errors:
    `UsageError` if the records cannot be read.
    """
    file, state = store.folder / FILE, _state(store)
    known = _load(file)
    if known is not None and known[0]["state"] == state:
        store.problems = list(known[0]["problems"])
        return known[1]
    if known is not None and (start := _appended(store, known[0], state)):
        new = _read(store, start)
        problems = [*known[0]["problems"], *store.problems]
        rows = _merged(known[1], new) if len(new) else known[1]
    else:
        rows = _read(store)
        problems = list(store.problems)
    store.problems = problems
    if len(rows) >= MANY:
        with suppress(OSError):  # a folder that cannot be written is read without an index
            whole = _whole(store.file, state["file"][0]) if "file" in state else ""
            head = {"version": VERSION, "state": state, "whole": whole, "problems": problems}
            _save(file, head, rows)
    return rows


def _read(store: Store, start: int = 0) -> pandas.DataFrame:
    columns = Columns()
    return columns.frame(store.kept(columns.add, start).values())


def _merged(old: pandas.DataFrame, new: pandas.DataFrame) -> pandas.DataFrame:
    """The later runs after the earlier ones; in place of these, unless only they are not final."""
    import pandas

    again = new["id"].isin(set(old["id"]))
    settled = set(old.loc[old["status"].isin(FINAL), "id"])
    kept = new[~(again & new["id"].isin(settled) & ~new["status"].isin(FINAL))]
    return pandas.concat([old[~old["id"].isin(set(kept["id"]))], kept], ignore_index=True)


def _state(store: Store) -> dict[str, Any]:
    """Size, time and last bytes of the files of a store; what they are known by."""
    found: dict[str, Any] = {}
    for name, file in (("archive", store.archive), ("file", store.file)):
        with suppress(FileNotFoundError):
            status = file.stat()
            found[name] = [status.st_size, status.st_mtime_ns, _tail(file, status.st_size)]
    return found


def _tail(file: Path, size: int) -> str:
    """The digest of the bytes before a place in a file."""
    with file.open("rb") as stream:
        stream.seek(max(0, size - TAIL))
        return hashlib.sha256(stream.read(min(size, TAIL))).hexdigest()


def _whole(file: Path, size: int) -> str:
    """The digest of all bytes before a place in a file."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while size > 0 and (part := stream.read(min(size, 1 << 20))):
            digest.update(part)
            size -= len(part)
    return digest.hexdigest()


def _appended(store: Store, head: dict[str, Any], now: dict[str, Any]) -> int:
    """The place from which on a file has grown; 0 if anything before it has changed."""
    then = head["state"]
    if then.get("archive") != now.get("archive") or "file" not in then or "file" not in now:
        return 0
    size = int(then["file"][0])
    return size if 0 < size < now["file"][0] and _whole(store.file, size) == head["whole"] else 0


def _save(file: Path, head: dict[str, Any], rows: pandas.DataFrame) -> None:
    import pandas

    arrays: dict[str, Any] = {key: rows[key].to_numpy() for key in PLAIN}
    values: dict[str, list[Any]] = {}
    for key in (key for key in FIXED if key not in PLAIN):
        codes, distinct = pandas.factorize(rows[key])
        arrays[key], values[key] = codes.astype(np.int32), list(distinct)
    text = json.dumps({**head, "values": values}, default=lambda value: value.item())
    draft = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    try:
        with draft.open("wb") as stream:
            np.savez(stream, about_it=np.frombuffer(text.encode(), dtype=np.uint8), **arrays)
        os.replace(draft, file)
    finally:
        draft.unlink(missing_ok=True)


def _load(file: Path) -> tuple[dict[str, Any], pandas.DataFrame] | None:
    """The head of an index and its columns; None if there is none that can be read."""
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            head = json.loads(arrays["about_it"].tobytes())
            if head["version"] != VERSION:
                return None
            columns: dict[str, Any] = {}
            for key in FIXED:
                if key in PLAIN:
                    columns[key] = arrays[key]
                    continue
                columns[key] = decoded(head["values"][key], arrays[key])
            return head, table(columns)
    except Exception:  # zipfile and numpy raise a dozen kinds, down to those of the tokenizer
        return None
