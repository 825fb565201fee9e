"""Claims: which process carries out which run, so that several may work on one results folder.

A claim is a file in the run's folder. It is created atomically, which also works on network file
systems without locks, and touched regularly while its owner lives. The claim of a dead owner is
taken over: at once if the owner was a process on this machine, otherwise when it has not been
touched for `STALE` seconds by the clock of the file system.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

FILE = "claim.json"
PROGRESS = "progress.json"
BEAT = 5.0  # seconds between two touches
STALE = 60.0  # seconds without a touch after which an owner on another machine counts as dead


@dataclass(frozen=True)
class Owner:
    """The process behind a claim; `machine` identifies a boot and a process namespace."""

    host: str
    machine: str
    pid: int
    started: str
    token: str

    @classmethod
    def here(cls) -> Owner:
        """This process, with a new token for every claim."""
        pid = os.getpid()
        return cls(socket.gethostname(), _machine(), pid, _started(pid), uuid.uuid4().hex)

    @property
    def is_dead(self) -> bool:
        """True if the process ran on this machine and has ended."""
        return self.machine == _machine() and _started(self.pid) != self.started

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


@dataclass(frozen=True)
class UnderWay:
    """A run that is being carried out: its specification, when it began, and its progress.

    `first` is the first step that this attempt reported, and `steps` is 0 until it reports one.
    """

    run: Mapping[str, Any]
    begun: float
    first: int = 0
    step: int = 0
    steps: int = 0


class Claim:
    """The right to carry out a run, held by this process until it is released."""

    def __init__(self, file: Path, owner: Owner) -> None:
        self.file = file
        self.owner = owner
        self.is_released = False

    @classmethod
    def take(cls, folder: Path) -> Claim | None:
        """Claim the run of a folder; None if a living process has claimed it, or may have.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     first = Claim.take(Path(folder))
        ...     second = Claim.take(Path(folder))
        ...     first.release()
        ...     third = Claim.take(Path(folder))
        >>> first is None, second is None, third is None
        (False, True, False)
        """
        folder.mkdir(parents=True, exist_ok=True)
        file, mine = folder / FILE, Owner.here()
        if _create(file, mine):
            return cls(file, mine)
        if not _is_abandoned(file):
            return None
        guard = folder / f"{FILE}.takeover"  # only one of those that see it abandoned may remove it
        if not _create(guard, mine):
            if _is_abandoned(guard):
                guard.unlink(missing_ok=True)
            return None
        try:
            if _is_abandoned(file):
                file.unlink(missing_ok=True)
            return cls(file, mine) if _create(file, mine) else None
        finally:
            guard.unlink(missing_ok=True)

    @property
    def is_held(self) -> bool:
        """False if another process took the claim over, such as while this one was suspended."""
        return owner_of(self.file.parent) == self.owner

    def touch(self) -> None:
        """Show that the owner is alive."""
        if self.is_held:
            with suppress(FileNotFoundError):
                os.utime(self.file)

    def release(self) -> None:
        """Release the run."""
        self.is_released = True
        if self.is_held:
            self.file.unlink(missing_ok=True)
        self.file.with_name(PROGRESS).unlink(missing_ok=True)


class Claims:
    """The claims of this process, which a thread keeps touching inside a `with` block."""

    def __init__(self) -> None:
        self.held: dict[str, Claim] = {}
        self.under_way: dict[str, UnderWay] = {}
        self.lock = threading.Lock()
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._beat, name="claims", daemon=True)

    def __enter__(self) -> Claims:
        self.thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.ending.set()
        self.thread.join()
        for name in list(self.held):
            self.release(name)

    def take(self, name: str, folder: Path, run: Mapping[str, Any]) -> bool:
        """Claim a run; False if a living process has it."""
        claim = Claim.take(folder)
        if claim is not None:
            with self.lock:
                self.held[name] = claim
                self.under_way[name] = UnderWay(dict(run), time.time())
        return claim is not None

    def stepped(self, name: str, step: int, steps: int) -> None:
        """Note the progress of a run, for other processes to read."""
        with self.lock:
            if name in self.under_way:
                known = self.under_way[name]
                first = known.first if known.steps else step
                self.under_way[name] = replace(known, first=first, step=step, steps=steps)

    def is_held(self, name: str) -> bool:
        """Return whether this process still holds the claim on a run."""
        return name in self.held and self.held[name].is_held

    def release(self, name: str) -> None:
        """Release a run."""
        with self.lock:
            claim = self.held.pop(name, None)
            self.under_way.pop(name, None)
        if claim is not None:
            claim.release()

    def _beat(self) -> None:
        while not self.ending.wait(BEAT):
            with self.lock:
                held = [(claim, self.under_way[name]) for name, claim in self.held.items()]
            for claim, known in held:
                with suppress(OSError):  # a full disk is no reason to lose the run
                    claim.touch()
                    progress = claim.file.with_name(PROGRESS)
                    _replace(progress, asdict(known))
                    if claim.is_released:  # meanwhile, so that this would stay
                        progress.unlink(missing_ok=True)


def owner_of(folder: Path) -> Owner | None:
    """The owner of a run's folder; None if nobody has claimed it or the claim cannot be read."""
    values = _read(folder / FILE)
    if not isinstance(values, Mapping):
        return None
    try:
        return Owner(**values)
    except TypeError:
        return None


def under_way(folder: Path) -> UnderWay | None:
    """The progress of the run that a process carries out in a folder; None if unknown."""
    values = _read(folder / PROGRESS)
    if not isinstance(values, Mapping) or not isinstance(values.get("run"), Mapping):
        return None
    try:
        known = UnderWay(**values)
        counts: dict[str, Any] = {
            key: int(getattr(known, key)) for key in ("first", "step", "steps")
        }
        return replace(known, begun=float(known.begun), **counts)
    except (TypeError, ValueError, OverflowError):
        return None


def is_abandoned(folder: Path) -> bool:
    """Return whether the process that claimed the run of a folder is dead or seems to be."""
    return _is_abandoned(folder / FILE)


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def _create(file: Path, owner: Owner) -> bool:
    """Create a file with an owner in it, atomically; False if it exists."""
    draft = file.with_name(f".{file.name}.{owner.token}.tmp")
    draft.write_text(json.dumps(asdict(owner)), encoding="utf-8")
    try:
        os.link(draft, file)
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        try:
            with file.open("x", encoding="utf-8") as stream:
                json.dump(asdict(owner), stream)
        except FileExistsError:
            return False
    finally:
        draft.unlink(missing_ok=True)
    return True


def _replace(file: Path, values: Any) -> None:
    draft = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    draft.write_text(json.dumps(values), encoding="utf-8")
    os.replace(draft, file)


def _is_abandoned(file: Path) -> bool:
    """Return whether the owner of a claim is dead, or has not touched it for too long."""
    values = _read(file)
    with suppress(TypeError):
        if isinstance(values, Mapping) and Owner(**values).is_dead:
            return True
    probe = file.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        probe.touch()  # a file server's clock may differ from this machine's
        return probe.stat().st_mtime - file.stat().st_mtime > STALE
    except FileNotFoundError:
        return False  # it has just been released
    finally:
        probe.unlink(missing_ok=True)


def _machine() -> str:
    """A name for the scope in which process ids are unique: a boot of a machine or a container."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
    with suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def _started(pid: int) -> str:
    """The start time of a process, in clock ticks; empty if it is not running."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        if Path("/proc/self/stat").exists() or os.name == "nt":
            return ""
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return ""
        except OSError:
            pass
        return "running"
    state, *fields = text.rpartition(")")[2].split()
    return "" if state == "Z" else fields[18]
