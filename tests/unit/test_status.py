"""Status: runs under way, failures and their reasons, and carrying out again those that failed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

import auxbench
from auxbench.cli.runs import retry, status
from auxbench.errors import UsageError
from auxbench.execution.study import Study
from auxbench.records import claims
from auxbench.records.claims import FILE, Claims, Owner
from auxbench.records.record import record as make
from auxbench.records.store import Store
from auxbench.report import status as status_report
from auxbench.report.status import ended, running
from auxbench.report.tables import Column, Table
from tests.unit._records import record


def test_a_run_under_way_tells_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "BEAT", 0.01)
    made = record("hps", 3, 0.5)
    folder = Store(tmp_path).run_folder(made["id"])
    with Claims() as held:
        held.take(made["id"], folder, made["run"])
        held.stepped(made["id"], 10, 100)
        held.stepped(made["id"], 20, 100)
        while not (folder / claims.PROGRESS).exists():
            pass
        monkeypatch.setattr("time.time", lambda: held.under_way[made["id"]].begun + 30)
        (row,) = running(tmp_path).rows
    assert (row["id"], row["method"], row["seed"]) == (made["id"], "hps", 3)
    assert (row["step"], row["steps"], row["left"]) == (20, 100, "4 min 0 s")
    assert row["owner"] == f"process {os.getpid()} on {Owner.here().host}"
    assert row["problem"].startswith("rooms segmentation with depth")


def test_a_run_left_behind_is_told(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    folder = tmp_path / "runs" / "abc"
    folder.mkdir(parents=True)
    (folder / FILE).write_text(json.dumps(vars(replace(Owner.here(), pid=process.pid))))
    table = running(tmp_path)
    assert table.rows[0]["owner"].endswith("(dead)")
    assert "1 run left behind by a dead process" in table.notes[0]
    (folder / FILE).write_text("[")
    assert running(tmp_path).rows[0]["owner"] == "unknown"


def test_failures_are_grouped_by_reason() -> None:
    records = [record("hps", seed, 0.5) for seed in range(3)]
    records += [record("famo", seed, None, status="diverged") for seed in range(4)]
    records += [record(name, 0, None, status="error") for name in ("uw", "rlw")]
    table = ended(records)
    assert [(row["status"], row["count"]) for row in table.rows] == [("error", 2), ("diverged", 4)]
    assert table.rows[0]["methods"] == "rlw, uw"
    assert table.rows[0]["example"] == records[-2]["id"]
    assert table.notes[0] == "Recorded: 4 diverged, 3 done, 2 error."
    assert "auxbench retry" in table.notes[1]
    assert "Nothing is recorded." in ended([]).notes[0]


def test_the_commands_on_a_folder(tmp_path: Path) -> None:
    study = Study.of("single", "toy", seeds=2, steps=2, budget="demo")
    store = Store(tmp_path)
    for run, how in zip(study.runs, ("killed", "diverged"), strict=True):
        store.append(make(run, how, f"made up to be {how}"))
    call = CliRunner().invoke
    text = call(status, ["--results", str(tmp_path)], catch_exceptions=False).output
    assert "made up to be killed" in text
    assert "No run is under way." in text
    words = ["--results", str(tmp_path), "--jobs", "1"]
    text = call(retry, words, catch_exceptions=False).output
    assert "1 done; see auxbench status" in text
    assert [r["status"] for r in store.records()] == ["diverged", "done"]
    text = call(retry, [*words, "--status", "diverged"], catch_exceptions=False).output
    assert [r["status"] for r in store.records()] == ["done", "done"]
    for wrong, said in (
        ("done", "'done' cannot be retried"),
        ("oom", "no run in '.*' ended as oom"),
    ):
        with pytest.raises(UsageError, match=said):
            call(retry, [*words, "--status", wrong], catch_exceptions=False, standalone_mode=False)


def test_a_process_that_is_killed_is_tried_again_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a worker that is killed as soon as it has its order."""
    from auxbench.execution import local

    started: list[int] = []
    popen = subprocess.Popen

    def dying(command: list[str], **words: object) -> subprocess.Popen[str]:
        started.append(1)
        code = "import os, sys; sys.stdin.readline(); os.kill(os.getpid(), 9)"
        return popen([sys.executable, "-c", code], **words)  # type: ignore[call-overload,no-any-return]

    monkeypatch.setattr(local.subprocess, "Popen", dying)
    frame = auxbench.run(
        "single", "toy", seeds=1, steps=2, budget="demo", results=tmp_path, quiet=True
    )
    assert len(started) == 3
    assert frame["reason"].tolist() == ["the process was ended by signal 9"]


def test_status_follows_runs_until_none_has_been_under_way_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, looks = [0.0], iter([0, 1, 0, 1])

    def under_way(folder: Path) -> Table:
        rows: list[dict[str, object]] = [{"method": "left", "dead": True}]  # of a dead process
        rows += [{"method": "auxnas", "dead": False}] * next(looks, 0)
        if now[0] == 6:
            Store(tmp_path).append(record("hps", 0, 50.0))
        return Table("Under way", (Column("method", "method"),), rows)

    def wait(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(time, "sleep", wait)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(status_report, "running", under_way)
    shown = CliRunner().invoke(status, ["--follow", "--results", str(tmp_path)])
    assert shown.exit_code == 0, shown.output
    assert shown.output.count("auxnas") == 2
    assert shown.output.count("Nothing is recorded.") == 3  # the record came before the fourth look
    assert shown.output.endswith("Recorded: 1 done.\n")
    assert now == [6 + 30 + 2]
