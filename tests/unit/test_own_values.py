"""Values of a user's own data: as pandas, numpy and files have them, and where some are missing."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import auxbench
from auxbench import ArrayDataset, Depth, Label, Number
from auxbench.data.dataset import Dataset, make_dataset
from auxbench.data.kinds import Kind
from auxbench.data.own import digest, places
from auxbench.data.own.adapters import from_torch
from auxbench.data.own.array_source import source_of
from auxbench.data.own.pictures import planes
from auxbench.data.own.review import review
from auxbench.data.own.table import read
from auxbench.data.own.words import parse
from auxbench.errors import UsageError
from auxbench.execution.study import texts

COUNT = 12
INPUTS = np.random.default_rng(0).random((COUNT, 3))
NAMES = Label(("u", "r"))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUXBENCH_CACHE", str(tmp_path / "cache"))


def labels(values: Any, kind: Kind) -> list[float]:
    """The first three targets made of three values over and over."""
    made = ArrayDataset(INPUTS, {"a": (values, kind)})
    found: list[float] = made.arrays["a"].ravel()[:3].tolist()
    return found


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["u", "r", None] * 4, NAMES),
        (["u", "r", float("nan")] * 4, NAMES),
        (["u", "r", ""] * 4, NAMES),
        (np.array(["u", "r", np.nan] * 4, object), NAMES),
        (pd.Series(["u", "r", None] * 4), NAMES),
        (pd.Series(["u", "r", pd.NA] * 4, dtype="string"), NAMES),
        (pd.Series(["u", "r", None] * 4, dtype="category"), NAMES),
        (pd.Series([0, 1, pd.NA] * 4, dtype="Int64"), Label(2)),
        (np.array([0.0, 1.0, None] * 4, object), Label(2)),
        (np.array([0.0, 1.0, np.nan] * 4), Label(2)),
    ],
)
def test_a_class_is_missing_however_that_is_written(values: Any, kind: Kind) -> None:
    assert labels(values, kind) == [0, 1, -1]


def test_a_number_is_missing_however_that_is_written() -> None:
    for values in (
        np.array([0.5, 1, None] * 4, object),
        pd.Series([0.5, 1, pd.NA] * 4, dtype="Float64"),
    ):
        assert np.array_equal(labels(values, Number()), [0.5, 1, np.nan], equal_nan=True)
    with pytest.raises(UsageError, match="sample 1: a label of 'a' is 'b'; give numbers"):
        labels(np.array([0.5, "b", None] * 4, object), Number())


@pytest.mark.parametrize("missing", [None, np.nan])
def test_a_sample_without_a_group_is_named(missing: Any) -> None:
    groups = np.array(["g", missing] * 6, object)
    with pytest.raises(UsageError, match="sample 1: it has no group, though others do"):
        ArrayDataset(INPUTS, {"a": (np.arange(COUNT), Number())}, groups=groups)
    mixed = np.array(["g", 7] * 6, object)
    made = ArrayDataset(INPUTS, {"a": (np.arange(COUNT), Number())}, groups=mixed)
    assert made.groups is not None
    assert len(set(made.groups.tolist())) == 2


def test_a_constant_is_not_divided_by_its_rounding() -> None:
    inputs = np.column_stack([np.full(40, 12345.678), 1e-14 * np.arange(40)])
    scaling = ArrayDataset(inputs, {"a": (np.arange(40), Number())}).scaling()["inputs"]
    assert scaling["deviation"][0] == 1
    assert 0 < scaling["deviation"][1] < 1e-12


def opened_table(folder: Path, text: str) -> Dataset:
    folder.mkdir()
    (folder / "samples.csv").write_text(text, encoding="utf-8")
    return make_dataset(f"folder:data={folder}", 32, 0)


def test_classes_may_have_any_name(tmp_path: Path) -> None:
    names = ["--5", "²", "10", "9", "nan"]
    lines = [f"{row},{names[row % 5]}" for row in range(20)]
    made = opened_table(tmp_path / "mine", "\n".join(["v:input,c:class", *lines]))
    assert made.tasks["c"].kind.names == ("9", "10", "--5", "nan", "²")


def test_a_line_ends_where_csv_says(tmp_path: Path) -> None:
    lines = [f"{row},a\x0cb\u2028c,{row}" for row in range(20)]
    made = opened_table(tmp_path / "mine", "\n".join(["v:input,note:skip,w:number", *lines]))
    assert list(made.tasks) == ["w"]


@pytest.mark.parametrize("bits", [1, 8, 16])
def test_white_in_a_map_is_1_in_any_picture(tmp_path: Path, bits: int) -> None:
    folder, lines = tmp_path / "mine", ["picture,m:map"]
    folder.mkdir()
    half = np.arange(16)[:, None] < np.full((1, 16), 8)
    white = {1: half, 8: np.uint8(255) * half, 16: np.uint16(65535) * half}[bits]
    for row in range(12):
        Image.fromarray(np.full((16, 16, 3), row, np.uint8)).save(folder / f"{row}.png")
        Image.fromarray(white).save(folder / f"{row}-m.png")
        lines.append(f"{row}.png,{row}-m.png")
    (folder / "samples.csv").write_text("\n".join(lines))
    made = make_dataset(f"folder:data={folder}", 16, 0)
    made.prepare()
    assert made.samples("train").batch(np.arange(1), None).targets["m"].unique().tolist() == [0, 1]


def saved(folder: Path, head: str, **arrays: Any) -> Path:
    folder.mkdir()
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    (folder / "dataset.toml").write_text(f"[arrays]\n{head}\n")
    return folder


@pytest.mark.parametrize("shape", [(COUNT, 1), (COUNT, 2, 2)])
def test_groups_in_a_file_are_one_for_each_sample(tmp_path: Path, shape: tuple[int, ...]) -> None:
    head = 'v = "input"\nw = "number"\ng = "group"'
    folder = saved(tmp_path / "mine", head, v=INPUTS, w=np.arange(COUNT), g=np.zeros(shape))
    with pytest.raises(UsageError, match=r"g.npy' has the shape \(12, .*; give one for each"):
        source_of(read(folder))


def test_a_dark_picture_among_those_of_16_bits_stays_dark(tmp_path: Path) -> None:
    pictures = np.zeros((4, 8, 8), np.int32)
    pictures[1] = 60_000
    pictures[2] = 200
    folder = saved(
        tmp_path / "mine",
        'picture = "picture"\nw = "number"',
        picture=pictures,
        w=np.arange(4.0),
    )
    source = source_of(read(folder))
    assert [int(source.picture(row).max()) for row in range(4)] == [0, 233, 1, 0]
    assert [int(picture.max()) for picture in planes(pictures, str)] == [0, 233, 1, 0]


def test_integers_in_maps_have_their_units_with_and_without_an_axis_of_channels(
    tmp_path: Path,
) -> None:
    depth = np.full((4, 8, 8), 1500, np.uint16)
    normals = np.full((4, 8, 8, 3), 255, np.uint8)
    normals[..., :2] = 128
    folder = saved(
        tmp_path / "mine",
        'picture = "picture"\nd = "depth"\nd1 = "depth"\nn = "normals"\nn1 = "normals"',
        picture=np.zeros((4, 8, 8), np.uint8),
        d=depth,
        d1=depth[:, None],
        n=normals,
        n1=np.moveaxis(normals, 3, 1),
    )
    source = source_of(read(folder))
    for plain, channelled in (("d", "d1"), ("n", "n1")):
        one, other = (source.target(name, 0, (8, 8)) for name in (plain, channelled))
        assert one is not None and other is not None
        assert np.array_equal(one, other)
        assert one.max() == pytest.approx(1.5 if plain == "d" else 1, abs=1e-4)


def test_a_flag_is_true_or_false() -> None:
    assert parse("n", "normals:raw=yes", "here").options == {"raw": True}
    assert parse("n", {"kind": "normals", "raw": False}, "here").options == {"raw": False}
    with pytest.raises(UsageError, match="option 'raw' of column 'n' is 'ture'; write true or fal"):
        parse("n", "normals:raw=ture", "here")


@pytest.mark.parametrize("text", ["{", "[]", '{"0.npy": 3}', '{"a.txt": [1, 2]}'])
def test_damaged_digests_are_computed_again(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.txt").write_text("a")
    os.utime(tmp_path / "a.txt", (0, 0))
    found = digest.contents(tmp_path, ["a.txt"])
    (kept,) = (places.home() / "digests").iterdir()
    facts = (tmp_path / "a.txt").stat()
    for damaged in (text, json.dumps({"a.txt": [facts.st_size, facts.st_mtime_ns]})):
        kept.write_text(damaged)
        assert digest.contents(tmp_path, ["a.txt"]) == found


def test_any_text_is_saved(tmp_path: Path) -> None:
    about, names = 'a "quoted" \\ line\n\x7f and é', ("a/b", "c = {}")
    tasks = {"a": (np.arange(COUNT) % 2, Label(names))}
    ArrayDataset(INPUTS, tasks, about=about, name="mine").save(tmp_path / "saved")
    made: Any = make_dataset(f"folder:data={tmp_path / 'saved'}", 32, 0)
    assert made.about == about
    assert made.tasks["a"].kind.names == names


def test_arrays_that_have_changed_are_read_again(tmp_path: Path) -> None:
    folder = saved(tmp_path / "mine", 'v = "input"\nw = "number"', v=INPUTS, w=np.arange(COUNT))
    assert source_of(read(folder)).values["w"][1, 0] == 1
    np.save(folder / "w.npy", 10.0 * np.arange(COUNT))
    assert source_of(read(folder)).values["w"][1, 0] == 10


@pytest.mark.parametrize("word", ["3", "[1]", '{kind = ["class"]}', "{top = 2}", "1979-05-27"])
def test_what_is_no_kind_is_said_in_a_sentence(tmp_path: Path, word: str) -> None:
    folder = saved(tmp_path / "mine", f'v = "input"\nw = {word}', v=INPUTS, w=np.arange(COUNT))
    with pytest.raises(UsageError, match="line 3: column 'w' has the unknown kind '"):
        read(folder)


def test_auxiliaries_may_be_one_name_and_count_once() -> None:
    tasks = {name: (np.arange(COUNT), Number()) for name in ("a", "bb")}
    assert ArrayDataset(INPUTS, tasks, auxiliaries="bb").auxiliaries == ("bb",)
    assert ArrayDataset(INPUTS, tasks, auxiliaries=["bb", "bb"]).auxiliaries == ("bb",)


def test_a_kind_with_other_metrics_is_another_data_set() -> None:
    found = []
    for kind in (Label(3), Label(3, top=2)):
        (text,) = texts(ArrayDataset(INPUTS, {"a": (np.arange(COUNT) % 3, kind)}, name="mine"))
        made = make_dataset(str(text), 32, 0)
        found.append([make().name for make in made.tasks["a"].kind.metrics])
    assert len(found[0]) < len(found[1])


HALVES = ["train"] * 12 + ["test"] * 12


@pytest.mark.parametrize("split", [None, HALVES])
def test_a_task_without_labels_is_refused_before_training(split: Any) -> None:
    inputs, every = np.random.default_rng(0).random((24, 3)), np.arange(24)
    made = ArrayDataset(inputs, {"a": (np.full(24, np.nan), Number())}, split=split)
    with pytest.raises(UsageError, match="no sample in train has a label of 'a'; give some, or"):
        made.prepare()
    half = np.where(every < 12, 1.0, np.nan)
    tasks = {"a": (every, Number()), "b": (half, Number())}
    ArrayDataset(inputs, tasks, split=HALVES).prepare()
    made = ArrayDataset(inputs, tasks, primary="b", split=HALVES)
    with pytest.raises(UsageError, match="no sample in test has a label of 'b'"):
        made.prepare()


def test_a_primary_without_labels_in_test_gives_no_score(tmp_path: Path) -> None:
    """One that is chosen for a run, so that preparing the data does not find it."""
    inputs, every = np.random.default_rng(0).random((24, 3)), np.arange(24)
    half = np.where(every < 12, 1.0 * every, np.nan)
    data = ArrayDataset(inputs, {"a": (every, Number()), "b": (half, Number())}, split=HALVES)
    words = {"primary": "b", "auxiliary": ["a"], "budget": "demo", "steps": 2, "seeds": 1}
    found = auxbench.run("single", data, results=tmp_path, jobs=1, quiet=True, **words)
    assert found["status"].tolist() == ["error"]
    assert found["reason"][0].startswith("there is no score of 'b', as where no test sample")


def test_a_table_without_labels_of_a_task_is_refused(tmp_path: Path) -> None:
    lines = [f"{row},{row}," for row in range(20)]
    made = opened_table(tmp_path / "mine", "\n".join(["v:input,w:number,y:number", *lines]))
    with pytest.raises(UsageError, match="no sample in train has a label of 'y'"):
        made.prepare()


def test_a_folder_is_known_once_it_was_read(tmp_path: Path) -> None:
    opened_table(
        tmp_path / "mine", "\n".join(["v:input,w:number", *(f"{n},{n}" for n in range(20))])
    )
    assert make_dataset("folder:name=mine", 32, 0).tasks.keys() == {"w"}
    (tmp_path / "cache" / "own" / "mine.json").unlink()
    (tmp_path / "cache" / "own").chmod(0o500)
    try:
        assert make_dataset(f"folder:data={tmp_path / 'mine'}", 32, 0).tasks.keys() == {"w"}
    finally:
        (tmp_path / "cache" / "own").chmod(0o700)


@pytest.mark.parametrize(
    ("tasks", "why"),
    [
        ({"a": np.arange(COUNT)}, "task 'a' is given by ndarray; give its labels and its kind"),
        ({0: (np.arange(COUNT), Number())}, "a task cannot be called 0; use letters"),
        (
            [("a", Number())],
            "tasks are given by list; give a dictionary with the labels and the kin",
        ),
        ({"my task": (np.arange(COUNT), Number())}, "called 'my task'; use letters, digits"),
        ({"keys": (np.arange(COUNT), Number())}, "called 'keys', which networks use"),
    ],
)
def test_tasks_that_cannot_be_are_refused(tasks: Any, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        ArrayDataset(INPUTS, tasks)


def test_columns_that_cannot_be_are_refused() -> None:
    rows = torch.utils.data.TensorDataset(torch.ones(8, 3), torch.arange(8.0))
    with pytest.raises(UsageError, match="task 'k' is given by Label; give its column and its ki"):
        from_torch(rows, 0, {"k": Label(2)})  # type: ignore[dict-item]
    for side in (-4, "8"):
        with pytest.raises(UsageError, match=f"side is {side!r}; give a whole number"):
            from_torch(rows, 0, {"k": (1, Number())}, side=side)  # type: ignore[arg-type]


def test_tensors_of_bfloat16_are_read() -> None:
    inputs = torch.from_numpy(INPUTS).bfloat16()
    made = ArrayDataset(inputs, {"a": (torch.arange(12).bfloat16(), Number())})
    assert made.arrays["inputs"].dtype == np.float32
    lists = list(inputs), {"a": (list(torch.arange(12).bfloat16()), Number())}
    again = ArrayDataset(*lists)
    assert all((again.arrays[name] == made.arrays[name]).all() for name in ("inputs", "a"))


@pytest.mark.parametrize("far", [None, 10])
def test_depths_in_millimetres_are_not_taken_for_metres(far: float | None) -> None:
    pictures, depths = np.zeros((4, 4, 4), np.uint8), np.full((4, 4, 4), 3, np.uint16)
    made = ArrayDataset(pictures, {"d": (depths, Depth(far))})
    assert (made.arrays["d"] == 3).all()
    depths[2, 1, 1] = 3500
    with pytest.raises(UsageError, match=r"sample 2: a depth of 'd' is 3500 m, .* divide by 1000"):
        ArrayDataset(pictures, {"d": (depths, Depth(far))})
    made = ArrayDataset(pictures, {"d": (depths / 1000, Depth(far))})
    assert made.arrays["d"].max() == np.float32(3.5)


@pytest.mark.parametrize(("task", "where"), [("y", "test"), ("k", "train")])
def test_a_check_finds_a_split_without_labels(tmp_path: Path, task: str, where: str) -> None:
    lines = ["v:input,y:number,k:number,split"]
    for row, split in enumerate(HALVES):
        y, k = ("" if task == name and split == where else row for name in "yk")
        lines.append(f"{row},{y},{k},{split}")
    made = opened_table(tmp_path / "mine", "\n".join(lines))
    with pytest.raises(UsageError, match=f"no sample in {where} has a label of '{task}'") as caught:
        made.prepare()
    found = review(tmp_path / "mine")[1][-1]
    assert (found.status, found.detail) == ("wrong", str(caught.value))
