"""Validity: whether a record is well-formed and does not contradict itself.

Records come from disks and from strangers. Everything that reads them relies on the checks made
here, so that a line with an invalid field is skipped and reported instead of ending a command.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from auxbench.records.line import decode
from auxbench.records.record import SCHEMA, upgrade
from auxbench.spec.run import identity

Check = Callable[[Any], bool]

LARGEST = 2**53  # integers up to here are exact wherever JSON is read
STATUSES = ("done", "diverged", "skipped", "oom", "error", "killed")


def _text(value: Any) -> bool:
    return isinstance(value, str) and len(value) < 100_000


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _number(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**30


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST


def _one_of(*words: str) -> Check:
    return lambda value: isinstance(value, str) and value in words


def _or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _list(check: Check) -> Check:
    return lambda value: isinstance(value, list) and _all(check, value)


def _map(check: Check) -> Check:
    return lambda value: isinstance(value, Mapping) and _all(check, value.values())


def _all(check: Check, values: Iterable[Any]) -> bool:
    for value in values:  # noqa: SIM110 - a generator would take twice as long
        if not check(value):
            return False
    return True


def _anything(value: Any) -> bool:
    return True


def _object(must: Mapping[str, Check], may: Mapping[str, Check] | None = None) -> Check:
    """An object with some keys that it must have and others that it may have."""
    every = {**(may or {}), **must}

    def check(value: Any) -> bool:
        if not isinstance(value, Mapping) or not must.keys() <= value.keys():
            return False
        for key, part in value.items():
            known = every.get(key)
            if known is not None and not known(part):
                return False
        return True

    return check


_score = _object(
    {
        "task": _text,
        "metric": _text,
        "unit": _text,
        "direction": _one_of("up", "down"),
        "split": _text,
        "network": _text,
        "value": _or_none(_number),
    },
    {"version": _count, "margin": _or_none(_number)},
)
_part = _object({"digest": _text}, {"version": _text, "package": _text})
_traces = _map(_anything)
_look = _object(
    {"step": _count, "scores": lambda value: bool(value) and _list(_score)(value)},
    {"scalars": _map(_or_none(_number)), "traces": _traces},
)
FIELDS: Mapping[str, Check] = {
    "status": _one_of(*STATUSES),
    "reason": _text,
    "run": _object(
        {
            "dataset": _text,
            "primary": _text,
            "auxiliaries": _list(_text),
            "backbone": _text,
            "pretrained": _flag,
            "method": _text,
            "protocol": _text,
            "recipe": _object(
                {"budget": _text}, {"steps": _count, "batch": _count, "side": _count}
            ),
            "seed": _count,
        },
        {"head": _text, "weights": _text},
    ),
    "primary": _or_none(_score),
    "scores": _list(_score),
    "curve": _list(_look),
    "selected": _or_none(
        _object(
            {},
            {
                "step": _count,
                "dropped_strength": _or_none(_number),
                "score_deployed": _or_none(_number),
                "score_with_auxiliaries": _or_none(_number),
                "traces": _map(_list(_number)),
                "final_traces": _map(_list(_number)),
            },
        )
    ),
    "training": _or_none(
        _object(
            {},
            {
                **dict.fromkeys(("forward", "backward", "partial", "jvp", "examples"), _number),
                **dict.fromkeys(
                    (
                        *("seconds", "cpu_seconds", "evaluation_seconds", "waiting_seconds"),
                        *("flops", "peak_memory_bytes", "compile_seconds", "parameters"),
                    ),
                    _or_none(_number),
                ),
                "phases": _map(_map(_or_none(_number))),
                "uncounted": _list(_text),
            },
        )
    ),
    "inference": _or_none(
        _object(
            {},
            {
                **dict.fromkeys(
                    ("parameters", "macs", "latency_ms", "latency_limit_s"), _or_none(_number)
                ),
                "latency": _list(
                    _object(
                        {"batch": _count},
                        {
                            **dict.fromkeys(("p50_ms", "p95_ms", "passes"), _or_none(_number)),
                            "skipped": _text,
                        },
                    )
                ),
                "same_as_single": _or_none(_flag),
                "difference": _list(_text),
                "uncounted": _list(_text),
                "why": _text,
                "graph": _or_none(
                    _object({"compared": _text}, {"nodes": _or_none(_count), "why": _text})
                ),
            },
        )
    ),
    "environment": _or_none(
        _object(
            {},
            {
                "threads": _or_none(_count),
                "world": _or_none(_count),
                "packages": _or_none(_map(_or_none(_text))),
                "dirty": _or_none(_flag),
                **dict.fromkeys(
                    ("auxbench", "commit", "device", "device_name", "platform"), _or_none(_text)
                ),
                "cores": _or_none(_count),
            },
        )
    ),
    "provenance": _or_none(
        _object(
            {"code": _map(_map(_part))},
            {"data": _or_none(_traces), "draw": _or_none(_count), "data_options": _list(_text)},
        )
    ),
}


def fault(record: Mapping[str, Any]) -> str:
    """Say in a few words what is wrong with the record of a run; empty if nothing is.

    In a valid record all fields have the types that readers rely on, the id is that of the run, and
    the primary score is one of the scores. Other records, such as a ledger's, are not judged.

    >>> fault({"id": "4f2a", "status": "done", "reason": ""})
    'it has no run'
    """
    if "run" not in record and "status" not in record:
        return ""
    for key, check in FIELDS.items():
        if key not in record:
            return f"it has no {key}"
        if not check(record[key]):
            return f"its {key} is invalid"
    if record["id"] != identity(record["run"]):
        return "its id is not that of its run"
    primary = record.get("primary")
    if record["status"] == "done" and primary is None:
        return "it is done but has no primary score"
    if primary and record.get("scores"):
        scores = [{**primary, **score} for score in record["scores"]]
        if primary not in scores:
            return "its primary score is not among its scores"
    return ""


def read(line: bytes) -> tuple[dict[str, Any] | None, str]:
    """The record in a line in today's schema, or None and what is wrong with the line."""
    record, wrong = decode(line)
    if record is None:
        return None, wrong
    schema = record.get("schema", SCHEMA)
    if not isinstance(schema, int) or not 1 <= schema <= SCHEMA:
        return None, f"has schema {str(schema)[:20]}, not 1 to {SCHEMA}: update auxbench"
    try:
        record = upgrade(record)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return None, f"is not of schema {schema}, as it says"
    wrong = fault(record)
    return (None, f"is wrong: {wrong}") if wrong else (record, "")
