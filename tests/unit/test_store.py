"""The record store: nothing is lost, whatever happens to the writers."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from auxbench.errors import UsageError
from auxbench.records import lock
from auxbench.records.record import SCHEMA
from auxbench.records.store import Store
from tests.unit._records import record


def write(folder: Path, text: str) -> Store:
    (folder / "records.jsonl").write_text(text, encoding="utf-8")
    return Store(folder)


def test_records_come_back_in_order_and_the_latest_of_an_id_wins(tmp_path: Path) -> None:
    store = Store(tmp_path / "new" / "results")
    assert store.records() == []
    assert not store.folder.exists()  # reading leaves no trace
    for name, score in (("a", 1), ("b", 2), ("a", 3)):
        store.append({"score": score, "id": name})
    assert store.records() == [
        {"id": "b", "schema": SCHEMA, "score": 2},
        {"id": "a", "schema": SCHEMA, "score": 3},
    ]
    assert store.problems == []
    assert Store(store.file).records() == store.records()


def test_a_line_has_one_form_whatever_the_order_of_the_keys(tmp_path: Path) -> None:
    one, two = Store(tmp_path / "one"), Store(tmp_path / "two")
    one.append({"id": "a", "b": {"y": 1, "x": (2, 3)}})
    two.append({"b": {"x": [2, 3], "y": 1}, "schema": SCHEMA, "id": "a"})
    assert one.file.read_bytes() == two.file.read_bytes()
    text = '{"b": {"x": [2, 3], "y": 1}, "id": "a", "schema": 2'
    checksum = hashlib.sha256(f"{text}}}".encode()).hexdigest()[:16]
    assert one.file.read_text() == f'{text}, "checksum": "{checksum}"}}\n'


def test_what_json_does_not_know_becomes_null_or_a_number(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append(
        {
            "id": "a",
            "curve": [float("nan"), {"x": (float("inf"), -float("inf"))}, np.float32("nan")],
            "numbers": [np.float32(0.5), np.int64(3), np.bool_(True)],
            "text": "line\nbreak \u2028 \udcff é",
        }
    )
    assert b"NaN" not in store.file.read_bytes()
    assert store.file.read_bytes().count(b"\n") == 1
    (record,) = store.records()
    assert record["curve"] == [None, {"x": [None, None]}, None]
    assert record["numbers"] == [0.5, 3, True]
    assert record["text"] == "line\nbreak \u2028 \udcff é"


@pytest.mark.parametrize(
    "record",
    [{}, {"id": 3}, {"id": "a", "x": object()}],
    ids=["no id", "a number as id", "an object"],
)
def test_what_is_no_record_is_refused_and_leaves_no_line(tmp_path: Path, record: dict) -> None:
    store = Store(tmp_path)
    with pytest.raises(TypeError):
        store.append(record)
    assert not store.file.exists()


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_crash_in_the_middle_of_a_line_costs_only_that_line(tmp_path: Path, cut: int) -> None:
    store = Store(tmp_path)
    for name in "abc":
        store.append({"id": name * 8, "score": 0.125})
    size = store.file.stat().st_size
    os.truncate(store.file, size - cut)
    whole = cut <= 1  # only the line feed is missing
    assert [record["id"][0] for record in store.records()] == ["a", "b"] + ["c"] * whole
    assert len(store.problems) == (not whole)
    store.append({"id": "dddddddd"})
    assert [record["id"][0] for record in store.records()] == ["a", "b"] + ["c"] * whole + ["d"]
    assert store.problems == (
        [] if whole else [f"line 3 of '{store.file}' is not a complete record; it is skipped."]
    )
    assert store.file.read_bytes().startswith(b'{"id": "aaaaaaaa", ')


def test_damaged_lines_are_skipped_and_told_once_per_reading(tmp_path: Path) -> None:
    lines = ['{"id": "a"}', "}{", "[1]", '{"score": 1}', '{"id": 7}', "", '{"id": "b", "x": NaN}']
    store = write(tmp_path, "\n".join(lines) + "\n")
    with store.file.open("ab") as file:
        file.write(b'\xff\xfe\x00\n{"id": "c"}')
    for _ in range(2):
        assert [record["id"] for record in store.records()] == ["a", "b", "c"]
        assert [problem.split(" of ")[0] for problem in store.problems] == [
            *("line 2", "line 3", "line 4", "line 5", "line 8")
        ]
    assert store.records()[1]["x"] is None


def test_records_of_a_later_release_are_not_guessed_at(tmp_path: Path) -> None:
    store = write(tmp_path, '{"id": "a", "schema": 2}\n{"id": "f00", "schema": 3}\n')
    assert [record["id"] for record in store.records()] == ["a"]
    (problem,) = store.problems
    assert "line 2 of" in problem
    assert "has schema 3, not 1 to 2: update auxbench; it is skipped." in problem


def test_a_record_is_found_by_the_beginning_of_its_id(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(UsageError, match=r"which holds none; make one with `auxbench run`\.$"):
        store.record("a")
    for name in ("abc1", "abd2", "ab"):
        store.append({"id": name})
    assert store.record("abc")["id"] == "abc1"
    assert store.record("ab")["id"] == "ab"  # the whole id, though others begin with it
    with pytest.raises(UsageError) as caught:
        store.record("a")
    assert str(caught.value) == ("record 'a' is one of 3; write more of its id: ab, abc1, abd2.")
    with pytest.raises(UsageError) as caught:
        store.record("x")
    assert str(caught.value) == (
        f"record 'x' is not in '{store.file}'; choose one of ab, abc1, abd2."
    )


def test_a_long_list_of_ids_is_cut(tmp_path: Path) -> None:
    store = write(tmp_path, "".join(f'{{"id": "{"0" * 10}{n:06}"}}\n' for n in range(20)))
    with pytest.raises(UsageError, match=r"id: (0{12}\w\w, ){6}\.\.\.\.$"):
        store.record("0" * 10)


def test_the_folder_of_a_run_lies_in_the_results_folder(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.run_folder("4f-2_a.b") == tmp_path / "runs" / "4f-2_a.b"
    assert not (tmp_path / "runs").exists()
    for name in ("..", ".", "", "a/b", "../x", "a\n"):
        with pytest.raises(UsageError, match="has no name for a folder"):
            store.run_folder(name)


def test_a_results_folder_that_cannot_be_written_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"folder '.*file' cannot be written \(File exists\); ch"):
        Store(tmp_path / "file").prepare()
    with pytest.raises(UsageError, match="cannot be read"):
        Store(tmp_path / "file").records()

    def refuse(*arguments: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    for action in (Store(tmp_path).prepare, lambda: Store(tmp_path).append({"id": "a"})):
        with pytest.raises(UsageError) as caught:
            action()
        assert str(caught.value) == (
            f"results folder '{tmp_path}' cannot be written (Permission denied); "
            "choose another with --results."
        )


def test_a_full_disk_is_told_and_the_next_record_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    store.append({"id": "a"})
    real, calls = os.write, []

    def fill(file: int, data: bytes) -> int:
        calls.append(len(data))
        if len(calls) == 1:
            return real(file, bytes(data[:9]))
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fill)
        with pytest.raises(UsageError, match=r"\(No space left on device\)"):
            store.append({"id": "b"})
    store.append({"id": "c"})
    assert [record["id"] for record in store.records()] == ["a", "c"]
    assert len(store.problems) == 1


def test_a_write_that_takes_only_a_part_is_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, data: real(file, bytes(data[:5])))
    store = Store(tmp_path)
    store.append({"id": "abcdefgh"})
    assert [record["id"] for record in store.records()] == ["abcdefgh"]


WRITER = """
import os, sys
from auxbench.records import store
real = os.write
os.write = lambda file, data: real(file, bytes(data[:700]))  # lines take several writes
writer = store.Store(sys.argv[1])
sys.stdin.readline()
for number in range(40):
    writer.append({"id": f"{sys.argv[2]}-{number}", "text": "x" * 2000})
"""


def test_processes_that_append_at_once_lose_nothing(tmp_path: Path) -> None:
    folder = str(tmp_path / "results")
    root = Path(__file__).resolve().parents[2]
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, folder, name], cwd=root, stdin=subprocess.PIPE
        )
        for name in "ab"
    ]
    for writer in writers:  # both have started: let them go
        assert writer.stdin is not None
        writer.stdin.write(b"go\n")
        writer.stdin.close()
    assert [writer.wait(60) for writer in writers] == [0, 0]
    store = Store(folder)
    expected = {f"{name}-{number}" for name in "ab" for number in range(40)}
    assert {record["id"] for record in store.records()} == expected
    assert store.problems == []
    assert store.file.read_bytes().count(b"\n") == 80
    assert sorted(os.listdir(folder)) == [".records.jsonl.lock", "records.jsonl"]


def test_an_append_waits_for_the_one_before(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store._writing():
        other = threading.Thread(target=Store(tmp_path).append, args=[{"id": "b"}])
        other.start()
        other.join(0.05)
        assert other.is_alive()
        assert store.file.read_bytes() == b""
    other.join(10)
    assert [record["id"] for record in store.records()] == ["b"]


def test_a_lock_that_is_held_for_too_long_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "PATIENCE", 0.0)
    with (
        FileLock(tmp_path / ".records.jsonl.lock"),
        pytest.raises(UsageError, match=r"lock' is held for too long by a process .*; delete it"),
    ):
        Store(tmp_path).append({"id": "a"})


def test_who_waits_is_told_who_holds_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lock, "HINT", 0.05)
    store = Store(tmp_path)
    with store._writing():
        waiting = ThreadPoolExecutor(1).submit(Store(tmp_path).append, {"id": "a"})
        time.sleep(0.5)
    waiting.result(10)
    host = socket.gethostname()
    said = capsys.readouterr().err
    assert f"records.jsonl.lock', held by process {os.getpid()} on {host}" in said


def test_a_line_that_is_being_written_is_waited_for(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append({"id": "a"})
    with store._writing() as file:
        os.write(file, b'{"id": "b", ')
        reader = ThreadPoolExecutor(1).submit(Store(tmp_path).records)
        time.sleep(0.1)
        os.write(file, b'"schema": 2}\n')
    assert [record["id"] for record in reader.result(10)] == ["a", "b"]


def test_the_store_needs_no_torch() -> None:
    program = "import sys, auxbench.records.store; print('torch' in sys.modules)"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True)
    assert done.stdout.strip() == "False"


def test_lines_are_plain_json(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append({"id": "a", "x": 0.1})
    known = json.loads(store.file.read_text())
    assert known.pop("checksum")
    assert known == {"id": "a", "schema": SCHEMA, "x": 0.1}


def test_no_flipped_bit_is_read_silently(tmp_path: Path) -> None:
    store = Store(tmp_path)
    made = record("hps", 0, 40.0)
    store.append(made)
    whole = store.file.read_bytes()
    (before,) = store.records()
    rng = np.random.default_rng(0)
    for place in rng.choice(8 * (len(whole) - 1), 600, replace=False):
        changed = bytearray(whole)
        changed[place // 8] ^= 1 << (place % 8)
        store.file.write_bytes(changed)
        found = store.records()
        if found:  # where the name of the checksum changed, and nothing else then did
            assert b'"checksum"' not in bytes(changed)
            assert found[0].items() >= before.items()


def test_a_line_that_was_written_again_keeps_its_checksum(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append(record("hps", 0, 40.0))
    (before,) = store.records()
    tidy = json.dumps(json.loads(store.file.read_text()), sort_keys=True)
    store.file.write_text(tidy + "\n")
    assert store.records() == [before]
    store.file.write_text(tidy.replace("40.0", "41.0") + "\n")
    assert store.records() == []
    assert "does not have its checksum" in store.problems[0]


def test_a_compressed_file_beside_it_is_read_too_and_later_records_win(tmp_path: Path) -> None:
    old = Store(tmp_path / "old")
    for name in ("a", "b"):
        old.append({"id": name, "score": 1})
    store = Store(tmp_path / "new")
    store.append({"id": "b", "score": 2})
    archive = store.folder / "records.jsonl.gz"
    archive.write_bytes(gzip.compress(old.file.read_bytes(), mtime=0))
    assert [(r["id"], r["score"]) for r in store.records()] == [("a", 1), ("b", 2)]
    archive.write_bytes(archive.read_bytes()[:-20])
    with pytest.raises(UsageError, match=r"records.jsonl.gz' cannot be read .*; get it again"):
        store.records()


def test_a_record_that_contradicts_itself_is_skipped_and_named(tmp_path: Path) -> None:
    sound, other, better = (record("hps", seed, 40.0) for seed in (0, 1, 2))
    other["run"]["seed"] = 7  # no longer what its id was made of
    better["primary"] = {**better["primary"], "value": 99.0}
    store = Store(tmp_path)
    for one in (sound, other, better):
        store.append(one)
    assert [one["id"] for one in store.records()] == [sound["id"]]
    assert [problem.partition(" is wrong: ")[2] for problem in store.problems] == [
        "its id is not that of its run; it is skipped.",
        "its primary score is not among its scores; it is skipped.",
    ]
