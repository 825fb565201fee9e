"""The prepared form: exact, resumed where it stopped, never half, and read at constant memory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from auxbench.data.prepared.convert import prepare
from auxbench.data.prepared.decode import depths, normals, pictures, responses
from auxbench.data.prepared.form import JOURNAL, MARKER, Prepared, place
from auxbench.data.prepared.layout import Array, Layout, Rows, check
from auxbench.data.prepared.recognise import recognise
from auxbench.errors import UsageError
from auxbench.tasks._layouts.encode import (
    depth_steps,
    house,
    is_order,
    normal_steps,
    parse_size,
    picture,
    read_image,
)


class Numbers(Layout):
    """A layout whose samples are their own numbers; `broken` ones cannot be read."""

    dataset = "numbers"
    name = "plain"
    summary = "numbers"
    expects = "nothing"
    source = "here"
    licence = "none"
    official: Mapping[str, int] = {"train": 100, "test": 7}

    def __init__(self, folder: Path, train: int = 100, test: int = 7, width: int = 3) -> None:
        super().__init__(folder)
        self.sizes = {"train": train, "test": test}
        self.width = width
        self.broken: set[int] = set()
        self.reads: list[tuple[str, int]] = []

    @classmethod
    def recognise(cls, folder: Path) -> bool:
        return True

    def counts(self) -> Mapping[str, int]:
        return self.sizes

    def arrays(self) -> Mapping[str, Array]:
        return {
            "image": Array("uint8", (3, 2, self.width), "planar RGB"),
            "class": Array("int8", (), "class", 0, 39, -1),
        }

    def read(self, split: str, index: int) -> Rows:
        self.reads.append((split, index))
        if index in self.broken and split == "train":
            raise UsageError(f"file '{index}' cannot be read; get it again.")
        image = np.full((3, 2, self.width), index % 256, np.uint8)
        return {"image": image, "class": np.array(index % 40 if index % 7 else -1, np.int8)}


def sound(prepared: Prepared, train: int = 100) -> None:
    for split, count in (("train", train), ("test", 7)):
        arrays = prepared.arrays(split)
        assert arrays["image"].shape == (count, 3, 2, 3)
        assert (arrays["image"][:, 0, 0, 0] == np.arange(count)).all()
        assert arrays["class"].tolist() == [n % 40 if n % 7 else -1 for n in range(count)]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    layout = Numbers(tmp_path)
    prepared = prepare(layout, tmp_path / "out", {"crop": "no"})
    sound(prepared)
    card = json.loads((tmp_path / "out" / MARKER).read_text())
    assert (card["layout"], card["options"], card["splits"]) == (
        "plain",
        {"crop": "no"},
        {"train": 100, "test": 7},
    )
    assert {f.status for f in prepared.verify()} == {"ok"}
    assert str(tmp_path) not in json.dumps(card)
    assert (
        sorted(path.name for path in (tmp_path / "out").iterdir() if path.suffix == ".part") == []
    )
    prepared.arrays("train")["image"][0] = 1
    sound(prepared)


def test_a_second_call_reads_nothing(tmp_path: Path) -> None:
    prepare(Numbers(tmp_path), tmp_path / "out")
    again = Numbers(tmp_path)
    sound(prepare(again, tmp_path / "out"))
    assert again.reads == []
    with pytest.raises(UsageError, match="prepared in another way; delete it"):
        prepare(Numbers(tmp_path), tmp_path / "out", {"size": "8x8"})


def test_a_conversion_goes_on_where_it_stopped(tmp_path: Path) -> None:
    first = Numbers(tmp_path)
    first.broken = {90}
    with pytest.raises(UsageError, match="file '90' cannot be read"):
        prepare(first, tmp_path / "out")
    with pytest.raises(UsageError, match="'numbers' is half prepared in"):
        Prepared.open(tmp_path / "out", "numbers")
    second = Numbers(tmp_path)
    sound(prepare(second, tmp_path / "out"))
    assert min(index for split, index in second.reads if split == "train") == 64
    assert {f.status for f in Prepared.open(tmp_path / "out", "numbers").verify()} == {"ok"}


def test_a_process_that_is_killed_leaves_what_the_next_one_completes(tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from auxbench.data.prepared.convert import prepare\n"
        "from tests.unit.test_prepared import Numbers\n"
        "class Killed(Numbers):\n"
        "    def read(self, split, index):\n"
        "        if (split, index) == (sys.argv[2], int(sys.argv[3])): os._exit(9)\n"
        "        return super().read(split, index)\n"
        "folder = Path(sys.argv[1])\n"
        "prepare(Killed(folder), folder / 'out')\n"
    )
    for split, index in (("train", 0), ("train", 10), ("train", 70), ("test", 4)):
        words = [sys.executable, "-c", code, str(tmp_path), split, str(index)]
        assert subprocess.run(words, check=False, capture_output=True).returncode == 9
        assert not (tmp_path / "out" / MARKER).exists()
        with pytest.raises(UsageError, match="is half prepared"):
            recognise(tmp_path / "out")
    last = Numbers(tmp_path)
    sound(prepare(last, tmp_path / "out"))
    assert all(split == "test" for split, _ in last.reads)


def test_rows_after_the_last_entry_of_the_journal_are_not_trusted(tmp_path: Path) -> None:
    first = Numbers(tmp_path)
    first.broken = {90}
    with pytest.raises(UsageError):
        prepare(first, tmp_path / "out")
    part = tmp_path / "out" / "train-image.npy.part"
    with part.open("ab") as file:
        file.write(b"half a row")
    sound(prepare(Numbers(tmp_path), tmp_path / "out"))


def test_part_files_that_are_gone_are_written_anew(tmp_path: Path) -> None:
    first = Numbers(tmp_path)
    first.broken = {90}
    with pytest.raises(UsageError):
        prepare(first, tmp_path / "out")
    (tmp_path / "out" / "train-class.npy.part").unlink()
    second = Numbers(tmp_path)
    sound(prepare(second, tmp_path / "out"))
    assert ("train", 0) in second.reads


def test_a_crash_between_the_last_names_costs_nothing(tmp_path: Path) -> None:
    prepared = prepare(Numbers(tmp_path), tmp_path / "out")
    head = {k: v for k, v in prepared.card.items() if k not in ("files", "auxbench")}
    done = {"train": 100, "test": 7}
    journal = {"head": head, "from": str(tmp_path.resolve()), "done": done}
    (tmp_path / "out" / MARKER).unlink()
    (tmp_path / "out" / JOURNAL).write_text(json.dumps(journal))
    name = tmp_path / "out" / "train-image.npy"
    name.rename(name.with_name(f"{name.name}.part"))
    again = Numbers(tmp_path)
    sound(prepare(again, tmp_path / "out"))
    assert again.reads == []


def test_another_source_starts_anew(tmp_path: Path) -> None:
    first = Numbers(tmp_path)
    first.broken = {90}
    with pytest.raises(UsageError):
        prepare(first, tmp_path / "out")
    second = Numbers(tmp_path, train=80)
    sound(prepare(second, tmp_path / "out"), 80)
    assert ("train", 0) in second.reads


def test_damage_is_found(tmp_path: Path) -> None:
    prepared = prepare(Numbers(tmp_path), tmp_path / "out")
    path = tmp_path / "out" / "train-image.npy"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"\xff")
    wrong = [f for f in prepared.verify() if f.status == "wrong"]
    assert [(f.subject, f.detail) for f in wrong] == [
        ("train-image.npy", "sha256 is not the recorded one")
    ]
    path.write_bytes(whole[:-1])
    with pytest.raises(UsageError, match=r"is damaged .its size is not the recorded one.; delete"):
        prepared.arrays("train")
    path.unlink()
    with pytest.raises(UsageError, match=r"is damaged .No such file or directory.; delete"):
        prepared.arrays("train")


def test_a_wrong_card_is_refused(tmp_path: Path) -> None:
    prepare(Numbers(tmp_path), tmp_path / "out")
    marker = tmp_path / "out" / MARKER
    with pytest.raises(UsageError, match="holds 'numbers', not 'nyuv2'"):
        Prepared.open(tmp_path / "out", "nyuv2")
    with pytest.raises(UsageError, match="from the layout 'plain', not 'mtan'; say numbers:layout"):
        Prepared.open(tmp_path / "out", "numbers", "mtan")
    with pytest.raises(UsageError, match="has no split 'validation'; it has train, test"):
        Prepared.open(tmp_path / "out").arrays("validation")
    marker.write_text(marker.read_text().replace('"format": 1', '"format": 0'))
    with pytest.raises(UsageError, match="has format '0', not 1; delete it"):
        Prepared.open(tmp_path / "out", "numbers")
    marker.write_text("{")
    with pytest.raises(UsageError, match="cannot be read"):
        Prepared.open(tmp_path / "out", "numbers")


def test_an_empty_split_and_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"split 'test' in .* is empty"):
        prepare(Numbers(tmp_path, test=0), tmp_path / "out")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot hold the prepared data"):
        prepare(Numbers(tmp_path), tmp_path / "file")


@pytest.mark.skipif(sys.platform == "win32", reason="no such locks")
def test_two_processes_do_not_write_one_folder(tmp_path: Path) -> None:
    import fcntl

    (tmp_path / "out").mkdir()
    with (tmp_path / "out" / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match="is being prepared by another process; wait"):
            prepare(Numbers(tmp_path), tmp_path / "out")


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (np.array(40, np.int8), "value 40 is outside 0..39"),
        (np.array(-2, np.int8), "value -2 is outside 0..39"),
        (np.array(1, np.int16), "dtype int16 is not int8"),
        (np.array([1], np.int8), r"shape \(1,\) is not \(\)"),
    ],
)
def test_values_out_of_range_are_refused(
    tmp_path: Path, value: np.ndarray[tuple[int, ...], np.dtype[np.int8]], fault: str
) -> None:
    class Wrong(Numbers):
        def read(self, split: str, index: int) -> Rows:
            return {**super().read(split, index), "class": value}

    with pytest.raises(UsageError, match=f"class of 'train sample 0' in .* is wrong .{fault}.;"):
        prepare(Wrong(tmp_path), tmp_path / "out")


def test_a_check_decodes_a_few_samples_or_all(tmp_path: Path) -> None:
    layout = Numbers(tmp_path, train=50)
    layout.broken = {20}
    few = list(check(layout))
    assert [f.detail for f in few if f.status == "note"] == [
        "50 samples, where the published one has 100"
    ]
    assert not any(f.status == "wrong" for f in few)
    every = list(check(layout, every=True))
    assert [f.subject for f in every if f.status == "wrong"] == ["train sample 20"]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not tell")
def test_reading_does_not_take_the_memory_of_the_split(tmp_path: Path) -> None:
    layout = Numbers(tmp_path, train=1000, width=10_000)  # 60 MB
    arrays = prepare(layout, tmp_path / "out").arrays("train")
    arrays["image"][:8].sum()
    before = _private_kilobytes()
    for start in range(0, 1000, 8):
        rows = arrays["image"][np.arange(start, start + 8)]
        assert (rows[:, 0, 0, 0] == np.arange(start, start + 8) % 256).all()
    assert _private_kilobytes() - before < 10_000


def _private_kilobytes() -> int:
    """Memory of this process that no file stands behind: mapped pages are the system's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))


def test_a_name_lies_in_the_cache_and_a_path_is_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUXBENCH_CACHE", str(tmp_path))
    assert place("nyuv2-mtan") == tmp_path / "nyuv2-mtan"
    assert place("./here") == Path("here")
    assert place(str(tmp_path / "x")) == tmp_path / "x"


# ---- the compact types


def test_depths_come_back_to_within_an_eighth_of_a_millimetre() -> None:
    metres = np.linspace(0.001, 16.38, 10_000, dtype=np.float32).reshape(100, 100)
    back = depths(depth_steps(metres)[None])[0, 0].numpy()
    assert abs(back - metres).max() < 0.000126
    assert (back > 0).all()
    nothing = np.array([[0, -1, np.nan, np.inf]], np.float32)
    assert not depth_steps(nothing).any()
    with pytest.raises(ValueError, match=r"a depth of 16.5 m is out of range"):
        depth_steps(np.array([[16.5]]))


def test_normals_in_eight_bits_cost_a_score_nothing() -> None:
    rng = np.random.default_rng(0)
    exact = rng.normal(size=(300, 300, 3))
    exact /= np.linalg.norm(exact, axis=-1, keepdims=True)
    coarse = normals(normal_steps(exact, "rdf")[None])[0].permute(1, 2, 0).double().numpy()

    def angles(first: object, second: object) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        a, b = np.asarray(first), np.asarray(second)
        cosine = (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
        return np.degrees(np.arccos(cosine.clip(-1, 1)))

    assert angles(exact, coarse).max() < 0.4
    guess = exact + 0.2 * rng.normal(size=exact.shape)
    assert angles(guess, exact).mean() > 10
    assert abs(angles(guess, exact).mean() - angles(guess, coarse).mean()) < 0.01
    short = np.array([[[0.0, 0.0, 0.0], [0.2, 0, 0], [np.nan, 0, 1]]])
    assert not normal_steps(short, "rdf").any()


def test_axis_orders() -> None:
    assert house(np.array([1.0, 2.0, 3.0]), "fdr").tolist() == [3.0, 2.0, 1.0]
    assert house(np.array([1.0, 2.0, 3.0]), "lub").tolist() == [-1.0, -2.0, -3.0]
    assert is_order("rfu")
    assert not any(is_order(order) for order in ("rfx", "rr", "rlu", "rfud", ""))


def test_pictures_are_normalised_as_pretrained_networks_expect() -> None:
    image = np.zeros((1, 3, 2, 2), np.uint8)
    image[0, 0] = 255
    red, green, blue = pictures(image)[0, :, 0, 0].tolist()
    assert (red, green, blue) == pytest.approx(
        ((1 - 0.485) / 0.229, -0.456 / 0.224, -0.406 / 0.225), rel=1e-5
    )
    assert picture(np.zeros((4, 6, 3), np.uint8), (2, 3)).shape == (3, 2, 3)


def test_responses_end_at_one() -> None:
    steps = np.array([[[0, 6554, 65535]]], np.uint16)
    assert responses(steps, 0.2).flatten().tolist() == pytest.approx([0, 0.5, 1], abs=1e-4)


def test_a_size_is_height_by_width() -> None:
    assert parse_size("288x384") == (288, 384)
    for text in ("288", "ax3", "4x9", "8x8x8", "-9x9"):
        with pytest.raises(UsageError, match=f"size '{text}'"):
            parse_size(text)


def test_a_file_that_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n")
    with pytest.raises(UsageError, match=r"x.png' cannot be read \(.*\); get it again\.$"):
        read_image(tmp_path / "x.png", "RGB")
