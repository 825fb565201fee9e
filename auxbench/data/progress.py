"""A progress bar for countable work, with the time left; plain lines without a terminal."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[int], None]


@contextmanager
def bar(what: str, total: int, done: int = 0, unit: str = "sample") -> Iterator[Advance]:
    """Show progress towards `total` on stderr; call the yielded function with each amount done.

    `done` is the amount that an earlier, interrupted run did. `unit` is a noun, such as "map" or
    "maps"; amounts of the unit "byte" are shown in MB.

    >>> with bar("counting", 2) as advance:
    ...     advance(2)
    """
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Left

    console = Console(stderr=True)
    if console.is_terminal:
        amounts = DownloadColumn() if unit == "byte" else MofNCompleteColumn()
        columns = (TextColumn("{task.description}"), BarColumn(), amounts, Left())
        with Progress(*columns, console=console) as bars:
            task = bars.add_task(what, total=total, completed=done)
            yield lambda amount: bars.advance(task, amount)
        return
    again = f", {_amount(done, unit)} done already" if done else ""
    _say(f"{what}: {_amount(total, unit)}{again}")
    start, at, quarter = time.monotonic(), done, 4 * done // max(total, 1)

    def advance(amount: int) -> None:
        nonlocal at, quarter
        at += amount
        if total and 4 * at // total > quarter:
            quarter = 4 * at // total
            seconds = time.monotonic() - start
            so_far = _amount(at, unit).partition(" ")[0]
            left = f", about {duration(seconds / (at - done) * (total - at))} left"
            _say(
                f"{what}: {so_far} of {_amount(total, unit)} after {duration(seconds)}"
                + (left if at < total else "")
            )

    yield advance


def duration(seconds: float) -> str:
    """A duration in seconds as readable text.

    >>> duration(42), duration(200), duration(7_500), duration(200_000)
    ('42 s', '3 min 20 s', '2 h 5 min', '2 days 7 h')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 48 * 3600:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} days {whole % 86400 // 3600} h"


def counted(number: int, noun: str) -> str:
    """A number with its noun, in the plural unless the number is one.

    >>> counted(1, "run"), counted(2, "run")
    ('1 run', '2 runs')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _amount(number: int, unit: str) -> str:
    one = re.sub("(?<!s)s$", "", unit)
    return f"{number / 1e6:.1f} MB" if unit == "byte" else counted(number, one)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
