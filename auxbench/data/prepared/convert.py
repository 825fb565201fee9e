"""Conversion into the prepared form, which resumes where it was stopped.

Rows are appended to `.part` files, a journal records after every `FLUSH` rows how many are on disk,
and the marker is written last, so a folder without it is unfinished.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from filelock import FileLock, Timeout

from auxbench import __version__
from auxbench.data.machine import cores
from auxbench.data.prepared.form import (
    FORMAT,
    JOURNAL,
    MARKER,
    Prepared,
    _canonical,
    _file,
    _read_journal,
    sha256,
)
from auxbench.data.prepared.layout import Array, Layout, Rows
from auxbench.data.progress import Advance, bar, duration
from auxbench.errors import UsageError, reason

FLUSH = 64  # rows between two journal entries: the most that a crash can lose


def prepare(layout: Layout, folder: Path, options: Mapping[str, Any] | None = None) -> Prepared:
    """Convert a layout into the prepared form in `folder`, or resume an interrupted conversion.

    `options` are the layout's, which are recorded. A finished conversion with the same options is
    only opened.

    Errors: `UsageError` for samples that cannot be read, an empty split, a folder that cannot
    hold the data or holds something else, and another process that prepares the same folder.
    """
    head: dict[str, Any] = {
        "format": FORMAT,
        "dataset": layout.dataset,
        "layout": layout.name,
        "options": dict(options or {}),
        "licence": layout.licence,
        "source": layout.source,
        "splits": dict(layout.counts()),
        "arrays": {name: _spec(array) for name, array in layout.arrays().items()},
        "facts": layout.facts(),
    }
    for split, count in head["splits"].items():
        if count < 1:
            raise UsageError(
                f"split '{split}' in '{layout.folder}' is empty; get {layout.expects} again."
            )
    if (folder / MARKER).exists():
        done = Prepared.open(folder, layout.dataset)
        if _canonical({key: done.card.get(key) for key in head}) != _canonical(head):
            raise UsageError(
                f"folder '{folder}' holds '{layout.dataset}' prepared in another way; delete it, "
                "or choose another with --out."
            )
        return done
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            return _write(layout, folder, head)
    except OSError as error:
        raise UsageError(
            f"folder '{folder}' cannot hold the prepared data ({reason(error)}); "
            "make room, or choose another with --out."
        ) from None


def _write(layout: Layout, folder: Path, head: dict[str, Any]) -> Prepared:
    counts, arrays = head["splits"], layout.arrays()
    # the path of the source on this disk is kept only in the journal
    origin = str(layout.folder.resolve())
    journal: dict[str, Any] = {"head": head, "from": origin, "done": dict.fromkeys(counts, 0)}
    known = _read_journal(folder / JOURNAL)
    if known is not None and _canonical({**known, "done": 0}) == _canonical({**journal, "done": 0}):
        journal = known
        _take_back(folder, head)
    else:
        _save(folder / JOURNAL, journal)
    done, total = sum(journal["done"].values()), sum(counts.values())
    if done < total:
        print(_forecast(layout, folder, journal["done"]), file=sys.stderr, flush=True)
    with bar(f"preparing {layout.dataset} ({layout.name})", total, done) as advance:
        for split, count in counts.items():
            if journal["done"][split] < count or not _written(folder, split, arrays, count):
                _write_split(layout, folder, split, journal, advance)
    files = {}
    for split in counts:
        for name in arrays:
            part = folder / (_file(split, name) + ".part")
            files[_file(split, name)] = {"bytes": part.stat().st_size, "sha256": sha256(part)}
    for name in files:
        os.replace(folder / f"{name}.part", folder / name)
    card = {**head, "files": files, "auxbench": __version__}
    _save(folder / MARKER, card)
    (folder / JOURNAL).unlink()
    return Prepared.open(folder, layout.dataset)


def _take_back(folder: Path, head: Mapping[str, Any]) -> None:
    """Undo the renaming of finished files if a crash prevented the marker from being written."""
    for split in head["splits"]:
        for name in head["arrays"]:
            final = folder / _file(split, name)
            part = final.with_name(final.name + ".part")
            if final.exists() and not part.exists():
                os.replace(final, part)


def _write_split(
    layout: Layout, folder: Path, split: str, journal: dict[str, Any], advance: Advance
) -> None:
    """Append the missing samples of a split to its part files."""
    arrays, count = layout.arrays(), journal["head"]["splits"][split]
    files: dict[str, IO[bytes]] = {}
    try:
        at = journal["done"][split]
        at = at if _written(folder, split, arrays, at) else 0
        for name, array in arrays.items():
            path = folder / (_file(split, name) + ".part")
            file: IO[bytes] = path.open("r+b" if at else "w+b")
            files[name] = file
            if not at:
                _write_header(file, array, count)
            # data appended after the journal's last entry may end in the middle of a row
            file.seek(_header_size(file) + at * _row_size(array))
            file.truncate()
        for rows in _decoded(layout, split, range(at, count)):
            for name, file in files.items():
                file.write(np.ascontiguousarray(rows[name]).tobytes())
            at += 1
            advance(1)
            if at % FLUSH == 0 or at == count:
                for file in files.values():
                    file.flush()
                    os.fsync(file.fileno())
                journal["done"][split] = at
                _save(folder / JOURNAL, journal)
    finally:
        for file in files.values():
            file.close()


def _forecast(layout: Layout, folder: Path, done: Mapping[str, int]) -> str:
    """A message with the samples, the disk space and the time that a conversion will take.

    The size follows from the arrays; the time is extrapolated from reading a few missing samples.
    Errors: `UsageError` if there is too little disk space.
    """
    left = {split: range(done[split], count) for split, count in layout.counts().items()}
    missing, total = sum(map(len, left.values())), sum(layout.counts().values())
    row = sum(map(_row_size, layout.arrays().values()))
    free = shutil.disk_usage(folder).free
    if missing * row > free:
        raise UsageError(
            f"folder '{folder}' has {_bytes(free)} free, and the prepared data take "
            f"{_bytes(missing * row)}; make room, or choose another with --out."
        )
    start, tried = time.monotonic(), 0
    for split, indices in left.items():
        for index in {indices[0], indices[len(indices) // 2]} if indices else ():
            layout.decoded(split, index)
            tried += 1
    seconds = (time.monotonic() - start) / tried * missing / _workers(layout)
    return (
        f"preparing {layout.dataset} ({layout.name}): {missing:,} of {total:,} samples, "
        f"{_bytes(total * row)} on the disk ({_bytes(free)} are free), about {duration(seconds)}"
    )


def _bytes(number: float) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.1f} MB"


def _workers(layout: Layout) -> int:
    return min(8, cores()) if layout.threads else 1


def _decoded(layout: Layout, split: str, indices: range) -> Iterator[Rows]:
    """The samples in order, decoded a few at a time by several threads."""
    workers = _workers(layout)
    if workers == 1:
        for index in indices:
            yield layout.decoded(split, index)
        return
    with ThreadPoolExecutor(workers) as pool:
        for start in range(indices.start, indices.stop, 2 * workers):
            window = range(start, min(start + 2 * workers, indices.stop))
            yield from pool.map(lambda index: layout.decoded(split, index), window)


def _spec(array: Array) -> dict[str, Any]:
    return {"dtype": array.dtype, "shape": list(array.shape), "meaning": array.meaning}


def _row_size(array: Array) -> int:
    return int(np.dtype(array.dtype).itemsize * np.prod(array.shape, dtype=np.int64))


def _write_header(file: IO[bytes], array: Array, count: int) -> None:
    descr = np.lib.format.dtype_to_descr(np.dtype(array.dtype))
    header = {"descr": descr, "fortran_order": False, "shape": (count, *array.shape)}
    np.lib.format.write_array_header_1_0(file, header)


def _header_size(file: IO[bytes]) -> int:
    file.seek(0)
    np.lib.format.read_magic(file)
    np.lib.format.read_array_header_1_0(file)
    return file.tell()


def _written(folder: Path, split: str, arrays: Mapping[str, Array], rows: int) -> bool:
    """Return whether every part file of a split holds at least `rows` rows."""
    for name, array in arrays.items():
        try:
            with (folder / (_file(split, name) + ".part")).open("rb") as file:
                least = _header_size(file) + rows * _row_size(array)
                if os.fstat(file.fileno()).st_size < least:
                    return False
        except (OSError, ValueError):
            return False
    return True


def _save(path: Path, content: Mapping[str, Any]) -> None:
    # written under another name first, so that no reader ever sees half a file
    temporary = path.with_name(f"{path.name}.new")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a lock on the folder, which is released when the process ends."""
    lock = FileLock(folder / ".lock", blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise UsageError(
            f"folder '{folder}' is being prepared by another process; wait for it."
        ) from None
    try:
        yield
    finally:
        lock.release()
