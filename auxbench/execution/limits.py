"""Limits of a run: total time, time without a step, and memory.

They are enforced by the process that forked the run, so they also hold inside a step. A run that
exceeds one, or that no process waits for any longer, is asked to save its state and to end;
`GRACE` seconds later it is killed, or at once if its memory goes on growing.
"""

from __future__ import annotations

import ctypes
import math
import mmap
import os
import re
import select
import signal
import struct
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from auxbench.data.progress import duration
from auxbench.errors import UsageError

GRACE = 30.0  # seconds in which a run may save its state
FAR = 1.25  # times the memory limit from which on a run is killed at once, before others are
PAUSE = 0.2  # seconds between two checks of a run
SECONDS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
BYTES = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


@dataclass(frozen=True)
class Limits:
    """Limits of a run: total seconds, seconds without a step, and bytes; infinity means none.

    >>> Limits.of(timeout="2h", memory="4GB")
    Limits(timeout=7200.0, stall=inf, memory=4000000000.0)
    """

    timeout: float = math.inf
    stall: float = math.inf
    memory: float = math.inf

    @classmethod
    def of(
        cls,
        timeout: str | float | None = None,
        stall: str | float | None = None,
        memory: str | float | None = None,
    ) -> Limits:
        """Parse limits as users write them; errors: `UsageError` for an invalid one."""
        if memory is not None and not Path("/proc/self/statm").exists():
            raise UsageError("memory cannot be limited on this machine; leave memory out.")
        return cls(
            _amount("timeout", timeout, SECONDS),
            _amount("stall", stall, SECONDS),
            _amount("memory", memory, BYTES),
        )

    def exceeded(self, begun: float, moved: float, now: float, pid: int) -> tuple[str, str]:
        """The status and the reason of a run that is over a limit; both empty if it is not.

        `begun` is when it was started and `moved` when it took its last step.
        """
        if now - begun > self.timeout:
            return "killed", f"it took longer than the timeout of {duration(self.timeout)}"
        if now - moved > self.stall:
            return "killed", f"it took no step for {duration(self.stall)}, the stall limit"
        if self.memory < math.inf and _resident(pid) > self.memory:
            return "oom", f"it used more than the memory limit of {self.memory / 1e9:.3g} GB"
        return "", ""


class Beats:
    """A counter of a run's steps, in memory that a process shares with those it forks."""

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, 8)

    def beat(self) -> None:
        """Count a step."""
        self.memory[:8] = struct.pack("q", self.count + 1)

    @property
    def count(self) -> int:
        """The number of steps counted."""
        return int(struct.unpack("q", self.memory[:8])[0])


class Wake:
    """Termination signals as a file descriptor, which can be polled along with others."""

    def __init__(self) -> None:
        self.reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        self.asked = False
        for name in ("SIGTERM", "SIGHUP", "SIGINT"):
            if number := getattr(signal, name, None):
                signal.signal(number, self._ask)

    def _ask(self, number: int, frame: object) -> None:
        self.asked = True


def supervise(child: int, limits: Limits, beats: Beats, wake: Wake) -> tuple[int, str, str]:
    """Wait for a run, and end it if it exceeds a limit or if this process has to end.

    This process has to end when it receives a termination signal, or when the process at the other
    end of standard input has died. Returns the exit code, negative for a signal, and the status and
    reason if the run exceeded a limit.
    """
    begun = moved = time.monotonic()
    count, ending = beats.count, math.inf
    status = reason = ""
    with _Waiting(child, wake) as waiting:
        while True:
            done, code = os.waitpid(child, os.WNOHANG)
            now = time.monotonic()
            if done:
                return os.waitstatus_to_exitcode(code), status, reason
            if beats.count != count:
                count, moved = beats.count, now
            if ending == math.inf:
                status, reason = limits.exceeded(begun, moved, now, child)
                if status or wake.asked or waiting.is_alone:
                    wake.asked = wake.asked or waiting.is_alone
                    _send(child, signal.SIGTERM)
                    ending = now + GRACE
            elif now > ending or _resident(child) > FAR * limits.memory:
                _send(child, signal.SIGKILL)
            waiting.pause()


def die_with_parent() -> None:
    """Have the system kill this process when its parent dies, where supported (Linux).

    A parent that is asked to end also ends its run; one that is killed cannot.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class _Waiting:
    """Waits for the end of a child, a signal, or the death of the process that gives orders."""

    def __init__(self, child: int, wake: Wake) -> None:
        self.wake = wake
        self.is_alone = False
        self.poll = select.poll()
        self.orders = sys.stdin.fileno()
        self.poll.register(self.orders, 0)  # only its hang-up is of interest
        self.poll.register(wake.reader, select.POLLIN)
        self.pidfd = -1
        with suppress(AttributeError, OSError):  # without it, the pause has to do
            self.pidfd = os.pidfd_open(child)
            self.poll.register(self.pidfd, select.POLLIN)

    def __enter__(self) -> _Waiting:
        return self

    def __exit__(self, *error: object) -> None:
        if self.pidfd >= 0:
            os.close(self.pidfd)

    def pause(self) -> None:
        for number, _ in self.poll.poll(1000 * PAUSE):
            if number == self.wake.reader:
                os.read(number, 512)
            elif number == self.orders:
                self.is_alone = True
                self.poll.unregister(number)


def _send(child: int, number: int) -> None:
    """Send a signal to a run and to the processes that it has started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child, number)
        return
    with suppress(ProcessLookupError):
        os.kill(child, number)


def _resident(pid: int) -> int:
    """The bytes of memory that a process holds; 0 if it has ended."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _amount(name: str, given: str | float | None, units: dict[str, int]) -> float:
    """A number with a unit; infinity for None."""
    if given is None:
        return math.inf
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", str(given).strip())
    known = {key.lower(): factor for key, factor in units.items()}
    if not found or found[2].lower() not in known or not float(found[1]):
        example = "90, 30m or 2h" if units is SECONDS else "800MB or 4GB"
        raise UsageError(f"{name} is '{given}'; write an amount above 0 such as {example}.")
    return float(found[1]) * known[found[2].lower()]
