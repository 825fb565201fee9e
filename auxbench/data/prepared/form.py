"""The prepared form: a data set as memory-mapped arrays, one file per split and array.

    <folder>/train-image.npy   uint8 [N, 3, H, W]    planar RGB, as a network wants it
             train-depth.npy   uint16 [N, H, W]      ...
             prepared.json     what it is; written last, so a folder without it is not finished

Conversions into it choose the smallest type that loses nothing of value, and say which:

| what | type | decoding | what is lost |
|---|---|---|---|
| image | uint8 [3, H, W] | RGB / 255 | nothing |
| classes | int8 | the class, -1 without a label | nothing (up to 127 classes) |
| depth indoors | uint16 | / `DEPTH` = metres, 0 without a label | 1/8 mm, a tenth of the noise |
| normals | int8 [3, H, W] | / `NORMAL`; zero without a label | below 0.4°, see below |
| responses | uint16 | / `RESPONSE` = [0, 1] | 1/131070 |

Normals have x right, y down, z forward. Eight bits are what the pictures have from which they
come; the mean angle of a network that is 10° off or more changes by less than 0.01°.

Writing is crash-safe: rows are appended to `.part` files, a journal says after every `FLUSH` rows
how many are on the disk, and a conversion that was stopped goes on there. Nothing here needs torch;
`auxbench.data.prepared.samples` makes `Samples` of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout

from auxbench import __version__
from auxbench.data.machine import cores
from auxbench.data.prepared import cache
from auxbench.data.prepared.layout import Array, Finding, Layout, Rows
from auxbench.data.progress import Advance, bar, duration
from auxbench.errors import UsageError, reason

FORMAT = 1
MARKER = "prepared.json"
JOURNAL = "prepared.json.part"
FLUSH = 64  # rows between two entries of the journal: what a crash can cost

DEPTH = 4000  # steps per metre of a depth in uint16, which ends at 16.38 m
NORMAL = 127  # steps per unit of a normal's component in int8
RESPONSE = 65535  # steps of a filter's response in uint16


def place(name: str) -> Path:
    """The folder of a prepared form: a name lies in the cache folder, a path is itself.

    A path has a separator in it; names keep the records of two machines the same.

    >>> place("./nyuv2")
    PosixPath('nyuv2')
    """
    path = Path(name).expanduser()
    is_path = path.is_absolute() or os.sep in name or "/" in name
    return path if is_path else cache.root() / name


@dataclass(frozen=True)
class Prepared:
    """A finished prepared form, opened; arrays are mapped into memory when they are asked for.

    `card` is the content of prepared.json: format, dataset, layout, options, source, licence,
    splits (counts), arrays, files (bytes and sha256), facts.
    """

    folder: Path
    card: Mapping[str, Any]

    @classmethod
    def open(cls, folder: Path, dataset: str | None = None, layout: str | None = None) -> Prepared:
        """Open a prepared form, which must be of that data set and layout if they are named.

        Errors: `UsageError` when there is none, it is not finished, another one, or of another
        version of the format.
        """
        remedy = f"auxbench data prepare {dataset or 'DATASET'} --source DIR --out {folder}"
        try:
            card = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        except FileNotFoundError:
            begun = (folder / JOURNAL).exists()
            state = "is half prepared" if begun else "is not prepared"
            raise UsageError(f"data set '{dataset}' {state} in '{folder}'; {remedy}.") from None
        except (OSError, ValueError) as error:
            raise UsageError(
                f"'{folder / MARKER}' cannot be read ({reason(error)}); {remedy}."
            ) from None
        if card.get("format") != FORMAT:
            raise UsageError(
                f"'{folder}' has format '{card.get('format')}', not {FORMAT}; "
                f"delete it, then {remedy}."
            )
        if dataset is not None and card["dataset"] != dataset:
            raise UsageError(f"'{folder}' holds '{card['dataset']}', not '{dataset}'; {remedy}.")
        if layout is not None and card["layout"] != layout:
            raise UsageError(
                f"'{folder}' was prepared from the layout '{card['layout']}', not '{layout}'; "
                f"say {dataset}:layout={card['layout']}, or prepare the other one."
            )
        return cls(folder, card)

    @property
    def identity(self) -> dict[str, Any]:
        """The digest of all files by their recorded checksums, and the counts of the splits."""
        sums = {name: known["sha256"] for name, known in self.card["files"].items()}
        total = hashlib.sha256(_canonical(sums).encode()).hexdigest()
        return {"digest": total[:16], "counts": self.counts}

    @property
    def counts(self) -> dict[str, int]:
        """The number of samples of every split."""
        return dict(self.card["splits"])

    def arrays(self, split: str, names: frozenset[str] | None = None) -> Rows:
        """The arrays of a split by name, [N, ...], mapped into memory.

        Only those of `names` if it is given. What is written to them stays in this process. Mapped
        pages belong to the system's file cache: memory does not grow with the size of the split.

        Errors: `UsageError` for a file that is missing or not what prepared.json says.
        """
        if split not in self.card["splits"]:
            raise UsageError(f"'{self.folder}' has no split '{split}'; it has {self._splits()}.")
        return {
            name: self._open(split, name, spec)
            for name, spec in self.card["arrays"].items()
            if names is None or name in names
        }

    def verify(self) -> Iterator[Finding]:
        """Compare every file with its recorded size and checksum; reads everything."""
        for name, known in self.card["files"].items():
            path = self.folder / name
            try:
                found = {"bytes": path.stat().st_size, "sha256": sha256(path)}
            except OSError as error:
                yield Finding(name, "wrong", f"cannot be read ({reason(error)})")
                continue
            wrong = [key for key in known if found[key] != known[key]]
            said = f"{wrong[0]} is not the recorded one" if wrong else "checksum is right"
            yield Finding(name, "wrong" if wrong else "ok", said)

    def _splits(self) -> str:
        return ", ".join(self.card["splits"])

    def _open(self, split: str, name: str, spec: Mapping[str, Any]) -> npt.NDArray[Any]:
        path = self.folder / _file(split, name)
        shape = (self.card["splits"][split], *spec["shape"])
        try:
            if path.stat().st_size != self.card["files"][path.name]["bytes"]:
                raise ValueError("its size is not the recorded one")
            array: npt.NDArray[Any] = np.load(path, mmap_mode="c", allow_pickle=False)
            if array.shape != shape or array.dtype != spec["dtype"]:
                raise ValueError(f"it holds {array.dtype} {array.shape}")
        except (OSError, ValueError, EOFError) as error:
            raise UsageError(
                f"'{path}' is damaged ({reason(error)}); delete '{self.folder}' and prepare "
                f"'{self.card['dataset']}' again."
            ) from None
        return array.view(np.ndarray)


def prepare(layout: Layout, folder: Path, options: Mapping[str, Any] | None = None) -> Prepared:
    """Convert a layout into the prepared form in `folder`, or go on where that was stopped.

    `options` are the layout's, for the record. What is finished already is opened if it was made
    the same way.

    Errors: `UsageError` for samples that cannot be read, an empty split, a folder that cannot
    hold the data or holds something else, and another process at the same work.
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
    # where the source lay on this disk is in the journal only
    origin = str(layout.folder.resolve())
    journal: dict[str, Any] = {"head": head, "from": origin, "done": dict.fromkeys(counts, 0)}
    known = _read_journal(folder / JOURNAL)
    if known is not None and _canonical({**known, "done": 0}) == _canonical({**journal, "done": 0}):
        journal = known
        _take_back(folder, head)
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
    """Undo the renaming of finished files that a crash cut short before the marker was there."""
    for split in head["splits"]:
        for name in head["arrays"]:
            final = folder / _file(split, name)
            part = final.with_name(final.name + ".part")
            if final.exists() and not part.exists():
                os.replace(final, part)


def _write_split(
    layout: Layout, folder: Path, split: str, journal: dict[str, Any], advance: Advance
) -> None:
    """Append the samples of a split that are missing to its part files."""
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
            # what was appended after the journal's last entry may be half a row
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
    """The samples, the disk and the time that a conversion takes, told before it begins.

    The size follows from the arrays; the time is that of a few missing samples, read for it.
    Errors: `UsageError` where the disk is too small.
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
    """The samples in their order, decoded by several threads a few at a time."""
    workers = _workers(layout)
    if workers == 1:
        for index in indices:
            yield layout.decoded(split, index)
        return
    with ThreadPoolExecutor(workers) as pool:
        for start in range(indices.start, indices.stop, 2 * workers):
            window = range(start, min(start + 2 * workers, indices.stop))
            yield from pool.map(lambda index: layout.decoded(split, index), window)


def _file(split: str, name: str) -> str:
    return f"{split}-{name}.npy"


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
    """Whether every part file of a split holds at least so many rows."""
    for name, array in arrays.items():
        try:
            with (folder / (_file(split, name) + ".part")).open("rb") as file:
                least = _header_size(file) + rows * _row_size(array)
                if os.fstat(file.fileno()).st_size < least:
                    return False
        except (OSError, ValueError):
            return False
    return True


def _read_journal(path: Path) -> dict[str, Any] | None:
    try:
        journal: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return journal


def progress_of(folder: Path) -> str:
    """How far a conversion into a folder has come, in words."""
    journal = _read_journal(folder / JOURNAL)
    if journal is None:
        return "its journal cannot be read"
    done, total = sum(journal["done"].values()), sum(journal["head"]["splits"].values())
    return f"{done} of {total} samples of {journal['head']['dataset']}"


def _save(path: Path, content: Mapping[str, Any]) -> None:
    # written beside and renamed, so that nobody ever sees half of it
    temporary = path.with_name(f"{path.name}.new")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _canonical(content: Any) -> str:
    return json.dumps(content, sort_keys=True, default=list)


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a lock on the folder, which is freed with the process."""
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
