"""Differences: two methods on one problem by paired seeds, with the conclusion in words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from auxbench.data.progress import counted
from auxbench.report.scored import Metric
from auxbench.report.summary import in_words
from auxbench.report.tables import Column, decimals
from auxbench.stats import Claim, Decision, Paired

FEW = 5  # pairs; with fewer, the test relies on normality and finds large differences only
WEAK = 0.1  # correlation of pairs; below it, pairing hardly narrows the interval

COLUMNS = (
    Column("problem", "problem", shown=False),
    Column("place", "problem"),
    Column("dataset", "data set", shown=False),
    Column("primary", "primary", shown=False),
    Column("auxiliaries", "auxiliaries", shown=False),
    Column("backbone", "backbone", shown=False),
    Column("budget", "budget", shown=False),
    Column("method", "method"),
    Column("control", "control", spare=2),
    Column("verdict", "verdict", telling=True),
    Column("metric", "metric", spare=6),
    Column("unit", "unit", spare=6),
    Column("direction", "direction", shown=False),
    Column("n", "pairs", spare=5),
    Column("unpaired", "unpaired", spare=7),
    Column("failed", "failed"),
    Column("control_failed", "control failed"),
    Column("collapsed", "collapsed"),
    Column("control_collapsed", "control collapsed"),
    Column("difference", "difference", "digits", signed=True),
    Column("low", "95 % interval", "digits", signed=True, upto="high", spare=1),
    Column("high", "high", shown=False),
    Column("median", "median", "digits", signed=True, spare=10),
    Column("flip_low", "sign-flip interval", "digits", signed=True, upto="flip_high", spare=11),
    Column("flip_high", "flip high", shown=False),
    Column("p", "p", 3, shown=False),
    Column("p_holm", "adjusted p", 3, spare=4),
    Column("margin", "margin", shown=False),
    Column("p_equivalent", "adjusted p of equivalence", 3, shown=False),
    Column("correlation", "correlation", 2, signed=True, spare=9),
    Column("spread", "sd of differences", shown=False),
    Column("detectable", "detectable", "digits", spare=8),
    Column("kind", "family", spare=3),
    Column("why", "why undecided", shown=False),
)


@dataclass(frozen=True)
class Difference:
    """One method against one control on one problem, with the decision made in its family.

    `where` describes the problem and its metric, and `place` is a short label that distinguishes it
    from the other problems. A failed run counts as the worst score on the problem, both in the
    result and in the ranks, which are by mean score among all methods compared there. `finished`
    counts the pairs in which the method's own run has a score, and `collapsed` and
    `control_collapsed` the runs that fell far below the median of their method. `digits` is the
    number of decimals to print, `family` the number of comparisons that are judged together.
    """

    where: Mapping[str, str]
    place: str
    method: str
    control: str
    failed: Mapping[str, int]
    control_failed: Mapping[str, int]
    rank: float
    control_rank: float
    finished: int
    collapsed: int
    control_collapsed: int
    claim: Claim
    decision: Decision
    digits: int
    kind: str = ""
    family: int = 1

    @property
    def result(self) -> Paired:
        """The estimate and its intervals."""
        return self.claim.result

    @property
    def verdict(self) -> str:
        """'better', 'worse', 'equivalent' or 'undecided'."""
        return self.decision.verdict

    @property
    def p_holm(self) -> float:
        """The p-value of the difference, adjusted for the family."""
        return self.decision.p

    @property
    def excludes_zero(self) -> bool:
        """True if the interval of this comparison by itself does not hold 0."""
        return self.result.low > 0 or self.result.high < 0

    def row(self) -> dict[str, Any]:
        """The difference as a row of a table."""
        result = self.result
        keys = (
            *("n", "unpaired", "difference", "low", "high", "median", "flip_low", "flip_high"),
            *("correlation", "spread", "detectable"),
        )
        tested = result.n > 1
        return {
            **self.where,
            "place": self.place,
            "method": self.method,
            "control": self.control,
            "failed": sum(self.failed.values()),
            "control_failed": sum(self.control_failed.values()),
            "collapsed": self.collapsed,
            "control_collapsed": self.control_collapsed,
            **{key: getattr(result, key) for key in keys},
            "margin": self.claim.margin,
            "p_equivalent": self.decision.p_equivalent if tested else None,
            "why": self.decision.why,
            "p": result.p if tested else None,
            "p_holm": self.p_holm if tested else None,
            "kind": self.kind,
            "verdict": self.verdict,
            "digits": self.digits,
        }

    def sentence(self, alone: bool = True) -> str:
        """The conclusion, in words.

        If it stands `alone`, without the note below a table of comparisons, it says why an interval
        without 0 may be undecided.
        """
        metric = f" ({self.where['metric']})" if self.where["metric"] else ""
        head = f"{self.method} against {self.control} on {self.place}{metric}: {self.verdict}"
        return " ".join([f"{head}{self._evidence(alone)}.", *self._missing()])

    def _evidence(self, alone: bool) -> str:
        result, unit = self.result, f" {self.where['unit']}".rstrip()
        if result.n < 2:
            seeds = "there is only 1 paired seed" if result.n else "there are no paired seeds"
            return f", since {seeds} to test"
        difference = f"{result.difference:+.{self.digits}f}{unit}"
        if result.spread == 0:
            if result.difference == 0:
                return f". The scores are identical on {result.n} paired seeds"
            return (
                f". The difference is {difference} on each of {result.n} paired seeds; without "
                f"any spread, only the signs can be tested: adjusted {_p(self.p_holm)}"
            )
        row = self.row()
        bounds = next(column for column in COLUMNS if column.key == "low").text(row)
        text = f". The difference is {difference} {bounds} over {result.n} paired seeds, "
        text += f"adjusted {_p(self.p_holm)}"
        if self.verdict == "equivalent":
            text = text.rpartition(", ")[0] + (
                f", within the margin of {self.claim.margin:g}{unit} "
                f"(adjusted {_p(self.decision.p_equivalent)})"
            )
        elif self.decision.why:
            text += f"; {self.decision.why}"
        elif self.verdict == "undecided":
            text += (
                "; the test has 80 % power for a true difference of "
                f"{result.detectable:.{self.digits}f}{unit} or more"
            )
            if alone and self.excludes_zero and self.family > 1:
                text += (
                    "; the interval is that of this comparison by itself, the verdict holds for "
                    f"all {self.family} together (Holm)"
                )
        return text

    def _missing(self) -> Iterator[str]:
        for method, counts in ((self.method, self.failed), (self.control, self.control_failed)):
            if counts:
                runs, why = counted(sum(counts.values()), "run"), in_words(counts)
                yield f"{runs} of {method} gave no score ({why}), which counts as the worst score."
        if self.result.unpaired:
            yield f"{counted(self.result.unpaired, 'score')} without a partner left out."


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def digits_of(metrics: Iterable[Metric], family: Iterable[Paired]) -> dict[Metric, int]:
    """Decimals for the differences in each metric: two digits of the median half-width."""
    sizes: dict[Metric, list[float]] = {}
    for metric, result in zip(metrics, family, strict=True):
        half = (result.high - result.low) / 2
        size = half if half > 0 else abs(result.difference)
        sizes.setdefault(metric, []).extend([size] if size > 0 else [])
    return {metric: decimals(median(known or [1.0])) for metric, known in sizes.items()}


def places_of(labels: Iterable[str]) -> dict[str, str]:
    """Short labels of problems: the first part, and all parts in which they differ.

    >>> list(places_of(["rooms depth; resnet18; demo", "rooms depth; resnet50; demo"]).values())
    ['rooms depth; resnet18', 'rooms depth; resnet50']
    """
    parts = {label: label.split("; ") for label in labels}
    common = set.intersection(*(set(words) for words in parts.values()))
    return {
        label: "; ".join([words[0], *(word for word in words[1:] if word not in common)])
        for label, words in parts.items()
    }


def shortened(places: Iterable[str]) -> dict[str, str]:
    """Labels of problems without auxiliaries and networks, where the rest distinguishes them.

    >>> shortened(["rooms depth with edges; resnet18", "toy primary with useless; mlp"]).values()
    dict_values(['rooms depth', 'toy primary'])
    >>> list(shortened(["toy primary with useless; mlp", "toy primary with helpful"]).values())
    ['toy primary with useless', 'toy primary with helpful']
    """
    every = list(dict.fromkeys(places))
    short = {place: place for place in every}
    for left_out in (r" with .*?(?=;|$)", r";.*", r" with .*|;.*"):
        briefer = [re.sub(left_out, "", place) for place in every]
        counts = Counter(briefer)
        short.update(
            (place, text) for place, text in zip(every, briefer, strict=True) if counts[text] == 1
        )
    return short
