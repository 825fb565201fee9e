"""Tails: what is appended to a file of records while one works on it."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

from auxbench.records.line import decode


class Tail:
    """The records that are appended to a file after this was made."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.place = file.stat().st_size if file.exists() else 0
        self.known: dict[str, str] = {}
        self.lock = threading.Lock()

    def statuses(self) -> dict[str, str]:
        """The latest status of every run that was recorded since, by id."""
        with self.lock, suppress(FileNotFoundError), self.file.open("rb") as file:
            file.seek(self.place)
            lines = file.read().split(b"\n")
            self.place += sum(len(line) + 1 for line in lines[:-1])
            for record in (decode(line)[0] for line in lines[:-1]):
                if record is not None:
                    self.known[record["id"]] = str(record.get("status", ""))
        return dict(self.known)
