"""The progress of a study: a bar with the time left at a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from auxbench.data.progress import counted, duration
from auxbench.errors import visible
from auxbench.spec.run import Run


class Progress:
    """Counts the runs of a study and estimates when the last one ends.

    The estimate is the remaining steps times the seconds that a step of that method has taken since
    the first one that was told, or the average over the other methods if none has been seen.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        done: int,
        jobs: int,
        quiet: bool = False,
        stale: Mapping[str, int] | None = None,
    ) -> None:
        self.console = Console(stderr=True, quiet=quiet)
        self.runs = runs
        self.done = done
        self.jobs = jobs
        self.stale = stale or {}  # how many of the runs were recorded, by why they are run again
        self.lock = threading.Lock()
        self.ended = 0
        self.waiting = False
        self.left = {run.id: run.recipe.steps for run in runs}
        self.begun: dict[str, float] = {}
        self.first: dict[str, tuple[float, int]] = {}  # when a run first told its step, and which
        self.pace: dict[str, float] = {}
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} steps"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
        )
        self.bars = Bars(*columns, console=self.console, disable=not self.console.is_terminal)
        self.rows: dict[str, TaskID] = {}

    def __enter__(self) -> Progress:
        already = f"already done: {counted(self.done, 'run')}"
        if self.runs:
            after = f"; {already}" if self.done else ""
            self.say(f"{counted(len(self.runs), 'run')}, {self.jobs} at a time{after}")
        elif self.done:
            self.say(f"{already.capitalize()}.")
        for reason, count in self.stale.items():
            self.say(f"{count} of them {'was' if count == 1 else 'were'} recorded, but {reason}")
        total = sum(self.left.values())
        self.bars.start()
        if self.runs:
            self.rows[""] = self.bars.add_task("all runs", total=total, left="")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bars.stop()

    def say(self, text: str) -> None:
        """Print a message on its own line."""
        self.console.print(visible(text), markup=False, highlight=False, soft_wrap=True)

    def started(self, run: Run) -> None:
        """A run's process is being started."""
        with self.lock:
            self.first.pop(run.id, None)
            self.begun[run.id] = time.monotonic()
            self.rows[run.id] = self.bars.add_task(
                f"  {run.label}", total=run.recipe.steps, left=""
            )

    def stepped(self, run: Run, step: int, steps: int) -> None:
        """Report a run's steps so far, including those of a warm-up."""
        with self.lock:
            self.left[run.id] = steps - step
            now = time.monotonic()
            then, before = self.first.setdefault(run.id, (now, step))
            if step > before:  # what came before the first step says nothing about the others
                self.pace[run.method] = (now - then) / (step - before)
            self.bars.update(self.rows[run.id], completed=step, total=steps)
            self._refresh()

    def finished(self, run: Run, record: dict[str, Any]) -> None:
        """A run has ended with this record."""
        seconds = time.monotonic() - self.begun[run.id]
        with self.lock:
            self.ended += 1
            self.left[run.id] = 0
            self.pace[run.method] = seconds / run.recipe.steps
            self.bars.remove_task(self.rows.pop(run.id))
            remaining = self._refresh()
            self.say(
                f"[{self.ended}/{len(self.runs)}] {run.dataset} {run.label}: "
                f"{outcome(record)} in {duration(seconds)}{remaining}"
            )

    def dropped(self, run: Run) -> None:
        """Another process has taken over a run that this one has carried out."""
        with self.lock:
            self.bars.remove_task(self.rows.pop(run.id))

    def settled(self, run: Run, status: str, by: str = "another process") -> None:
        """Another process, or a job, has recorded a run with this status."""
        with self.lock:
            self.ended += 1
            self.left[run.id] = 0
            if run.id in self.rows:
                self.bars.remove_task(self.rows.pop(run.id))
            remaining = self._refresh()
            self.say(
                f"[{self.ended}/{len(self.runs)}] {run.dataset} {run.label}: {status}, recorded by "
                f"{by}{remaining}"
            )

    def waits(self, count: int, owner: object) -> None:
        """Say once that only runs of other processes are left."""
        if not self.waiting:
            self.say(f"waiting for {counted(count, 'run')} of other processes, such as {owner}")
        self.waiting = True

    def _refresh(self) -> str:
        """Update the upper bar, and return a text with the remaining time."""
        average = sum(self.pace.values()) / len(self.pace) if self.pace else 0.0
        seconds = sum(self.left[run.id] * self.pace.get(run.method, average) for run in self.runs)
        text = f", about {duration(seconds / self.jobs)} left" if seconds else ""
        planned = sum(run.recipe.steps for run in self.runs)
        self.bars.update(
            self.rows[""], completed=planned - sum(self.left.values()), left=text.lstrip(", ")
        )
        return text


def outcome(record: dict[str, Any]) -> str:
    """A record in a few words: the primary score, or what went wrong."""
    if record["status"] != "done":
        return f"{record['status']} ({record['reason']})"
    score = record["primary"]
    value = "no value" if score["value"] is None else f"{score['value']:.4g}"
    return f"{score['metric']} {value} {score['unit']}".rstrip()
