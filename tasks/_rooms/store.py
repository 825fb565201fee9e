"""Stores: generated scenes on disk, drawn once on all cores, checked whenever they are opened."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout

from auxbench.data.machine import cores
from auxbench.data.progress import bar

from .scenes import SPLITS, VERSION, layout, scene

CHUNK = 8  # scenes that a worker draws before it reports
FEW = 32  # scenes that one process draws while another one starts

Rows = dict[str, npt.NDArray[Any]]
Job = tuple[str, int, int, int, int]
_verified: set[str] = set()  # stamps of the stores whose checksums this process has verified


class Damaged(Exception):
    """A store that is not what it should be; the message says how."""


class Store:
    """The scenes of all splits of a draw, `counts` by split, at `side` x `side` pixels."""

    def __init__(self, root: Path, side: int, counts: Mapping[str, int], draw: int = 0) -> None:
        self.root = root
        self.side = side
        self.draw = draw
        self.counts = {split: counts[split] for split in SPLITS}
        sizes = "-".join(map(str, self.counts.values()))
        which = f"-draw{draw}" if draw else ""
        self.folder = root / f"rooms-v{VERSION}-{side}px-{sizes}{which}"

    def prepare(self) -> None:
        """Draw the scenes unless they are already there and intact.

        Several processes may do so at once: one draws and the others wait for it. Where files
        cannot be locked, each draws for itself, and the first result is kept.

        Errors: `OSError` when the folder cannot be written.
        """
        if self._sound():
            return
        self.root.mkdir(parents=True, exist_ok=True)
        with _locked(self.root / f"{self.folder.name}.lock"):
            if self._sound(aloud=True):
                return
            made = self.root / f"{self.folder.name}.{os.getpid()}-{time.time_ns()}.part"
            made.mkdir()
            try:
                self._write(made)
                self._publish(made)
            finally:
                shutil.rmtree(made, ignore_errors=True)

    def open(self, split: str) -> Rows:
        """The arrays of a split, mapped into memory and read-only.

        Errors: `Damaged` when the store is missing or not what its manifest says.
        """
        self.check()
        return {
            name: np.load(self.folder / f"{split}-{name}.npy", mmap_mode="r", allow_pickle=False)
            for name in layout(self.side)
        }

    def check(self) -> None:
        """Compare the files with the manifest: sizes always, checksums once per process.

        Errors: `Damaged`, which names the first fault.
        """
        manifest = self._manifest()
        stamp = [str(self.folder)]
        for name, entry in manifest["files"].items():
            try:
                found = (self.folder / name).stat()
            except OSError:
                raise Damaged(f"{name} is missing") from None
            if found.st_size != entry["bytes"]:
                raise Damaged(f"{name} has {found.st_size} bytes instead of {entry['bytes']}")
            stamp.append(f"{found.st_ino} {found.st_mtime_ns} {entry['sha256']}")
        if (key := " ".join(stamp)) in _verified:
            return
        for name, entry in manifest["files"].items():
            with (self.folder / name).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != entry["sha256"]:
                    raise Damaged(f"{name} no longer has the checksum it was written with")
        _verified.add(key)

    def _sound(self, aloud: bool = False) -> bool:
        try:
            self.check()
        except Damaged as fault:
            if aloud and self.folder.exists():
                _say(f"the cache {self.folder} is damaged ({fault}); drawing it again.")
            return False
        return True

    def _manifest(self) -> dict[str, Any]:
        try:
            manifest: dict[str, Any] = json.loads((self.folder / "manifest.json").read_bytes())
            files = {name: entry["bytes"] for name, entry in manifest["files"].items()}
        except FileNotFoundError:
            raise Damaged("manifest.json is missing") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise Damaged("manifest.json cannot be read") from None
        names = {f"{split}-{name}.npy" for split in SPLITS for name in layout(self.side)}
        if not self._options().items() <= manifest.items() or names != set(files):
            raise Damaged("manifest.json belongs to other data")
        return manifest

    def _options(self) -> dict[str, Any]:
        which = {"draw": self.draw} if self.draw else {}
        return {"generator": VERSION, "side": self.side, "scenes": self.counts, **which}

    def _write(self, folder: Path) -> None:
        """Draw everything into a folder; the manifest comes last."""
        total = sum(self.counts.values())
        draw = f" of draw {self.draw}" if self.draw else ""
        what = f"rooms: drawing scenes{draw}, {self.side} x {self.side} pixels, which are kept"
        with bar(what, total, unit="scenes") as advance, ExitStack() as files:
            # written sequentially and not through memory maps, which kill the process
            # instead of raising an error when the disk is full
            pens = {
                (split, name): files.enter_context((folder / f"{split}-{name}.npy").open("wb"))
                for split in SPLITS
                for name in layout(self.side)
            }
            for split, count in self.counts.items():
                for name, (kind, shape) in layout(self.side).items():
                    header = {
                        "descr": np.lib.format.dtype_to_descr(np.dtype(kind)),
                        "fortran_order": False,
                        "shape": (count, *shape),
                    }
                    np.lib.format.write_array_header_1_0(pens[split, name], header)
            for split, rows in drawn(self.side, self.counts, self.draw):
                for name, values in rows.items():
                    pens[split, name].write(values.tobytes())
                advance(len(values))
        entries = {}
        for path in sorted(folder.glob("*.npy")):
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            entries[path.name] = {"bytes": path.stat().st_size, "sha256": digest}
        text = json.dumps(self._options() | {"files": entries}, indent=1)
        (folder / "manifest.json").write_text(text + "\n", encoding="utf-8")

    def _publish(self, made: Path) -> None:
        """Give a finished folder its final name, replacing a damaged one but not an intact one."""
        aside = made.with_suffix(".old")
        for last in (False, True):
            try:
                made.replace(self.folder)
                break
            except OSError:  # a folder of that name exists
                if self._sound():
                    break
                if last:
                    raise
                with suppress(FileNotFoundError):
                    self.folder.replace(aside)
        shutil.rmtree(aside, ignore_errors=True)


def draw(split: str, start: int, stop: int, side: int, number: int = 0) -> Rows:
    """The scenes `start` to `stop` - 1 of a split, stacked by array name, in the draw `number`.

    >>> draw("test", 3, 5, 16)["normals"].shape
    (2, 3, 16, 16)
    """
    scenes = [scene(split, index, side, number) for index in range(start, stop)]
    return {name: np.stack([one[name] for one in scenes]) for name in scenes[0]}


def drawn(side: int, counts: Mapping[str, int], number: int = 0) -> Iterator[tuple[str, Rows]]:
    """All scenes in order, in chunks with their split's name, drawn on all cores.

    Fewer than 64 scenes are drawn by this process alone, and so are all scenes if it may not start
    others.
    """
    jobs: list[Job] = [
        (split, start, min(start + CHUNK, count), side, number)
        for split, count in counts.items()
        for start in range(0, count, CHUNK)
    ]
    workers = min(cores(), sum(counts.values()) // FEW)
    done = 0
    if workers > 1 and not multiprocessing.current_process().daemon:
        # spawned, since a forked copy of a process with threads (torch has some) may hang
        pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))
        try:
            with _no_main():
                results = pool.map(_draw, jobs)
            for job, rows in zip(jobs, results, strict=True):
                done += 1
                yield job[0], rows
        except BrokenProcessPool:
            _say("the worker processes died; drawing the rest in this process.")
        finally:
            pool.shutdown(cancel_futures=True)
    for job in jobs[done:]:
        yield job[0], draw(*job)


def _draw(job: Job) -> Rows:
    return draw(*job)


@contextmanager
def _no_main() -> Iterator[None]:
    """Keep spawned processes from running this process's script first, as they usually do.

    They need nothing from it, it may import a lot, and a script without a `__main__` guard would
    start its work again in every one of them.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock, which is released at the latest when the process ends."""
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        _say("another process is drawing the same scenes; waiting for it.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _say(line: str) -> None:
    print(f"rooms: {line}", file=sys.stderr, flush=True)
