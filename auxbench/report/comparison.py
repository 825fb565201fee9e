"""Comparisons: methods against a control by paired seeds, with conclusions in words."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from auxbench.data.progress import counted
from auxbench.errors import UsageError, suggestion
from auxbench.report import explanation
from auxbench.report.difference import COLUMNS, FEW, WEAK, Difference, digits_of, places_of
from auxbench.report.family import Looks, Pair, judged
from auxbench.report.notes import provenance
from auxbench.report.scored import Metric, ScoredProblem, failures
from auxbench.report.tables import Table
from auxbench.spec.grammar import split_list
from auxbench.stats import frame
from auxbench.stats.decision import ALPHA, STRICT
from auxbench.stats.runs import Runs, problems
from auxbench.stats.sequential import LAST

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Comparison:
    """The differences to show, each judged within its family.

    `absent` says which of the requested pairs are not recorded, and where. `fixed` names the
    problems on which all seeds have the same data; on the others every seed drew its own. `sizes`
    has the numbers of comparisons in the confirmatory and the exploratory family, and
    `declared_after` the number of runs that were recorded when the confirmatory ones were declared.
    `problems` are those on which methods are compared.
    """

    differences: tuple[Difference, ...]
    absent: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)
    declared_after: int = 0
    problems: tuple[ScoredProblem, ...] = field(default=(), compare=False)

    def table(self) -> Table:
        """The differences as a table with notes.

        A positive difference means that the method is better than its control, whatever the
        direction of the metric.
        """
        rows = [difference.row() for difference in self.differences]
        places, metrics = ({row[key] for row in rows} for key in ("place", "metric"))
        counts = ("unpaired", "failed", "control_failed", "collapsed", "control_collapsed")
        hidden = {key for key in (*counts, "kind") if not _any(rows, key)}
        title = ""
        if len(places) == 1:
            hidden.add("place")
            title = rows[0]["problem"]
        if len(metrics) == 1:
            hidden |= {"metric", "unit"}
            title = f"{title}: " if title else ""
            title += " in ".join(word for word in (rows[0]["metric"], rows[0]["unit"]) if word)
        columns = tuple(
            replace(column, shown=column.shown and column.key not in hidden) for column in COLUMNS
        )
        notes, statistics = (*self.beside(self.differences), *self.notes()), self.explanation()
        return Table(title.removesuffix(": "), columns, rows, notes, statistics)

    def beside(self, shown: Sequence[Difference]) -> Iterator[str]:
        """Explain intervals without 0 beside 'undecided' among those shown, where there are any."""
        count = sum(one.excludes_zero for one in shown if one.verdict == "undecided")
        if count:
            several = max(one.family for one in shown)
            reason = (
                f"an interval is that of one comparison by itself, a verdict holds for all "
                f"{several} together (Holm)"
                if several > 1
                else "the level of a verdict is stricter here than that of an interval"
            )
            yield f"{count} undecided with an interval without 0: {reason}."

    def notes(self) -> Iterator[str]:
        """Notes on these differences: their families, collapses, failures, stale or mixed runs."""
        count = len(self.differences)
        if self.declared_after:
            yield (
                f"The confirmatory comparisons were declared when {self.declared_after} runs had "
                "been made."
            )
        if looked := [one.claim.alpha for one in self.differences if one.claim.alpha < ALPHA]:
            levels = ", ".join(f"{100 * alpha:g} %" for alpha in sorted(set(looked)))
            yield (
                f"Seeds were added after looks at {len(looked)} of the comparisons, which are "
                f"therefore decided at {levels}, so that the error rate over all looks is 5 %."
            )
            if max(one.result.n for one in self.differences if one.claim.alpha < ALPHA) > LAST:
                yield (
                    f"Some of them have more than the {LAST} seeds of the last look, and nothing "
                    "corrects for seeds that were added after it."
                )
        if any(difference.claim.depth for difference in self.differences):
            yield (
                "Some runs collapsed: they lie more than 5 robust standard deviations below the "
                "median of their method. A verdict must survive one more such run and, where a "
                "run of the two methods collapsed, the sign-flip test as well."
            )
        few = sorted({difference.claim.others for difference in self.differences} & STRICT.keys())
        if few:
            levels = ", ".join(f"{100 * STRICT[others]:g} %" for others in few)
            yield (
                "Where few methods were run on a problem, collapses may be unseen: the nominal "
                f"level there is {levels}."
            )
        least = min(difference.result.n for difference in self.differences)
        if least < FEW:
            yield (
                f"The smallest comparison has {counted(least, 'pair')}: with fewer than {FEW} only "
                "large differences can be decided."
            )
        weak = [
            f"{difference.method} and {difference.control} ({difference.result.correlation:+.2f})"
            for difference in self.differences
            if difference.result.correlation < WEAK
        ]
        if len(weak) > FEW:
            yield (
                f"Pairing by seed gained little in {len(weak)} of the {count} comparisons, in "
                "which the scores hardly correlate."
            )
        elif weak:
            names = ", ".join(weak)
            yield f"Pairing by seed gained little for scores that hardly correlate: {names}."
        if any(difference.failed or difference.control_failed for difference in self.differences):
            yield (
                "Some runs gave no score: each counts as the worst score of any run on its "
                "problem, since the seeds that finished would flatter a method that fails."
            )
        yield from self._provenance()
        if self.absent:
            yield f"Not compared, because not recorded there: {', '.join(self.absent)}."

    def _provenance(self) -> Iterator[str]:
        """Notes on how the runs were made; one that is not true of all problems names its own."""
        found = {one.name: provenance(one.runs) for one in self.problems}
        places = places_of(found)
        told: dict[str, list[str]] = {}
        for problem, notes in found.items():
            for note in notes:
                told.setdefault(note, []).append(places[problem])
        for note, where in told.items():
            everywhere = len(where) == len(found)
            yield note if everywhere else f"{note.removesuffix('.')} ({', '.join(where)})."

    def explanation(self) -> tuple[str, ...]:
        """The statistics behind the numbers."""
        places = {difference.place for difference in self.differences}
        return tuple(explanation.comparison(places, self.fixed, self.sizes))

    def sentences(self) -> list[str]:
        """The conclusion on each difference, in one or two sentences."""
        return [difference.sentence() for difference in self.differences]


def compare(
    records: Iterable[Mapping[str, Any]] | pandas.DataFrame,
    methods: Sequence[str],
    control: str | None = None,
    *,
    within: Collection[str] | None = None,
    looks: Looks | None = None,
    declared: Mapping[Pair, int] | None = None,
) -> Comparison:
    """Compare methods within every problem of the records.

    Each of `methods`, or every other method if none is named, is compared with `control`, which is
    the last of `methods` by default. `methods` and `within`, names of problems, select what is
    shown but not how it is judged: the family is everything recorded against that control, except
    the `declared` pairs (method, control), which form a family of their own. `looks` has the number
    of seeds at the latest look at a comparison (problem, method, control) before more were added,
    which lowers its level. Errors: `UsageError` for methods that are not recorded, for fewer than
    two, and if no problem has both sides.
    """
    rows = frame(records)
    if rows.empty:
        raise UsageError("there are no records to compare; auxbench run makes some.")
    others, control = _sides(rows, methods, control)
    every = sorted(set(rows["method"]) - {control})
    pairs, absent = [], []
    for runs in problems(rows):
        problem = ScoredProblem.of(runs, [*every, control])
        pairs += [(problem, one) for one in every if {one, control} <= problem.ranks.keys()]
        for other in others if within is None or problem.name in within else ():
            lacking = [one for one in (control, other) if one not in problem.ranks]
            if lacking and (methods or control in lacking):
                absent.append(f"{lacking[0]} on {problem.name}")
    shown = [one in others and (within is None or problem.name in within) for problem, one in pairs]
    if not any(shown):
        raise UsageError(
            f"no problem has '{control}' and {' or '.join(map(repr, others))}; "
            "run them on the same data, tasks, backbone and budget."
        )
    named = {method for method, against in declared or {} if against == control}
    claims, decisions = judged(pairs, control, named, looks or {})
    order = list(dict.fromkeys(problem.name for problem, _ in pairs))
    kept = sorted(
        (place for place, visible in enumerate(shown) if visible),
        key=lambda place: (order.index(pairs[place][0].name), others.index(pairs[place][1])),
    )
    digits = digits_of(
        [pairs[place][0].metric for place in kept], [claims[place].result for place in kept]
    )
    places = places_of(dict.fromkeys(pairs[place][0].name for place in kept))
    sizes = {
        kind: sum((name in named) is (kind == "confirmatory") for _, name in pairs)
        for kind in ("confirmatory", "exploratory")
    }
    differences = []
    for place in kept:
        problem, other = pairs[place]
        differences.append(
            Difference(
                _where(problem.runs, problem.metric),
                places[problem.name],
                other,
                control,
                failures(problem.runs, other),
                failures(problem.runs, control),
                problem.ranks[other],
                problem.ranks[control],
                problem.finished(other, control),
                problem.collapses[other],
                problem.collapses[control],
                claims[place],
                decisions[place],
                digits[problem.metric],
                "confirmatory" if other in named else "exploratory" if named else "",
                sizes["confirmatory" if other in named else "exploratory"],
            )
        )
    known = {name for _, name in pairs}
    return Comparison(
        tuple(differences),
        tuple(dict.fromkeys(absent)),
        tuple(
            dict.fromkeys(
                places[pairs[place][0].name]
                for place in kept
                if len(pairs[place][0].runs.distinct("draw")) < 2
            )
        ),
        sizes,
        max(((declared or {})[name, control] for name in named & known), default=0),
        tuple({pairs[place][0].name: pairs[place][0] for place in kept}.values()),
    )


def _sides(
    rows: pandas.DataFrame, methods: Sequence[str], control: str | None
) -> tuple[list[str], str]:
    """The methods to compare, and their control."""
    present = sorted(set(rows["method"]))
    names = list(dict.fromkeys(name for words in methods for name in split_list(words)))
    for name in [*names, *([control] if control else [])]:
        if name not in present:
            raise UsageError(f"no record has method '{name}'; {suggestion(name, present)}")
    if control is None:
        if len(names) < 2:
            given = "one method" if names else "an empty list"
            raise UsageError(f"{given} cannot be compared; name two, or one with --control.")
        *names, control = names
    others = [name for name in (names or present) if name != control]
    if not others:
        raise UsageError(f"method '{control}' is alone; record or name another one.")
    return others, control


def _where(runs: Runs, metric: Metric) -> dict[str, str]:
    keys = ("problem", "dataset", "primary", "auxiliaries", "backbone", "budget")
    return {
        **{key: runs[key][0] for key in keys},
        **dict(zip(("metric", "unit", "direction"), metric, strict=True)),
    }


def _any(rows: Iterable[Mapping[str, Any]], key: str) -> bool:
    return any(row[key] for row in rows)
