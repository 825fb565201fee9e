"""A user's own data in a folder, and the same data in memory."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import auxbench
from auxbench.cli.main import auxbench as command
from auxbench.data.dataset import Dataset, make_dataset
from auxbench.data.kinds import Classes, Depth, Kind, Label, Map, Normals, Number
from auxbench.data.own import places
from auxbench.data.own.review import review
from auxbench.data.own.spelling import kind_of, word_of
from auxbench.data.own.words import Word
from auxbench.errors import UsageError
from auxbench.execution.execute import provenance_of
from auxbench.execution.study import Study, texts
from auxbench.records.provenance import stale
from auxbench.records.store import Store
from auxbench.spec.grammar import Choice
from auxbench.spec.registry import DATASETS
from tests.unit import _own

SPLIT = ["train"] * 12 + ["val"] * 4 + ["test"] * 8


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUXBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


def opened(text: str, side: int = 20, draw: int | None = None) -> Dataset:
    dataset = make_dataset(text, side, draw)
    dataset.prepare()
    return dataset


def everything(dataset: Dataset, split: str) -> Any:
    samples = dataset.samples(split)
    return samples.batch(np.arange(len(samples)), None)


def canonical(text: str) -> str:
    return str(Choice.parse(text).canonical(DATASETS["folder"]))


def test_a_folder_has_what_its_files_have() -> None:
    _own.write(Path("discs"), SPLIT)
    dataset, arrays = opened("folder:data=discs"), _own.arrays()
    batch = everything(dataset, "train")
    assert batch.inputs.shape == (12, 3, 20, 20)
    assert batch.targets["kind"].tolist() == [0, 1] * 6
    assert np.allclose(batch.targets["depth"][:, 0], arrays["depth"][:12], atol=1e-3)
    assert (batch.targets["mask"].numpy() == arrays["mask"][:12]).all()
    weights = np.concatenate([everything(dataset, s).targets["weight"] for s in ("train", "test")])
    assert weights[:12].mean() == pytest.approx(0, abs=1e-5)
    assert weights[:12].std() == pytest.approx(1, abs=1e-5)
    expected = (arrays["weight"] - arrays["weight"][:12].mean()) / arrays["weight"][:12].std()
    assert np.allclose(weights[12:, 0], expected[16:], atol=1e-3)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    shown = (arrays["picture"][:12] / 255 - mean) / std
    assert np.allclose(batch.inputs.permute(0, 2, 3, 1), shown, atol=1e-4)


def test_memory_and_folder_are_the_same() -> None:
    _own.write(Path("discs"), SPLIT)
    folder = opened("folder:data=discs", 12)
    memory = _own.of_arrays(split=SPLIT, side=12)
    memory.save("saved")
    saved = opened("folder:data=saved", 12)
    for split in ("train", "validation", "test"):
        one, *others = (everything(dataset, split) for dataset in (memory, saved, folder))
        for other in others:
            assert one.inputs.equal(other.inputs)
            for name in ("kind", "mask", "depth", "weight"):
                target = other.targets[name]
                assert np.allclose(one.targets[name], target, atol=1e-3), (split, name)


def test_every_seed_deals_its_own_splits_and_twins_stay_together() -> None:
    folder = _own.write(Path("discs"))
    (folder / "4.png").write_bytes((folder / "0.png").read_bytes())
    seen = []
    for draw in range(6):
        dataset = opened("folder:data=discs", 20, draw)
        parts = [everything(dataset, split).inputs for split in ("train", "validation", "test")]
        assert len(parts[0]) in (14, 15)
        assert sum(map(len, parts)) == 24
        digests = [{one.numpy().tobytes() for one in part} for part in parts]
        assert sum(map(len, digests)) == 23
        seen.append(digests[0])
    assert seen[0] != seen[1]
    assert canonical("folder:data=discs") == "folder:name=discs"
    assert canonical("folder:data=discs:draw=3") == "folder:draw=3:name=discs"


def test_groups_stay_together() -> None:
    folder = _own.vectors(Path("table"))
    lines = (folder / "samples.csv").read_text().splitlines()
    lines = [
        lines[0] + ",tree:group",
        *(f"{line},{row // 4}" for row, line in enumerate(lines[1:])),
    ]
    (folder / "samples.csv").write_text("\n".join(lines))
    dataset: Any = opened("folder:data=table", 20, 1)
    found = dataset.samples("train").rows
    assert len(set((found // 4).tolist())) * 4 == len(found) == 24


def test_missing_labels_are_masked() -> None:
    folder = _own.write(Path("discs"), SPLIT)
    lines = (folder / "samples.csv").read_text().splitlines()
    lines[1] = "0.png,,,,,train"
    (folder / "samples.csv").write_text("\n".join(lines))
    dataset = opened("folder:data=discs", 16)
    samples = dataset.samples("train")
    assert {name: len(rows) for name, rows in samples.labelled.items()} == dict.fromkeys(
        ("kind", "weight", "depth", "mask"), 11
    )
    batch = samples.batch(np.arange(1), None)
    for name, task in dataset.tasks.items():
        prediction = torch.zeros(1, task.outputs, *((16, 16) if task.dense else ()))
        assert task.losses(prediction, batch.targets[name]).counts.sum() == 0


def test_pictures_of_any_size_become_squares() -> None:
    folder = Path("sizes")
    folder.mkdir()
    lines = ["picture,near:depth:unit=0.01,kind:class"]
    for row in range(20):
        picture = np.zeros((20 + row, 40, 3), np.uint8)
        picture[:, 10:30] = 255
        Image.fromarray(picture).save(folder / f"{row}.jpg", quality=95)
        Image.fromarray(np.full((20 + row, 40), 200 + row, np.uint16)).save(folder / f"{row}.tif")
        lines.append(f"{row}.jpg,{row}.tif,{row % 2}")
    (folder / "samples.csv").write_text("\n".join(lines))
    batch = everything(opened("folder:data=sizes", 10), "test")
    assert batch.inputs.shape[1:] == (3, 10, 10)
    assert ((batch.targets["near"] >= 2) & (batch.targets["near"] < 2.2)).all(), "metres"


def test_the_identity_follows_the_contents_and_nothing_else(cache: Path) -> None:
    folder = _own.write(Path("discs"))
    before = make_dataset("folder:data=discs", 20).identity()
    moved = folder.rename("moved")
    assert make_dataset("folder:data=moved:name=discs", 20).identity() == before
    other = moved / "3.bmp"
    facts, content = other.stat(), bytearray(other.read_bytes())
    content[-1] ^= 1
    other.write_bytes(content)
    assert make_dataset("folder:data=moved", 20).identity() != before
    content[-1] ^= 1
    other.write_bytes(content)
    os.utime(other, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert make_dataset("folder:data=moved", 20).identity() == before
    table = moved / "samples.csv"
    table.write_text(table.read_text().replace(",raw,", ",ripe,", 1))
    assert make_dataset("folder:data=moved", 20).identity() != before


def test_digests_of_settled_files_are_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _own.write(Path("discs"))
    long_ago = time.time() - 100
    for path in folder.iterdir():
        os.utime(path, (long_ago, long_ago))
    before = make_dataset("folder:data=discs", 20).identity()

    def never(path: Path) -> str:
        raise AssertionError(f"'{path}' was hashed again")

    monkeypatch.setattr("auxbench.data.own.digest.sha256", never)
    assert make_dataset("folder:data=discs", 20).identity() == before


def test_given_splits_are_no_draw() -> None:
    _own.write(Path("discs"), SPLIT)
    assert canonical("folder:data=discs") == "folder:draw=0:name=discs"
    study = Study.of("hps", "folder:data=discs", seeds=2)
    assert {run.draw for run in study.runs} == {0}
    with pytest.raises(UsageError, match="draw '3' of 'folder' has no effect"):
        canonical("folder:data=discs:draw=3")
    partly = [name.replace("val", "train") for name in SPLIT]
    _own.write(Path("partly"), partly)
    assert canonical("folder:data=partly") == "folder:name=partly"
    dataset = opened("folder:data=partly", 20, 2)
    assert [len(dataset.samples(s)) for s in ("train", "validation", "test")] == [13, 3, 8]


def test_a_folder_is_known_by_its_name_once_it_was_used() -> None:
    folder = _own.vectors(Path("table"))
    with pytest.raises(UsageError, match="has no folder called 'table'; write folder:data=DIR"):
        make_dataset("folder:name=table", 20)
    opened("folder:data=table")
    assert places.names() == ["table"]
    assert make_dataset("folder:name=table", 20).features == 2
    listed = CliRunner().invoke(command, ["list", "datasets", "--format", "json"])
    names = [row["name"] for row in json.loads(listed.stdout)]
    assert "folder:name=table" in names
    (folder / "samples.csv").unlink()
    folder.rmdir()
    assert places.names() == []


BAD: list[tuple[str, Callable[[Path], object], str]] = [
    ("no file", lambda d: (d / "5.tif").unlink(), r"samples.csv', line 7: file '5.tif' does not"),
    ("cells", lambda d: append(d, "a,b"), r"line 26: it has 2 columns, and the header has 6"),
    ("leaves", lambda d: append(d, "../a.png,raw,1,,,test"), r"line 26: file '../a.png' leaves"),
    ("absolute", lambda d: append(d, "/a.png,raw,1,,,test"), r"line 26: file '/a.png' leaves"),
    ("link", lambda d: (link(d), append(d, "l.png,raw,1,,,test")), "line 26: .* is a link out of"),
    ("twice", lambda d: append(d, "0.png,raw,1,,,test"), "line 26: .* also that of line 2"),
    (
        "twins",
        lambda d: (d / "20.png").write_bytes((d / "0.png").read_bytes()),
        "line 22: it has the picture of '.*', line 2, which is in another split",
    ),
    ("nan", lambda d: cell(d, 3, 2, "nan"), "line 3: 'weight' is 'nan'; leave the cell empty"),
    ("word", lambda d: cell(d, 3, 2, "1,5"), "line 3: 'weight' is '1,5'; .* with a point"),
    ("untrained", lambda d: cell(d, 24, 1, "odd"), "line 24: class 'odd' of 'kind' is in test but"),
    ("split", lambda d: cell(d, 4, 5, "exam"), "line 4: split 'exam' is unknown; write train, val"),
    ("some", lambda d: cell(d, 4, 5, ""), "line 4: it has no split, though others do"),
    ("picture", lambda d: (d / "2.npy").write_text("x"), "line 4: file '2.npy' cannot be read"),
    (
        "pickle",
        lambda d: np.save(d / "2.npy", np.array([{}]), allow_pickle=True),
        "line 4: file '2.npy' cannot be read",
    ),
    (
        "size",
        lambda d: Image.new("L", (9, 20)).save(d / "1-mask.png"),
        "line 3: the map of 'mask' has 20 x 9 pixels and its picture 20 x 20",
    ),
    (
        "class",
        lambda d: Image.new("L", (20, 20), 7).save(d / "1-mask.png"),
        "line 3: 'mask' has no class 7; its classes are 0 to 1",
    ),
    (
        "nan picture",
        lambda d: np.save(d / "2.npy", np.full((20, 20), np.nan)),
        "line 4: its picture has NaN",
    ),
    ("kind", lambda d: head(d, 1, "kind:klass"), "line 1: column 'kind' has the unknown kind 'kl"),
    ("option", lambda d: head(d, 3, "depth:depth:fra=1"), "line 1: .* no option 'fra'; did you"),
    ("silent", lambda d: head(d, 2, "weight"), "line 1: column 'weight' does not say what it hold"),
    ("name", lambda d: head(d, 2, "type:number"), "a task cannot be called 'type'"),
    ("none", lambda d: (d / "samples.csv").write_text(""), "has no samples; write a header"),
    ("latin", lambda d: (d / "samples.csv").write_bytes(b"\xff\xfe\x00"), "is not UTF-8"),
    ("toml", lambda d: (d / "dataset.toml").write_text("a = ["), "dataset.toml' is not TOML"),
    (
        "key",
        lambda d: (d / "dataset.toml").write_text("\nprimry = 'a'"),
        "dataset.toml', line 2: unknown key 'primry'; did you mean 'primary'",
    ),
    (
        "primary",
        lambda d: (d / "dataset.toml").write_text("primary = 'king'"),
        "dataset.toml', line 1: no task 'king'; did you mean 'kind'",
    ),
]


def append(folder: Path, line: str) -> None:
    with (folder / "samples.csv").open("a") as file:
        file.write(line + "\n")


def link(folder: Path) -> None:
    Image.new("L", (9, 9)).save("outside.png")
    (folder / "l.png").symlink_to(Path("outside.png").resolve())


def cell(folder: Path, line: int, column: int, value: str) -> None:
    lines = [one.split(",") for one in (folder / "samples.csv").read_text().splitlines()]
    lines[line - 1][column] = f'"{value}"'
    (folder / "samples.csv").write_text("\n".join(",".join(one) for one in lines) + "\n")


def head(folder: Path, column: int, value: str) -> None:
    cells = (folder / "samples.csv").read_text().splitlines()
    first = cells[0].split(",")
    first[column] = value
    (folder / "samples.csv").write_text("\n".join([",".join(first), *cells[1:]]))


@pytest.mark.parametrize(("spoil", "message"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_a_fault_is_one_sentence(spoil: Callable[[Path], object], message: str) -> None:
    folder = _own.write(Path("discs"), SPLIT)
    assert all(finding.status == "ok" for finding in review(folder)[1])
    spoil(folder)
    with pytest.raises(UsageError, match=message) as caught:
        opened("folder:data=discs")
    assert "\n" not in str(caught.value)
    found = review(folder)[1][-1]
    assert (found.status, found.detail) == ("wrong", str(caught.value))


def test_the_command_line_ends_with_code_2() -> None:
    folder = _own.write(Path("discs"), SPLIT)
    (folder / "5.tif").unlink()
    words = ["run", "--methods", "single", "--dataset", "folder:data=discs", "--results", "r"]
    done = CliRunner().invoke(command, words, standalone_mode=False)
    assert isinstance(done.exception, UsageError)
    assert "'discs/samples.csv', line 7: file '5.tif' does not exist" in str(done.exception)
    assert not Path("r").exists()


def test_columns_may_be_described_in_toml() -> None:
    folder = _own.vectors(Path("table"))
    table = folder / "samples.csv"
    table.rename(folder / "apples.csv")
    text = (folder / "apples.csv").read_text().replace(":input", "").replace(":number", "")
    (folder / "apples.csv").write_text(text.replace("ripe:class", "ripe").replace(",", ";"))
    (folder / "dataset.toml").write_text(
        'name = "apples"\nabout = "Weights of apples."\nprimary = "ripe"\n[columns]\n'
        'red = "input"\nsize = "input"\nweight = "number"\n'
        'ripe = {kind = "class", names = ["yes", "no"]}\n'
    )
    dataset = opened("folder:data=table")
    assert (dataset.primary, dataset.auxiliaries) == ("ripe", ("weight",))
    assert dataset.tasks["ripe"].kind.names == ("yes", "no")
    shown = CliRunner().invoke(command, ["show", "dataset", "folder:name=apples"])
    assert "Weights of apples." in shown.stdout


def test_what_a_record_holds_changes_with_the_folder() -> None:
    folder = _own.vectors(Path("table"))
    run = Study.of("single", "folder:data=table", seeds=1).runs[0]
    before = provenance_of(run)
    assert before["data_options"] == ["data"]
    record = {"status": "done", "provenance": before}
    assert stale(record, provenance_of(run)["data"]) == ""
    cell(folder, 5, 2, "3.5")
    assert stale(record, provenance_of(run)["data"]) == "the data have changed since"


@pytest.mark.slow
def test_a_run_is_stale_once_its_folder_has_changed() -> None:
    folder = _own.vectors(Path("table"))
    words: dict[str, Any] = {"steps": 2, "seeds": 1, "results": "r", "quiet": True}
    frame = auxbench.run("single", "folder:data=table", **words)
    assert frame["dataset"].tolist() == ["folder:name=table"]
    assert frame["status"].tolist() == ["done"]
    study = Study.of("single", "folder:name=table", steps=2, seeds=1)
    assert len(study.split(Store("r")).done) == 1
    cell(folder, 5, 2, "3.5")
    split = study.split(Store("r"))
    assert list(split.stale.values()) == ["the data have changed since"]


@pytest.mark.slow
def test_an_array_data_set_is_run_as_it_is() -> None:
    table = np.random.default_rng(0).random((40, 3))
    tasks = {"weight": (table[:, 2], Number()), "ripe": (table[:, 0] > 0.5, Label(("no", "yes")))}
    apples = auxbench.ArrayDataset(table[:, :2], tasks, name="apples")
    words: dict[str, Any] = {"steps": 2, "seeds": 1, "results": "r", "quiet": True}
    frame = auxbench.run("hps", apples, **words)
    assert frame["dataset"].tolist() == ["folder:name=apples"]
    assert frame["primary"].tolist() == ["weight"]
    study = Study.of("hps", "folder:name=apples", steps=2, seeds=1)
    assert len(study.split(Store("r")).done) == 1, "the command line finds it by its name"


def test_an_array_data_set_is_found_by_its_name() -> None:
    table = np.random.default_rng(0).random((40, 3))
    tasks = {"weight": (table[:, 2], Number()), "ripe": (table[:, 0] > 0.5, Label(("no", "yes")))}
    apples = auxbench.ArrayDataset(table[:, :2], tasks, name="apples")
    assert texts(apples) == ["folder:name=apples"]
    runs = Study.of("hps", [apples, "toy"], seeds=1).runs
    assert [run.dataset for run in runs] == ["folder:name=apples", "toy"]
    again = auxbench.ArrayDataset(table[:, :2], tasks, primary="ripe", name="apples")
    texts(again)
    assert make_dataset("folder:name=apples", 64).primary == "ripe"


class Squared(Number):
    """A kind of a user's own."""


def test_what_only_code_can_hold_is_refused() -> None:
    made = auxbench.ArrayDataset(np.zeros((12, 2)), {"a": (np.arange(12), Squared())})
    with pytest.raises(UsageError, match="kind Squared of task 'a' is your own"):
        Study.of("hps", made)
    with pytest.raises(UsageError, match="dataset is a Rooms; give an ArrayDataset"):
        Study.of("hps", DATASETS["rooms"]())


@pytest.mark.parametrize(
    "kind",
    [
        *(Label(3, top=2), Label(("a", "b")), Number(2), Classes(4)),
        *(Depth(far=3), Depth(), Normals(True), Map(2)),
    ],
    ids=lambda kind: type(kind).__name__,
)
def test_a_kind_comes_back_from_its_word(kind: Kind) -> None:
    said = word_of("t", kind)
    again = kind_of(Word(said["kind"], {k: v for k, v in said.items() if k != "kind"}))
    assert type(again) is type(kind)
    assert (again.outputs, again.classes) == (kind.outputs, kind.classes)
    assert [make().name for make in again.metrics] == [make().name for make in kind.metrics]
    assert getattr(again, "far", None) == getattr(kind, "far", None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": np.zeros((4, 8, 8, 5))}, "neither one nor three channels"),
        ({"inputs": np.full((4, 8, 8), 2.5)}, "sample 0: its picture has numbers from 2.5"),
        ({"inputs": np.array([[1.0], [np.nan]] * 2)}, "sample 1: an input is NaN"),
        ({"labels": np.zeros(3)}, "has 3 labels for 4 inputs"),
        ({"labels": np.array([0, 1, 7, 0]), "kind": Label(2)}, "sample 2: 't' has no class 7"),
        ({"labels": ["a", "b", "c", ""], "kind": Label(("a", "b"))}, "sample 2: .* no class 'c'"),
        ({"labels": np.array([0, np.inf, 0, 0])}, "sample 1: a label of 't' is infinite"),
        ({"labels": np.zeros((4, 8, 9)), "kind": Depth()}, "has 8 x 9 pixels and its picture 8"),
        ({"labels": np.zeros((4, 8)), "kind": Depth()}, r"shape \(4, 8\); give \(count, 1, h"),
        ({"inputs": np.eye(4), "kind": Depth(), "labels": np.zeros((4, 8, 8))}, "need pictures"),
        ({"name": "keys"}, "a task cannot be called 'keys'"),
        ({"kind": 5}, "the kind of task 't' is 5"),
        ({"primary": "s"}, "no task is called 's'"),
        ({"split": ["train", "test"]}, r"split has the shape \(2,\)"),
        ({"split": ["train", "test", "train", "x"]}, "sample 3: split 'x' is unknown"),
        ({"split": ["train"] * 4}, "no sample is for test"),
        ({"augment": "flip"}, "augment is 'flip'"),
        ({"labels": np.array(3)}, "has 1 labels for 4 inputs"),
        (
            {"labels": [[1.0], [1.0, 2.0], [1.0], [2.0]]},
            "different shapes .*; give all of them the same shape",
        ),
        ({"side": -1}, "side is -1; give a whole number of pixels"),
        ({"side": 2.5}, "side is 2.5; give a whole number of pixels"),
        ({"primary": 3}, "no task is called '3'"),
        ({"auxiliaries": "t"}, "task 't' is the primary; leave it out"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change: dict[str, Any], message: str) -> None:
    usual = {"inputs": np.random.default_rng(0).random((4, 8, 8)), "labels": np.arange(4.0)}
    usual = {**usual, "kind": Number(), "name": "t", **change}
    inputs, labels, kind, name = (usual.pop(key) for key in ("inputs", "labels", "kind", "name"))
    with pytest.raises(UsageError, match=message) as caught:
        auxbench.ArrayDataset(inputs, {name: (labels, kind)}, **usual)
    assert "\n" not in str(caught.value)


def test_too_few_samples_to_deal_are_refused() -> None:
    made = auxbench.ArrayDataset(np.eye(4), {"t": (np.arange(4), Number())})
    with pytest.raises(UsageError, match="4 samples in 4 groups are too few"):
        made.samples("train")


def test_a_subclass_is_a_registered_data_set(tmp_path: Path) -> None:
    path = tmp_path / "own_discs.py"
    path.write_text(
        '"""Discs of a user: a class and a number for each of them."""\n'
        "import numpy as np\n"
        "from auxbench import DATASETS, ArrayDataset, Label, Number\n"
        "from auxbench.data.dataset import Draw\n\n"
        "@DATASETS.register\n"
        "class OwnDiscs(ArrayDataset):\n"
        '    """Discs."""\n\n'
        "    def __init__(self, *, draw: Draw = None) -> None:\n"
        "        rng = np.random.default_rng(0)\n"
        "        tasks = {'k': (np.arange(20) % 2, Label(2)), 'n': (rng.random(20), Number())}\n"
        "        super().__init__(rng.random((20, 3)), tasks, primary='n', draw=draw)\n"
    )
    name = DATASETS.add(path)
    try:
        study = Study.of("single,hps", name, seeds=2)
        assert [(run.primary, run.auxiliaries, run.backbone, run.draw) for run in study.runs] == [
            ("n", ("k",), "mlp", seed) for seed in (0, 0, 1, 1)
        ]
        tiny = DATASETS[name].tiny()
        assert {n: len(tiny.samples(n)) for n in ("train", "test")} == {"train": 8, "test": 4}
        shown = CliRunner().invoke(command, ["show", "dataset", name])
        assert shown.exit_code == 0, shown.exception
        assert " n " in shown.stdout
    finally:
        DATASETS.remove(name)


def test_a_deployed_network_can_be_used_in_the_units_of_the_data() -> None:
    _own.vectors(Path("table"))
    dataset = opened("folder:data=table")
    scaling = dataset.scaling()
    assert sorted(scaling) == ["inputs", "weight"]
    batch, weight = everything(dataset, "test"), scaling["weight"]
    values = batch.targets["weight"][:, 0] * weight["deviation"][0] + weight["mean"][0]
    sizes = batch.inputs[:, 1] * scaling["inputs"]["deviation"][1] + scaling["inputs"]["mean"][1]
    assert np.allclose(values, 100 + 50 * sizes, atol=1e-2)
