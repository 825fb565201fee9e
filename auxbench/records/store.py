"""The record store: a file with one JSON record per line, safe against crashes and races."""

from __future__ import annotations

import gzip
import os
import re
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from filelock import Timeout

from auxbench.errors import UsageError, reason
from auxbench.records.line import encode
from auxbench.records.lock import holder, locked
from auxbench.records.record import FINAL, SCHEMA
from auxbench.records.tail import Tail
from auxbench.records.validity import read

Kept = TypeVar("Kept")

RESULTS = "results/local"
"""The folder of a user's own records."""


class Store:
    """The records in a results folder: appended to `records.jsonl`, never rewritten.

    Runs append and boards read; several processes may append at once. `path` is the folder, which
    `prepare` or the first `append` creates, or a .jsonl file in it. `problems` has one sentence for
    every line that was skipped in the latest reading.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     store = Store(folder)
    ...     store.append({"id": "4f2a", "score": float("nan")})
    ...     store.append({"id": "4f2a", "score": 0.5})
    ...     store.records()
    [{'id': '4f2a', 'schema': 2, 'score': 0.5}]
    """

    def __init__(self, path: Path | str) -> None:
        path = Path(path)
        self.file = path if path.suffix == ".jsonl" else path / "records.jsonl"
        self.folder = self.file.parent
        self.problems: list[str] = []
        self._locks = 0  # held by this store, which may read while it writes

    @property
    def archive(self) -> Path:
        """The compressed file in which large published results come."""
        return self.file.with_name(f"{self.file.name}.gz")

    def prepare(self) -> None:
        """Create the folder and check that it is writable, before hours are spent on a run.

        Errors: `UsageError` if it is not.
        """
        with self._writing():
            pass

    def append(self, record: Mapping[str, Any]) -> None:
        """Append a record, which must have a str `id`; it replaces earlier ones with that id.

        The record is on disk when this returns. Keys are sorted, numbers that JSON cannot represent
        (NaN, infinities) become null, and `schema` is added. Errors: `UsageError` if the folder
        cannot be written; `TypeError` for a value that JSON cannot represent.
        """
        if not isinstance(record.get("id"), str):
            raise TypeError(f"a record needs a str id, not {record.get('id')!r}")
        line = encode({"schema": SCHEMA, **record})
        with self._writing() as file:
            # Another process may have been stopped in the middle of its line.
            whole = _ends_line(file)
            _write(file, (line if whole else b"\n" + line) + b"\n")
            os.fsync(file)

    def extend(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Append many records at once; errors: as for `append`."""
        lines = _text({"schema": SCHEMA, **one} for one in records)
        with self._writing() as file:
            _write(file, lines if _ends_line(file) else b"\n" + lines)
            os.fsync(file)

    def rewrite(self, runs: bool) -> list[Path]:
        """Write the records again, without what cannot be read; return the files set aside.

        With `runs` only those of runs are kept.
        The files as they were stay beside the new one, under names of their own. Errors:
        `UsageError` when the folder cannot be written.
        """
        aside = []
        with self._writing():
            draft = self.file.with_name(f".{self.file.name}.{os.getpid()}.tmp")
            draft.write_bytes(_text(self.runs() if runs else self.records()))
            stamp = time.strftime("%Y%m%d-%H%M%S")
            for file in (self.archive, self.file):
                if file.exists():
                    aside.append(file.with_name(f"{file.name}.damaged-{stamp}"))
                    os.replace(file, aside[-1])
            os.replace(draft, self.file)
        return aside

    def pack(self) -> None:
        """Move the latest record of every id to the compressed file.

        Errors: `UsageError` if the folder cannot be written or has a line that cannot be read.
        """
        with self._writing():
            lines = _text(self.records())
            if self.problems:
                raise UsageError(f"{self.problems[0]} Run auxbench results repair first.")
            draft = self.archive.with_name(f".{self.archive.name}.{os.getpid()}.tmp")
            with draft.open("wb") as packed:
                packed.write(gzip.compress(lines, mtime=0))  # the same records, the same bytes
                packed.flush()
                os.fsync(packed)  # before the only other copy goes
            os.replace(draft, self.archive)
            self.file.unlink()

    def records(self, start: int = 0) -> list[dict[str, Any]]:
        """The latest record of every id, in the order in which they were appended.

        Records of earlier schemas are upgraded. Lines that are incomplete, as a crash may leave
        behind, or damaged, and records with wrong fields or of a later release are skipped and
        listed in `problems`. A folder without records gives an empty list. Errors: `UsageError` if
        the file cannot be read. With `start` only the lines from that byte of the file on are read.
        """
        return list(self._latest(lambda record: record, start).values())

    def runs(self, start: int = 0) -> list[dict[str, Any]]:
        """The records of runs, as `records` gives them; others are listed in `problems` too."""
        return list(self.kept(lambda record: record, start).values())

    def kept(self, keep: Callable[[dict[str, Any]], Kept], start: int = 0) -> dict[str, Kept]:
        """The result of `keep` for every record that `runs` gives, by id.

        Records are read one by one, and those that later ones replace are given to `keep` too.
        """
        found = self._latest(lambda record: [keep(record)] if "run" in record else [], start)
        others = [name for name, part in found.items() if not part]
        self.problems += [f"record '{name}' is not of a run; it is skipped." for name in others]
        return {name: part[0] for name, part in found.items() if part}

    def _latest(self, keep: Callable[[dict[str, Any]], Kept], start: int) -> dict[str, Kept]:
        self.problems = []
        latest: dict[str, Kept] = {}
        final: set[str] = set()
        for file, number, line in self._lines(start):
            if not line.strip():
                continue
            record, wrong = read(line)
            if record is None:
                place = f"line {number} after byte {start}" if start else f"line {number}"
                self.problems.append(f"{place} of '{file}' {wrong}; it is skipped.")
                continue
            name = record["id"]
            if record.get("status") in FINAL:
                final.add(name)
            elif name in final:
                continue  # an attempt that failed does not undo what is known
            latest.pop(name, None)
            latest[name] = keep(record)
        return latest

    def tail(self) -> Tail:
        """A reader of the records that any process appends from now on."""
        return Tail(self.file)

    def record(self, prefix: str) -> dict[str, Any]:
        """The record with the id `prefix`, or else the only one whose id starts with it.

        Errors: `UsageError` if there is none or more than one.
        """
        records = {record["id"]: record for record in self.records()}
        if prefix in records:
            return records[prefix]
        found = sorted(name for name in records if name.startswith(prefix))
        if len(found) == 1:
            return records[found[0]]
        if found:
            raise UsageError(
                f"record '{prefix}' is one of {len(found)}; write more of its id: "
                f"{_listing(found, len(prefix))}."
            )
        if not records:
            raise UsageError(
                f"record '{prefix}' is not in '{self.file}', which holds none; "
                "make one with `auxbench run`."
            )
        raise UsageError(
            f"record '{prefix}' is not in '{self.file}'; "
            f"choose one of {_listing(sorted(records), 0)}."
        )

    def run_folder(self, name: str) -> Path:
        """Return the folder of a run's checkpoints and logs, without creating it.

        Errors: `UsageError` for an id that would lead out of the folder.
        """
        if not re.fullmatch(r"[\w-][\w.-]*", name):
            raise UsageError(
                f"record '{name}' has no name for a folder; use letters, digits, '.', '_' and '-'."
            )
        return self.folder / "runs" / name

    def _lines(self, start: int) -> Iterator[tuple[Path, int, bytes]]:
        """All lines with their files and line numbers, those of the compressed file first."""
        archived = iter(()) if start else self._archived(self.archive)
        current = self._current(start)
        for file, lines in ((self.archive, archived), (self.file, current)):
            for number, line in enumerate(lines, 1):
                yield file, number, line

    def _archived(self, archive: Path) -> Iterator[bytes]:
        """The lines of the compressed file that large published results are shipped in."""
        try:
            with gzip.open(archive) as file:
                yield from file
        except FileNotFoundError:
            return
        except (OSError, EOFError, zlib.error) as error:
            reason = getattr(error, "strerror", None) or "it is not a complete gzip file"
            raise UsageError(
                f"results file '{archive}' cannot be read ({reason}); get it again or delete it."
            ) from None

    def _current(self, start: int) -> Iterator[bytes]:
        try:
            with self.file.open("rb") as file:
                file.seek(start)
                for line in file:
                    if not line.endswith(b"\n") and not self._locks:  # unfinished or cut off
                        with suppress(UsageError), self._writing():
                            line += file.read()
                    yield from line.removesuffix(b"\n").split(b"\n")
        except FileNotFoundError:
            return
        except OSError as error:
            raise UsageError(
                f"results file '{self.file}' cannot be read ({reason(error)}); "
                "choose another with --results."
            ) from None

    @contextmanager
    def _writing(self) -> Iterator[int]:
        """The file, open for appending and locked against other writers."""
        lock = self.folder / f".{self.file.name}.lock"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
            with locked(lock):
                file = os.open(self.file, flags, 0o666)
                self._locks += 1
                try:
                    yield file
                finally:
                    self._locks -= 1
                    os.close(file)
        except Timeout:
            raise UsageError(
                f"lock file '{lock}' is held for too long by {holder(lock)}; "
                "delete it if no auxbench is running there."
            ) from None
        except OSError as error:
            raise UsageError(
                f"results folder '{self.folder}' cannot be written ({reason(error)}); "
                "choose another with --results."
            ) from None


def _text(records: Iterable[Mapping[str, Any]]) -> bytes:
    return b"".join(encode(one) + b"\n" for one in records)


def _listing(names: list[str], prefix: int) -> str:
    shown = [name[: max(8, prefix + 4)] for name in names[:6]]
    return ", ".join(shown + ["..."] * (len(names) > 6))


def _ends_line(file: int) -> bool:
    """Return whether the file is empty or ends with a line feed."""
    if os.lseek(file, 0, os.SEEK_END) == 0:
        return True
    os.lseek(file, -1, os.SEEK_END)
    return os.read(file, 1) == b"\n"


def _write(file: int, data: bytes) -> None:
    """Write all of `data`: one call may write only a part when the disk fills up."""
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
