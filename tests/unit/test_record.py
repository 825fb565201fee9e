"""Records of earlier schemas are read as if they had been written today."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from auxbench.cost.training import Meter
from auxbench.records.record import SCHEMA, upgrade
from auxbench.records.store import Store
from auxbench.stats.frame import frame

from ._records import record

RESULTS = Path(__file__).parents[2] / "results"
OWN = RESULTS / "local"  # of whoever works here
PUBLISHED = sorted({path.parent for path in RESULTS.glob("*/records.jsonl*")} - {OWN})


def first_schema() -> dict[str, Any]:
    """A record as the first release wrote it."""
    phases = {
        "train/descent": {"seconds": 8.0, "product": 3},
        "evaluate": {"seconds": 2.0, "product": 0},
    }
    return {
        "schema": 1,
        "id": "f00",
        "run": {"method": "auxnas"},
        "selected": {
            "step": 7,
            "primary_before_cut": 0.5,
            "primary_after_cut": 0.4,
            "traces": {},
            "traces_at_the_end": {"links": [0.1]},
        },
        "training": {
            "seconds": 10.0,
            "product": 3,
            "memory_kind": "rss",
            "peak_memory_bytes": 10**9,
            "phases": phases,
        },
    }


def test_the_first_schema_in_the_words_and_by_the_clock_of_today() -> None:
    old = first_schema()
    new = upgrade(old)
    assert new["schema"] == SCHEMA
    assert (new["id"], new["run"], new["provenance"]) == ("f00", old["run"], None)
    assert new["selected"] == {
        "step": 7,
        "score_with_auxiliaries": 0.5,
        "score_deployed": 0.4,
        "dropped_strength": None,
        "traces": {},
        "final_traces": {"links": [0.1]},
    }
    assert new["training"] == {
        "seconds": 8.0,
        "evaluation_seconds": 2.0,
        "cpu_seconds": None,
        "waiting_seconds": None,
        "jvp": 3,
        "peak_memory_bytes": None,
        "phases": {
            "train/descent": {"seconds": 8.0, "jvp": 3},
            "evaluate": {"seconds": 2.0, "jvp": 0},
        },
    }
    assert old == first_schema()


def test_seconds_without_evaluation_stay_what_they_are() -> None:
    old = first_schema()
    old["training"] |= {"evaluation_seconds": 0.5, "memory_kind": "cuda"}
    old["provenance"] = {"code": {}, "data": {}, "places": ["data"]}
    new = upgrade(old)
    assert (new["training"]["seconds"], new["training"]["evaluation_seconds"]) == (10.0, 0.5)
    assert new["training"]["peak_memory_bytes"] == 10**9
    assert new["provenance"] == {"code": {}, "data": {}, "data_options": ["data"]}


@pytest.mark.parametrize("status", ["done", "diverged"])
def test_a_record_of_today_is_what_it_was(status: str) -> None:
    today = record("single", 0, 40.0) | {"status": status}
    assert upgrade(today) == today
    assert upgrade(upgrade(first_schema())) == upgrade(first_schema())


def test_a_run_without_training_has_nothing_to_upgrade() -> None:
    old = first_schema() | {"selected": None, "training": None}
    assert upgrade(old) == {**old, "schema": SCHEMA, "provenance": None}


@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda folder: folder.name)
def test_published_records_are_read(folder: Path) -> None:
    file = next(folder.glob("records.jsonl*"))
    with gzip.open(file, "rt") if file.suffix == ".gz" else file.open() as lines:
        raw = [json.loads(line) for line in lines]
    store = Store(folder)
    records = {record["id"]: record for record in store.records()}
    assert not store.problems
    assert len(records) == len(raw) > 0
    for old in raw:
        new = records[old["id"]]
        assert new["schema"] == SCHEMA
        assert all(new[key] == old[key] for key in ("run", "primary", "scores", "curve", "status"))
        if old["training"]:
            assert new["training"].keys() - {"parameters"} == Meter().summary().keys()
            same = old["schema"] == SCHEMA
            assert (new["training"]["seconds"] == old["training"]["seconds"]) is same
            assert 0 < new["training"]["seconds"] <= old["training"]["seconds"]
    table = frame(list(records.values()))
    assert len(table) == len(raw)
    assert table["peak_memory_bytes"].isna().all()
