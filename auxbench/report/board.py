"""Boards: the methods of each problem, sorted by primary score, with their costs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

from auxbench.report.explanation import BOARD
from auxbench.report.notes import NAMED, notes
from auxbench.report.scored import ScoredProblem
from auxbench.report.summary import summaries
from auxbench.report.tables import Column, Table, decimals
from auxbench.stats import frame
from auxbench.stats.runs import Runs, problems

if TYPE_CHECKING:
    import pandas

Record = Mapping[str, Any]

COLUMNS = (
    Column("tier", "tier"),
    Column("method", "method"),
    Column("entry", "entry", shown=False),
    Column("tuning", "tuning", spare=3),
    Column("dataset", "data set", shown=False),
    Column("primary", "primary", shown=False),
    Column("auxiliaries", "auxiliaries", shown=False),
    Column("backbone", "backbone", shown=False),
    Column("pretrained", "pretrained", shown=False),
    Column("budget", "budget", shown=False),
    Column("problem", "problem", shown=False),
    Column("metric", "metric", shown=False),
    Column("unit", "unit", shown=False),
    Column("direction", "direction", shown=False),
    Column("mean", "mean"),
    Column("low", "95 % interval", upto="high", spare=1),
    Column("high", "high", shown=False),
    Column("rank_low", "rank", 0, upto="rank_high", spare=3),
    Column("rank_high", "rank high", shown=False),
    Column("seeds", "seeds", spare=2),
    Column("failed", "failed"),
    Column("failures", "failures", shown=False),
    Column("imputed", "failed as worst", spare=4),
    Column("forward", "forward", spare=8),
    Column("backward", "backward", spare=5),
    Column("partial", "partial", spare=9),
    Column("jvp", "forward-mode", spare=10),
    Column("train_flops", "train FLOPs", si=True, spare=6),
    Column("tuning_flops", "tuning FLOPs", si=True, spare=13),
    Column("train_seconds", "train s", 1, spare=3),
    Column("cpu_seconds", "CPU s", 1, spare=12),
    Column("evaluation_seconds", "evaluation s", 1, shown=False),
    Column("threads", "threads", shown=False),
    Column("hardware", "hardware", shown=False),
    Column("contended", "contended", shown=False),
    Column("stale", "stale", shown=False),
    Column("parameters", "parameters", si=True, spare=7),
    Column("macs", "MACs", si=True, spare=6),
    Column("latency_ms", "latency ms", 1, spare=11),
    Column("latency_p95_ms", "latency p95 ms", 1, shown=False),
    Column("latency_8_ms", "latency ms, batch 8", 1, shown=False),
    Column("latency_8_p95_ms", "latency p95 ms, batch 8", 1, shown=False),
    Column("latency_32_ms", "latency ms, batch 32", 1, shown=False),
    Column("latency_32_p95_ms", "latency p95 ms, batch 32", 1, shown=False),
    Column("training_parameters", "parameters in training", si=True, shown=False),
    Column("peak_memory_bytes", "peak memory", si=True, shown=False),
    Column("same_as_single", "same as single", shown=False),
    Column("compared", "compared by", shown=False),
    Column("dropped_open", "dropped open", shown=False),
    Column("dropped_strength", "dropped strength", shown=False),
)


def boards(records: Iterable[Record] | pandas.DataFrame) -> list[Table]:
    """One table per problem, sorted by mean score, with failed runs counted as the worst score.

    Each row describes a method: its tier and rank interval, the mean score and its interval over
    the seeds that finished, the number of failures by kind, the mean that it is sorted by, and the
    costs of training and inference.
    Errors: `UsageError` when the runs of a problem were scored by different metrics.
    """
    return [_board(runs) for runs in problems(frame(records))]


def _board(runs: Runs) -> Table:
    scored = ScoredProblem.of(runs)
    metric, unit, direction = scored.metric
    common = {"metric": metric, "unit": unit, "direction": direction}
    names, every, standing = scored.order, scored.scores, scored.standing(scored.order)
    known = summaries(runs)
    rows = [
        {
            **known[method],
            **common,
            **dict(zip(("tier", "rank_low", "rank_high"), standing[method], strict=True)),
            "imputed": fmean(every[method].values()) if every[method] else None,
        }
        for method in names
    ]
    told = (*_odd(scored, rows), *notes(runs, rows))
    return Table(str(runs["problem"][0]), _columns(rows), rows, told, BOARD)


def _odd(scored: ScoredProblem, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Explain ranks that seem to contradict tiers, where there are any."""
    first = {row["tier"]: row for row in reversed(rows)}
    odd = [row["method"] for row in rows if row["rank_low"] > first[row["tier"]]["rank_high"]]
    if odd:
        names = ", ".join(odd) if len(odd) <= NAMED else f"{len(odd)} methods"
        pairs = len(rows) * (len(rows) - 1) // 2
        more = ", and survive one more collapsed run" if scored.depth else ""
        yield (
            f"Tier and rank of {names} seem to disagree: a rank is that of one method by itself, "
            f"a tier has to hold for all {pairs} pairs together (Holm){more}."
        )


def _columns(rows: Sequence[Mapping[str, Any]]) -> tuple[Column, ...]:
    """The columns, with titles, decimals and visibility that fit these rows."""
    arrow = {"up": "↑", "down": "↓"}[rows[0]["direction"]]
    title = " ".join(word for word in (rows[0]["metric"], rows[0]["unit"], arrow) if word)
    sizes = [abs(row["mean"]) for row in rows if row["seeds"]]
    halves = [(row["high"] - row["low"]) / 2 for row in rows if row["seeds"] > 1]
    halves = [half for half in halves if half > 0]
    digits = decimals(median(halves)) if halves else decimals(max(sizes, default=0.0), 3)
    failed = any(row["failed"] for row in rows)
    changes: dict[str, dict[str, Any]] = {
        "mean": {"title": title if rows[0]["metric"] else "score", "digits": digits},
        "low": {"digits": digits},
        "failed": {"shown": failed},
        "tuning": {"shown": any(row["tuning"] != "default" for row in rows)},
        "imputed": {"shown": failed, "digits": digits},
        **{
            key: {"shown": any(row[key] for row in rows)}
            for key in ("partial", "jvp", "cpu_seconds", "tuning_flops")
        },
    }
    return tuple(
        replace(column, **changes[column.key]) if column.key in changes else column
        for column in COLUMNS
    )
