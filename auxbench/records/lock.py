"""Locks: one writer at a time, whose name is told to those who wait."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from auxbench.errors import visible

PATIENCE = 60.0  # seconds to wait for another process
HINT = 2.0  # seconds after which it is told who holds the lock


@contextmanager
def locked(lock: Path) -> Iterator[None]:
    """Hold a lock; who has to wait for it is told after a while who holds it.

    Errors: `Timeout` when nobody lets go of it.
    """
    own, name = FileLock(lock), lock.with_suffix(".holder")
    try:
        own.acquire(timeout=min(HINT, PATIENCE))
    except Timeout:
        if PATIENCE > HINT:
            print(f"auxbench: waiting for '{lock}', held by {holder(lock)}", file=sys.stderr)
        own.acquire(timeout=max(0.0, PATIENCE - HINT))
    try:
        name.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        yield
    finally:
        name.unlink(missing_ok=True)
        own.release()


def holder(lock: Path) -> str:
    """The process that holds a lock, in words."""
    try:
        said = lock.with_suffix(".holder").read_text(encoding="utf-8")[:200]
        return visible(said) or "somebody"
    except (OSError, ValueError):
        return "a process that did not say its name"
