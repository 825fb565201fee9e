"""Results as frames: every run, and every number of the curves."""

from __future__ import annotations

import sys
from pathlib import Path
from subprocess import run as process

import pandas
import pytest

import auxbench
from auxbench.errors import UsageError
from auxbench.records.store import Store
from tests.unit._records import record


def test_runs_and_curves_of_a_folder(tmp_path: Path) -> None:
    made = record("auxnas", 0, 50.0)
    score = {**made["primary"], "split": "validation", "value": 40.0}
    made["curve"] = [
        {
            "step": 10,
            "scores": [score],
            "scalars": {"loss/segmentation": 1.5, "weight/depth": 0.5},
            "traces": {"links/p2a/depth": [0.1, 0.2]},
        },
        {"step": 20, "scores": [score], "scalars": {}, "traces": {}},
    ]
    Store(tmp_path).extend([made, record("single", 0, None, status="killed")])
    runs, curves = auxbench.load(tmp_path)
    assert sorted(runs["method"]) == ["auxnas", "single"]
    assert set(curves["id"]) == {made["id"]}
    assert set(curves["method"]) == {"auxnas"}
    found = curves.set_index(["step", "quantity", "place"])["value"]
    assert len(found) == 6
    assert found[10, "validation/segmentation/miou", 0] == 40.0
    assert found[10, "weight/depth", 0] == 0.5
    assert found[10, "links/p2a/depth", 1] == 0.2
    assert found[20, "validation/segmentation/miou", 0] == 40.0


def test_frames_can_be_written(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    Store(tmp_path).append(record("single", 0, 50.0))
    for name, found in auxbench.load(tmp_path)._asdict().items():
        found.to_parquet(tmp_path / f"{name}.parquet")
        pandas.testing.assert_frame_equal(
            pandas.read_parquet(tmp_path / f"{name}.parquet"), found, check_dtype=False
        )


def test_a_folder_without_records_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no records in"):
        auxbench.load(tmp_path)


def test_loading_does_not_import_torch() -> None:
    code = "import auxbench, sys; auxbench.load('results/toy'); sys.exit('torch' in sys.modules)"
    assert process([sys.executable, "-c", code], check=False).returncode == 0
