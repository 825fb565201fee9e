"""Comparisons: methods against each other by paired seeds, and in words what follows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from auxbench.errors import UsageError, suggestion
from auxbench.report.board import describe, metric_of, problems
from auxbench.report.table import Column, Table
from auxbench.stats import Paired, frame, holm, paired

if TYPE_CHECKING:
    import pandas

ALPHA = 0.05
FEW = 5

COLUMNS = (
    Column("problem", "problem"),
    Column("method", "method"),
    Column("control", "control"),
    Column("metric", "metric"),
    Column("unit", "unit"),
    Column("n", "pairs"),
    Column("unpaired", "unpaired"),
    Column("failed", "failed"),
    Column("difference", "difference", 2),
    Column("interval", "95 % interval"),
    Column("low", "low", shown=False),
    Column("high", "high", shown=False),
    Column("p", "p", 4),
    Column("p_holm", "p (Holm)", 4),
    Column("correlation", "correlation", 2),
    Column("detectable", "detectable", 2),
    Column("verdict", "verdict"),
)


@dataclass(frozen=True)
class Difference:
    """One method against one control on one problem."""

    problem: str
    method: str
    control: str
    metric: str
    unit: str
    failed: int
    result: Paired
    p_holm: float

    @property
    def verdict(self) -> str:
        """'better', 'worse' or 'undecided' at the family's level of 0.05."""
        if self.p_holm >= ALPHA:
            return "undecided"
        return "better" if self.result.difference > 0 else "worse"

    def row(self) -> dict[str, Any]:
        """The difference as a table holds it."""
        result = self.result
        numbers = {
            key: _present(getattr(result, key))
            for key in ("difference", "low", "high", "p", "correlation", "detectable")
        }
        bounds = (numbers["low"], numbers["high"])
        return {
            "problem": self.problem,
            "method": self.method,
            "control": self.control,
            "metric": self.metric,
            "unit": self.unit,
            "n": result.n,
            "unpaired": result.unpaired,
            "failed": self.failed,
            **numbers,
            "interval": None if None in bounds else f"{bounds[0]:+.2f} to {bounds[1]:+.2f}",
            "p_holm": self.p_holm,
            "verdict": self.verdict,
        }

    def sentence(self) -> str:
        """What can and cannot be concluded, in words."""
        result, unit = self.result, f" {self.unit}" if self.unit else ""
        where = self.problem.split(";")[0]
        subject = f"{self.method} against {self.control} on {where}"
        failed = f" {self.failed} runs of the two failed." if self.failed else ""
        if result.n < 2:
            return f"{subject}: undecided, for {result.n} paired seeds allow no test.{failed}"
        text = (
            f"{subject}: {self.verdict}. The {self.metric} differs by {result.difference:+.2f}"
            f"{unit} ({result.low:+.2f} to {result.high:+.2f}, positive is better) over "
            f"{result.n} paired seeds, p = {self.p_holm:.3g} after Holm."
        )
        if self.verdict == "undecided":
            text += (
                f" A true difference below {result.detectable:.2f}{unit} "
                "would probably not have been seen."
            )
        return text + failed


@dataclass(frozen=True)
class Comparison:
    """All differences that are reported together: one family."""

    differences: tuple[Difference, ...]

    def table(self) -> Table:
        """The differences as a table, with what they mean."""
        rows = [difference.row() for difference in self.differences]
        many = len({row["problem"] for row in rows}) > 1
        hidden = set() if many else {"problem"}
        for key in ("unpaired", "failed"):
            if not any(row[key] for row in rows):
                hidden.add(key)
        columns = tuple(
            Column(c.key, c.title, c.digits, c.si, c.shown and c.key not in hidden) for c in COLUMNS
        )
        title = "" if many else self.differences[0].problem
        return Table(title, columns, rows, tuple(self.notes()))

    def notes(self) -> list[str]:
        """How the numbers were made, and warnings that belong to them."""
        count = len(self.differences)
        family = f"the family of {count} comparisons" if count > 1 else "this one comparison"
        notes = [
            "Estimand: the mean difference in the primary score on these data over the randomness "
            "of training; positive is better. Nothing is claimed about other data.",
            "Paired t-test by seed; intervals are unadjusted 95 % ones; verdicts hold at 5 % over "
            f"{family} (Holm). Detectable: the true difference that this many pairs find with "
            "power 80 %, at the level of the family.",
        ]
        least = min(difference.result.n for difference in self.differences)
        if least < FEW:
            notes.append(
                f"Only {least} pairs in the smallest comparison: with fewer than {FEW} seeds only "
                "large differences can be decided."
            )
        weak = [
            difference
            for difference in self.differences
            if difference.result.n >= 3 and difference.result.correlation < 0.1
        ]
        if weak:
            names = ", ".join(f"{d.method} and {d.control}" for d in weak)
            notes.append(
                f"Pairing by seed gained little for {names}: their scores do not go along."
            )
        return notes

    def sentences(self) -> list[str]:
        """One sentence or two per difference."""
        return [difference.sentence() for difference in self.differences]


def compare(
    records: Sequence[dict[str, Any]], methods: Sequence[str], control: str | None = None
) -> Comparison:
    """Compare methods inside every problem of the records.

    With a control every other method, or each of `methods`, is compared with it; without one the
    last of `methods` is the control. Errors: `UsageError` for methods that are not recorded, for
    fewer than two, and where no problem has both sides.
    """
    rows = frame(records)
    present = sorted(set(rows["method"]))
    names = [str(name) for name in methods]
    for name in [*names, *([control] if control else [])]:
        if name not in present:
            raise UsageError(f"no record has method '{name}'; {suggestion(name, present)}")
    if control is None:
        if len(names) < 2:
            raise UsageError("one method cannot be compared; name two, or one with --control.")
        *names, control = names
    others = [name for name in (names or present) if name != control]
    if not others:
        raise UsageError(f"method '{control}' is alone; record or name another one.")
    pairs = [
        (group, other, control)
        for group in problems(rows)
        for other in others
        if {other, control} <= set(group["method"])
    ]
    if not pairs:
        raise UsageError(
            f"no problem has '{control}' and {' or '.join(map(repr, others))}; "
            "run them on the same data, tasks, backbone and budget."
        )
    alpha = ALPHA / len(pairs)
    results = [
        paired(_values(group, a), _values(group, b), metric_of(group)[2], alpha)
        for group, a, b in pairs
    ]
    adjusted = holm([result.p for result in results])
    return Comparison(
        tuple(
            Difference(
                describe(group), a, b, *metric_of(group)[:2], _failed(group, a, b), result, p
            )
            for (group, a, b), result, p in zip(pairs, results, adjusted, strict=True)
        )
    )


def _values(group: pandas.DataFrame, method: str) -> dict[int, float]:
    done = group[(group["method"] == method) & (group["status"] == "done")].dropna(subset=["value"])
    return {int(seed): float(v) for seed, v in zip(done["seed"], done["value"], strict=True)}


def _failed(group: pandas.DataFrame, *methods: str) -> int:
    return int((group["method"].isin(methods) & (group["status"] != "done")).sum())


def _present(value: float) -> float | None:
    return None if math.isnan(value) else value
