"""The index of a folder: the same board with it and without, whatever becomes of the files."""

from __future__ import annotations

import gzip
import os
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

from auxbench.records import store as stored
from auxbench.records.store import Store
from auxbench.records.validity import read
from auxbench.stats import frame, index
from auxbench.stats.frame import labelled
from auxbench.stats.index import FILE, indexed
from tests.unit._records import record, study

SCORES = {"single": [40.0, 41.0, 42.0], "hps": [42.0, 43.0, 44.0], "hps:lr=0.1": [1.0, 2.0, 3.0]}


class Whole(dict[str, Any]):
    """A record that can be seen to be gone."""


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "MANY", 2)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    made = study(SCORES)
    made[0]["provenance"] = {
        "code": {"methods": {"single": {"digest": "0"}}},
        "data": {},
        "draw": 3,
    }
    made[1]["environment"] = {"threads": 2, "dirty": True, "packages": {"torch": "2.6"}}
    store.extend([*made, record("famo", 0, None, status="diverged")])
    return store


def plain(rows: pandas.DataFrame) -> pandas.DataFrame:
    """The same rows in one order, with None for whatever is missing."""
    objects = rows.sort_values("id", ignore_index=True).astype(object)
    return objects.where(objects.notna(), None)


def check(store: Store) -> pandas.DataFrame:
    """Read by the index, and compare with what the records say."""
    found = labelled(indexed(store), [])
    problems = list(store.problems)
    again = labelled(indexed(Store(store.folder)), [])
    wanted = frame(store.runs())
    for one in (found, again):
        pandas.testing.assert_frame_equal(plain(one), plain(wanted))
    assert len(problems) == len(store.problems)
    return found


def test_it_says_what_the_records_say(store: Store) -> None:
    check(store)
    assert (store.folder / FILE).exists()
    assert np.load(store.folder / FILE, allow_pickle=False)["value"].dtype == np.float64


def test_it_is_used_and_continued(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    check(store)
    read: list[int] = []
    lines = Store._lines
    monkeypatch.setattr(
        Store, "_lines", lambda self, start: read.append(start) or lines(self, start)
    )
    indexed(store)
    assert read == []
    size = store.file.stat().st_size
    store.append(record("uw", 0, 44.0))
    found = indexed(store)
    assert read == [size]
    assert "uw" in set(found["method"])
    check(store)


def test_later_records_of_a_run_count_as_when_all_are_read(store: Store) -> None:
    check(store)
    store.append(record("single", 0, None, status="error"))
    store.append(record("famo", 0, 45.0))
    store.append(record("uw", 1, None, status="killed"))
    found = check(store).set_index("id")
    assert found.loc[record("single", 0, 0.0)["id"], "status"] == "done"
    assert found.loc[record("famo", 0, 0.0)["id"], "status"] == "done"
    store.append(record("uw", 1, 46.0))
    store.append(record("hps", 0, None, status="diverged"))
    check(store)


def test_no_record_is_held_while_the_index_is_made(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[weakref.ref[Whole]] = []
    alive: list[int] = []

    def parse(line: bytes) -> tuple[Whole | None, str]:
        alive.append(sum(one() is not None for one in made))
        found, wrong = read(line)
        record = None if found is None else Whole(found)
        made.extend([] if record is None else [weakref.ref(record)])
        return record, wrong

    monkeypatch.setattr(stored, "read", parse)
    assert len(indexed(store)) == 10
    assert len(made) == 10
    assert max(alive) <= 1


def test_damaged_lines_are_told_each_time(store: Store) -> None:
    with store.file.open("a") as file:
        file.write("half\n")
    check(store)
    store.append(record("uw", 0, 44.0))
    with store.file.open("a") as file:
        file.write("another half\n")
    found = indexed(store)
    assert len(store.problems) == 2
    assert "after byte" in store.problems[1]
    assert len(found) == len(store.runs())


@pytest.mark.parametrize("how", ["shorter", "other", "archive", "touched"])
def test_other_files_make_it_anew(store: Store, how: str) -> None:
    check(store)
    whole = store.file.read_bytes()
    if how == "shorter":
        store.file.write_bytes(whole[: whole.index(b"\n") + 1])
    elif how == "other":
        store.file.write_bytes(b"\n".join(sorted(whole.splitlines())) + b"\n" + whole)
    elif how == "archive":
        store.archive.write_bytes(gzip.compress(whole))
        store.file.unlink()
    else:
        os.utime(store.file, (1, 1))
    check(store)


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04"])
def test_an_index_that_cannot_be_read_is_made_again(store: Store, content: bytes) -> None:
    check(store)
    (store.folder / FILE).write_bytes(content)
    check(store)
    (store.folder / FILE).write_bytes((store.folder / FILE).read_bytes()[:-100])
    check(store)


def test_a_small_folder_gets_none(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "MANY", 1000)
    check(store)
    assert not (store.folder / FILE).exists()


def test_a_folder_that_cannot_be_written_is_read_without(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(index.os, "replace", refuse)
    check(store)
    assert not list(store.folder.glob("*.tmp"))


def test_what_changes_before_appended_records_is_noticed(store: Store) -> None:
    check(store)
    lines = store.file.read_bytes().split(b"\n")
    lines[0] = lines[0].replace(b'"value": 4', b'"value": 9', 1)
    store.file.write_bytes(b"\n".join(lines))
    store.extend([record(f"hps:lr={rate}", 0, 43.0) for rate in (0.1, 0.2, 0.3)])
    assert len(lines[0]) < store.file.stat().st_size - 4096
    check(store)
    assert "checksum" in store.problems[0]


@pytest.mark.parametrize("name", ["NotImplementedError", "TokenError"])
def test_an_index_that_is_damaged_in_its_headers_is_made_again(store: Store, name: str) -> None:
    check(store)
    data = bytearray((store.folder / FILE).read_bytes())
    if name == "TokenError":
        data[data.index(b"{'descr'") + 1 :] = data[data.index(b"{'descr'") + 1 :].replace(
            b"), }", b"(, }", 1
        )
    else:  # an unknown way of compression
        data[data.rindex(b"PK\x01\x02", 0, data.rindex(b"PK\x05\x06")) + 10] = 99
    (store.folder / FILE).write_bytes(data)
    check(store)
