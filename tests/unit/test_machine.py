"""The cores that a process may use, in and out of containers."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from auxbench.data import machine


def group(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.mark.parametrize(
    ("text", "cores"),
    [("150000 100000\n", 1.5), ("max 100000\n", math.inf), ("", math.inf), ("0 0", math.inf)],
)
def test_the_limit_of_a_control_group(text: str, cores: float, tmp_path: Path) -> None:
    assert machine.quota(group(tmp_path, cpu_dot_max=text)) == cores


@pytest.mark.parametrize(("limit", "cores"), [("300000", 3.0), ("-1", math.inf)])
def test_the_limit_of_an_old_control_group(limit: str, cores: float, tmp_path: Path) -> None:
    files = {"cpu__cpu_dot_cfs_quota_us": limit, "cpu__cpu_dot_cfs_period_us": "100000"}
    assert machine.quota(group(tmp_path, **files)) == cores


def test_a_container_uses_no_more_cores_than_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if hasattr(os, "sched_getaffinity"):
        monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(64)))
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    for text, cores in (("250000 100000", 2), ("50000 100000", 1), ("max 100000", 64)):
        monkeypatch.setattr(machine, "CONTROL", group(tmp_path, cpu_dot_max=text))
        assert machine.cores() == cores
