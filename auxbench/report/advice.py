"""Advice: which auxiliaries and which method to use, as far as a study has decided it.

Nothing is decided by means alone: a candidate is advised only if it is found better than the
control. Among those the advice is the best by mean of the cheapest that cannot be told apart from
the best one, and it says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from auxbench.data.progress import counted
from auxbench.records.advice import Candidate
from auxbench.report.comparison import Comparison, compare
from auxbench.report.difference import Difference
from auxbench.report.family import Looks
from auxbench.report.tables import Column, Table, si
from auxbench.stats.decision import ALPHA, level
from auxbench.stats.frame import frame
from auxbench.stats.needed import MOST, seeds_needed
from auxbench.stats.sequential import LAST

if TYPE_CHECKING:
    import pandas

    from auxbench.report.scored import ScoredProblem

AS_CHEAP = 1.25  # times the cheapest training's operations that count as cheap, too


def named(candidate: Candidate, every: int) -> str:
    """A candidate in words; `every` is the number of all auxiliaries.

    >>> named(("uw", ("depth", "edges")), 2), named(("single", ()), 2)
    ('uw with all', 'single')
    """
    method, auxiliaries = candidate
    if not auxiliaries:
        return method
    several = len(auxiliaries) > 1 and len(auxiliaries) == every
    return f"{method} with {'all' if several else ', '.join(auxiliaries)}"


@dataclass(frozen=True)
class Verdict:
    """The verdicts so far: what was compared, and what follows.

    `names` has the candidates by their names in the comparison, `advised` the one to use, None if
    none is better than the control, and `alike` the names of those that are better as well and not
    told apart from it.
    """

    comparison: Comparison
    names: Mapping[str, Candidate]
    advised: Candidate | None
    alike: tuple[str, ...]
    costs: Mapping[str, float] = field(default_factory=dict)

    @property
    def differences(self) -> Sequence[Difference]:
        """The candidates against the control."""
        return self.comparison.differences

    @property
    def open(self) -> list[Candidate]:
        """The candidates that more seeds may decide: on the control, or on which is the best."""
        undecided = [one.method for one in self.differences if one.verdict == "undecided"]
        if self.advised and self.alike:
            undecided += [name for name, one in self.names.items() if one == self.advised]
            undecided += self.alike
        return [self.names[name] for name in dict.fromkeys(undecided)]

    def table(self) -> Table:
        """A row per candidate, the one that is advised first."""
        rows = sorted(map(self._row, self.differences), key=lambda row: row["place"])
        unit = " ".join(filter(None, (rows[0]["metric"], rows[0]["unit"])))
        title = f"{rows[0]['problem']}: difference from {rows[0]['control']} in {unit}"
        return Table(title, COLUMNS, rows, tuple(self.comparison.notes()))

    def _row(self, one: Difference) -> dict[str, Any]:
        candidate, row = self.names[one.method], one.row()
        advised = candidate == self.advised
        keys = (
            *("control", "verdict", "metric", "unit", "direction", "n", "failed", "difference"),
            *("low", "high", "p_holm", "margin", "digits", "problem", "why"),
        )
        cost = self.costs.get(one.method), self.costs.get(one.control)
        return {
            **{key: row[key] for key in keys},
            "advised": "→" if advised else "",
            "method": candidate[0],
            "auxiliaries": ", ".join(candidate[1]),
            "flops": cost[0],
            "cost": cost[0] / cost[1] if cost[0] and cost[1] else None,
            "needed": _needed(one),
            "place": (not advised, one.method not in self.alike, one.rank),
        }


COLUMNS = (
    Column("advised", ""),
    Column("method", "method"),
    Column("auxiliaries", "auxiliaries"),
    Column("control", "control", shown=False),
    Column("verdict", "verdict", telling=True),
    Column("metric", "metric", shown=False),
    Column("unit", "unit", shown=False),
    Column("direction", "direction", shown=False),
    Column("difference", "difference", "digits", signed=True),
    Column("low", "95 % interval", "digits", signed=True, upto="high", spare=1),
    Column("high", "high", shown=False),
    Column("n", "seeds", spare=2),
    Column("needed", "seeds to decide", 0, spare=3),
    Column("cost", "training cost", 2, spare=4),
    Column("flops", "train FLOPs", shown=False),
    Column("failed", "failed", shown=False),
    Column("p_holm", "adjusted p", 3, shown=False),
    Column("margin", "margin", shown=False),
    Column("problem", "problem", shown=False),
    Column("why", "why undecided", shown=False),
)


def judge(
    records: Sequence[Mapping[str, Any]],
    compared: Mapping[str, Candidate],
    control: Candidate,
    looks: Looks,
) -> Verdict:
    """The verdict on the runs of some candidates, by id; `looks` are by problem and names.

    All candidates are compared as methods of one problem, since what differs between them, the
    auxiliaries included, is what a user may choose; seeds pair them, which draw data, order and
    initial weights alike for all. Errors: `UsageError` as for `compare`.
    """
    every = max(len(one[1]) for one in compared.values())
    names = {named(one, every): one for one in dict.fromkeys(compared.values())}
    rows = frame([record for record in records if record["id"] in compared])
    rows = rows.assign(
        method=[named(compared[one], every) for one in rows["id"]],
        problem=problem_of(rows),
    )
    comparison = compare(rows, [], named(control, every), looks=looks)
    means = rows.groupby("method")["train_flops"].mean()
    costs = {str(name): float(flops) for name, flops in means.items()}
    better = [one.method for one in comparison.differences if one.verdict == "better"]
    advised, alike = _best(comparison.problems[0], better, costs)
    chosen = names[advised] if advised else None
    return Verdict(comparison, names, chosen, alike, costs)


def problem_of(rows: pandas.DataFrame) -> str:
    """The problem of the control's runs, which names no auxiliary."""
    alone = rows[rows["auxiliaries"] == ""]["problem"]
    return str((alone if len(alone) else rows["problem"]).iloc[0])


def _best(
    problem: ScoredProblem, better: Sequence[str], costs: Mapping[str, float]
) -> tuple[str, tuple[str, ...]]:
    """The candidate to advise and those that it is not told apart from; an empty name for none."""
    order = [name for name in problem.order if name in better]
    if not order:
        return "", ()
    apart = problem.apart(order)
    tier = [name for name in order if name == order[0] or not apart[order[0], name]]
    limit = AS_CHEAP * min(costs[name] for name in tier)
    best = next(name for name in tier if costs[name] <= limit)
    return best, tuple(name for name in tier if name != best)


def answer(verdict: Verdict, entries: Mapping[Candidate, str], primary: str) -> Iterator[str]:
    """The advice and its evidence, in sentences."""
    found = {verdict.names[one.method]: one for one in verdict.differences}
    control = verdict.differences[0].control
    advised = verdict.advised
    if advised is None:
        same = [o.method for o in found.values() if o.verdict == "equivalent"]
        worse = [o.method for o in found.values() if o.verdict == "worse"]
        yield f"Advice: train {primary} without auxiliaries; none was found to help."
        if same:
            yield f"Equivalent to {control} within the margin: {', '.join(same)}."
        if worse:
            yield f"Found to do harm: {', '.join(worse)}."
    else:
        auxiliaries = ", ".join(advised[1])
        yield (
            f"Advice: train {primary} with {auxiliaries} by {advised[0]}, as tuned: "
            f"{entries[advised]}."
        )
        yield found[advised].sentence()
        if verdict.alike:
            yield (
                f"Better as well, and not told apart from the best: {', '.join(verdict.alike)}. "
                f"Of all these the advice has the best mean among the cheapest to train."
            )
        cost = verdict.costs.get(found[advised].method)
        if cost:
            times = cost / verdict.costs[control]
            yield f"Its training takes {si(cost)} FLOPs, {times:.2f} times those of {control}."
    undecided = [one for one in found.values() if one.verdict == "undecided"]
    if undecided:
        yield (
            f"Not decided against {control}: {', '.join(map(_more, undecided))}. Numbers of seeds "
            "hold if the true differences are those seen so far; the same command with more "
            f"--hours adds seeds, up to {LAST}."
        )


def _needed(one: Difference) -> int | None:
    """The seeds that would decide it; None if it is decided, or if collapses keep it open."""
    if one.verdict != "undecided" or one.decision.why:
        return None
    share = level(one.claim.others) / ALPHA / one.family
    return seeds_needed(one.result, one.claim.margin, share)


def _more(one: Difference) -> str:
    if one.decision.why:
        return f"{one.method} ({one.decision.why})"
    seeds = _needed(one)
    if seeds is None:
        return f"{one.method} (no number of seeds up to {MOST:,} would do)"
    beyond = ", beyond what advise takes" if seeds > LAST else ""
    return f"{one.method} (about {counted(seeds - one.result.n, 'more seed')}{beyond})"


def unseen(verdict: Verdict, candidates: int, trials: int, budget: str, sets: int) -> Iterator[str]:
    """Sentences about what the study could not see."""
    left = candidates - 1 - len(verdict.differences)
    if left > 0:
        yield (
            f"{counted(left, 'candidate')} of {candidates - 1} had no fresh seeds: they were left "
            f"out by the validation scores of {counted(trials, 'trial')}, which decide nothing."
        )
    if sets > 4:  # none, two and both are all there is of two
        yield "Auxiliaries were tried alone and all together, not in other combinations."
    yield (
        f"All of this holds at budget {budget}, this backbone and {counted(trials, 'trial')} of "
        "tuning: with longer training or more labels of the primary, gains often shrink."
    )
