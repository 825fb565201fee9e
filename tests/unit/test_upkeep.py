"""Upkeep of results folders: what is damaged is found, merged folders lose and double nothing."""

from __future__ import annotations

from pathlib import Path

import pandas
import pytest
from click.testing import CliRunner

import auxbench
from auxbench.cli.results import results
from auxbench.errors import UsageError
from auxbench.records import upkeep
from auxbench.records.declared import Declared
from auxbench.records.ledger import Ledger, Trial, Tuning
from auxbench.records.store import Store
from tests.unit._records import record, study

SCORES = {"single": [40.0, 41.0], "hps": [42.0, 43.0]}


def folder(path: Path, seeds: slice = slice(None)) -> Path:
    store = Store(path)
    store.extend(study({name: values[seeds] for name, values in SCORES.items()}))
    return path


def call(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(results, [str(word) for word in words], standalone_mode=False)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.return_value or 0, done.output


def test_many_records_at_once_are_as_good_as_one_after_the_other(tmp_path: Path) -> None:
    made = study(SCORES)
    one, many = Store(tmp_path / "one"), Store(tmp_path / "many")
    for known in made:
        one.append(known)
    many.extend(made)
    assert one.file.read_bytes() == many.file.read_bytes()


def test_damaged_lines_are_counted_and_named(tmp_path: Path) -> None:
    folder(tmp_path)
    with (tmp_path / "records.jsonl").open("a") as file:
        file.write('{"id": "half\n{"id": "no run"}\n')
    code, text = call("check", "--results", tmp_path)
    assert code == 1
    assert "line 5 of" in text
    assert "'no run' is not of a run" in text
    (found,) = upkeep.check(tmp_path)
    assert (found.records, len(found.problems)) == (4, 2)
    code, text = call("repair", "--results", tmp_path)
    assert "set aside as" in text
    assert call("check", "--results", tmp_path)[0] == 0
    assert len(Store(tmp_path).runs()) == 4
    (aside,) = tmp_path.glob("records.jsonl.damaged-*")
    assert aside.read_text().count("\n") == 6


def test_a_sound_folder_is_left_as_it_is(tmp_path: Path) -> None:
    folder(tmp_path)
    before = (tmp_path / "records.jsonl").read_bytes()
    assert call("check", "--results", tmp_path)[0] == 0
    assert "nothing is damaged" in call("repair", "--results", tmp_path)[1]
    assert (tmp_path / "records.jsonl").read_bytes() == before
    with pytest.raises(UsageError, match="has no records; name a results folder"):
        call("check", "--results", tmp_path / "nothing")


def test_merging_adds_what_is_missing_and_keeps_what_is_there(tmp_path: Path) -> None:
    one, two, into = folder(tmp_path / "one", slice(0, 1)), tmp_path / "two", tmp_path / "into"
    folder(two)
    Ledger(two).append(Tuning("p", "hps", "hps", "up", (Trial("hps", 1.0, 2, 3.0, 4.0),)))
    other = record("hps", 0, 50.0)
    failed, settled = record("uw", 0, None, status="error"), record("uw", 0, 44.0)
    Store(into).extend([other, failed])
    Store(one).append(settled)
    Store(one).append(record("hps", 5, None, status="killed"))
    done = upkeep.merge([one, two], into)
    assert done.different == (other["id"], other["id"])
    assert done.added == 2 + 1 + 2 + 1
    known = {r["id"]: r for r in Store(into).records()}
    assert known[other["id"]]["primary"]["value"] == 50.0
    assert known[settled["id"]]["status"] == "done"
    assert len(Ledger(into).tunings()) == 1
    assert upkeep.merge([one, two], into).added == 0
    code, text = call("merge", one, two, "--into", into)
    assert code == 0
    assert "have other results in" in text
    with pytest.raises(UsageError, match="has no records"):
        call("merge", tmp_path / "nothing", "--into", into)


def test_a_merge_keeps_what_all_folders_declared(tmp_path: Path) -> None:
    one, two, into = folder(tmp_path / "one", slice(0, 1)), tmp_path / "two", tmp_path / "into"
    folder(two, slice(1, 2))
    Declared(one).append("hps/single,uw/single", runs=0)
    Declared(two).append("hps/single", runs=0)
    code, text = call("merge", one, two, "--into", into)
    assert code == 0
    assert text.endswith("folders declared uw/single: exploratory, or declared late.\n")
    assert Declared(into).pairs() == {("hps", "single"): 0}


def test_runs_that_come_later_are_not_called_declared(tmp_path: Path) -> None:
    one, two = folder(tmp_path / "one", slice(0, 1)), folder(tmp_path / "two")
    Declared(one).append("hps/single", runs=0)
    Declared(tmp_path / "new").append("hps/single", runs=0)
    for _ in range(2):
        upkeep.merge([two], one)
        assert Declared(one).pairs() == {("hps", "single"): 2}
        upkeep.merge([two], tmp_path / "new")
        assert Declared(tmp_path / "new").pairs() == {("hps", "single"): 4}


@pytest.mark.parametrize("order", [1, -1])
def test_the_later_of_two_declarations_counts(tmp_path: Path, order: int) -> None:
    sources = [folder(tmp_path / name) for name in ("one", "two")]
    for source, runs in zip(sources, (0, 5), strict=True):
        Declared(source).append("hps/single", runs)
    done = upkeep.merge(sources[::order], tmp_path / "into")
    assert Declared(tmp_path / "into").pairs() == {("hps", "single"): 5}
    assert not (done.different or done.undeclared)


def test_packed_records_are_read_as_before_and_stay_as_they_are(tmp_path: Path) -> None:
    one = folder(tmp_path / "one", slice(0, 1))
    folder(one / "trials")
    runs = auxbench.load(one).runs  # from the index, which has to notice
    before = {name: Store(one / name).records() for name in ("", "trials")}
    held = set()
    for _ in range(2):
        code, text = call("pack", "--results", one)
        assert (code, text.count(" MB in '")) == (0, 2)
        assert not list(one.rglob("records.jsonl"))
        assert {name: Store(one / name).records() for name in before} == before
        pandas.testing.assert_frame_equal(auxbench.load(one).runs, runs)
        held.add((one / "records.jsonl.gz").read_bytes())
    assert len(held) == 1
    folder(one)  # one more seed
    assert len(auxbench.load(one).runs) == 2 * len(runs)
    call("pack", "--results", one)
    assert len(Store(one).records()) == len(auxbench.load(one).runs) == 2 * len(runs)


def test_what_cannot_be_packed_stays(tmp_path: Path) -> None:
    one = folder(tmp_path / "one")
    with (one / "records.jsonl").open("a", encoding="utf-8") as file:
        file.write("half a li\n")
    before = (one / "records.jsonl").read_bytes()
    with pytest.raises(UsageError, match=r"line 5 of .* Run auxbench results repair first"):
        call("pack", "--results", one)
    assert [path.name for path in one.glob("records*")] == ["records.jsonl"]
    assert (one / "records.jsonl").read_bytes() == before
    with pytest.raises(UsageError, match="has no records of runs"):
        call("pack", "--results", tmp_path / "nothing")


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_exports_hold_a_row_per_run(tmp_path: Path, name: str) -> None:
    folder(tmp_path)
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    call("export", tmp_path / name, "--results", tmp_path)
    read = pandas.read_csv if name.endswith(".csv") else pandas.read_parquet
    found = read(tmp_path / name)
    assert found["method"].tolist() == ["single", "single", "hps", "hps"]
    assert found["value"].tolist() == [40.0, 41.0, 42.0, 43.0]


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    folder(tmp_path)
    with pytest.raises(UsageError, match=r"has an unknown format; end its name in .csv or"):
        call("export", tmp_path / "out.xlsx", "--results", tmp_path)


def test_merging_leaves_out_what_is_no_run(tmp_path: Path) -> None:
    Store(tmp_path / "a").extend([record("single", 0, 40.0), {"id": "x", "score": 1}])
    assert upkeep.merge([tmp_path / "a"], tmp_path / "all").added == 1
    assert upkeep.check(tmp_path / "all")[0].problems == ()


def test_a_file_that_was_cut_off_is_repaired_without_waiting_for_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auxbench.records.lock.HINT", 0.1)
    monkeypatch.setattr("auxbench.records.lock.PATIENCE", 0.5)
    store = Store(tmp_path)
    store.extend([record("single", 0, 40.0), record("single", 1, 41.0)])
    store.file.write_bytes(store.file.read_bytes()[:-200])
    waits: list[object] = []
    monkeypatch.setattr("auxbench.records.lock.holder", waits.append)
    assert upkeep.repair(tmp_path)
    assert waits == []
    assert len(store.records()) == 1


def test_a_ledger_with_other_records_is_read_without_them(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.store.extend([{"id": "a", "x": 1}, {"id": "b", "tuning": {"trials": 3}}])
    assert ledger.tunings() == []
