"""The commands `auxbench data` as a user types them, and fetching and unpacking beneath them."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageDraw

import auxbench as package
from auxbench.cli.data import data
from auxbench.cli.main import auxbench
from auxbench.data import progress as bar
from auxbench.data.dataset import Dataset, make_dataset
from auxbench.data.prepared import recognise as recognising
from auxbench.data.prepared.download import download, unpack
from auxbench.data.prepared.layout import Layout
from auxbench.data.preview import preview
from auxbench.errors import UsageError
from auxbench.spec.registry import DATASETS
from auxbench.tasks import rooms
from auxbench.tasks._rooms.room import SCENES
from auxbench.tasks._rooms.shapes import CLASSES
from tests.unit import _nyuv2 as files


def call(*words: str) -> tuple[int, str]:
    """The exit code and the output; an error of the request is raised as it is."""
    result = CliRunner().invoke(data, list(words), standalone_mode=False)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return int(result.return_value or 0), result.stdout


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUXBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return files.write_mtan(tmp_path_factory.mktemp("mtan") / "nyuv2")


def rows(*words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(call(*words, "--format", "json")[1])
    return found


def ready(name: str, layout: str) -> str:
    found = [row for row in rows("list") if (row["name"], row["layout"]) == (name, layout)]
    return str(found[0]["ready"])


def test_they_are_commands_of_auxbench() -> None:
    assert auxbench.commands["data"] is data
    assert set(data.commands) == {"list", "check", "prepare", "fetch", "show", "report"}


def test_list_names_every_data_set_and_layout() -> None:
    table = rows("list")
    assert {row["name"] for row in table} == set(DATASETS.names())
    layouts = {row["layout"]: row for row in table if row["name"] == "nyuv2"}
    assert set(layouts) == {"official", "mtan", "nddr", "adashare"}
    assert layouts["official"]["expects"] == "nyu_depth_v2_labeled.mat and splits.mat"
    assert all(row["licence"] for row in table)


def test_from_a_folder_to_a_contact_sheet(source: Path, cache: Path, tmp_path: Path) -> None:
    code, text = call("check", str(source))
    assert code == 0
    assert "nyuv2, layout mtan" in text
    code, text = call("prepare", "nyuv2:size=36x48", "--source", str(source))
    assert "6 train, 2 test" in text
    name = "nyuv2-mtan-size-36x48"
    assert f"--dataset nyuv2:layout=mtan:data={name} uses them" in text
    assert (cache / name / "prepared.json").is_file()
    code, text = call("check", str(cache / name))
    assert code == 0
    assert text.count("checksum is right") == 2 * 5
    code, text = call(
        "show", f"nyuv2:data={name}", "--count", "2", "--side", "32", "--out", "a.png"
    )
    with Image.open(tmp_path / "a.png") as page:
        columns = 1 + len(make_dataset(f"nyuv2:data={name}", 32).tasks)
        assert page.size[0] == columns * (4 * 43 + 4), "the whole frame of 3:4, four times as large"
        assert len(page.getcolors(1 << 24) or []) > 20
    call("prepare", "nyuv2:size=36x48", "--source", str(source), "--out", "mine")
    assert ready("nyuv2", "mtan") == f"mine, {name}"
    assert ready("nyuv2", "nddr") == "auxbench data prepare nyuv2"


def test_a_folder_of_two_data_sets_is_asked_about(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Other(Layout):
        dataset = "other"
        name = "same"

        @classmethod
        def recognise(cls, folder: Path) -> bool:
            return True

    known = {"nyuv2": recognising.layouts_of("nyuv2"), "other": (Other,)}
    monkeypatch.setattr(recognising, "names", lambda: list(known))
    monkeypatch.setattr(recognising, "layouts_of", lambda name: known[name])
    with pytest.raises(UsageError, match="looks like nyuv2 and like other; say which"):
        recognising.recognise(source)
    assert recognising.recognise(source, "nyuv2").name == "mtan"


def test_check_says_what_is_wrong_and_where_to_get_it(tmp_path: Path) -> None:
    source = files.write_mtan(tmp_path / "nyuv2")
    np.save(source / "val" / "label" / "1.npy", np.full((288, 384), 13.0))
    code, text = call("check", str(source))
    assert code == 1
    assert "hold the class '13'" in text
    assert "https://github.com/lorenmt/mtan" in text
    assert "Licence: " in text


def test_check_of_a_damaged_prepared_form(source: Path, cache: Path) -> None:
    call("prepare", "nyuv2:size=36x48", "--source", str(source), "--out", "x")
    path = cache / "x" / "test-depth.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    code, text = call("check", str(cache / "x"))
    assert code == 1
    assert "sha256 is not the recorded one" in text


def test_nothing_but_batches_needs_torch(source: Path, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from auxbench.cli.data import data\n"
        "source, out = sys.argv[1:]\n"
        "for words in (['list'], ['check', source], ['prepare', 'nyuv2:size=36x48', '--source',\n"
        "              source, '--out', out], ['check', out]):\n"
        "    data(words, standalone_mode=False)\n"
        "assert 'torch' not in sys.modules\n"
    )
    words = [sys.executable, "-c", code, str(source), str(tmp_path / "out")]
    root = str(Path(package.__file__).parents[1])
    paths = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        words, check=False, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths}
    )
    assert done.returncode == 0, done.stderr


def test_an_archive_is_unpacked_for_the_conversion_alone(
    source: Path, cache: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as packed:
        for path in source.rglob("*.npy"):
            packed.write(path, Path("nyuv2") / path.relative_to(source))
    call("prepare", "nyuv2:size=36x48", "--source", "data.zip", "--out", "nyuv2-mtan")
    assert sorted(path.name for path in cache.iterdir()) == ["nyuv2-mtan"]
    maker: Any = DATASETS["nyuv2"]
    data_set = maker(side=32)
    assert len(data_set.samples("test")) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("check", "nowhere"), "folder 'nowhere' does not exist; give the folder"),
        (("check", "."), r"folder '.' has no known layout; it should hold .*\(nyuv2, mtan\)"),
        (("prepare", "nyu", "--source", "."), "no data set is called 'nyu'; did you mean"),
        (("prepare", "rooms", "--source", "."), "auxbench data fetch rooms makes it ready"),
        (("fetch", "nyuv2"), "may not be fetched for you .*then auxbench data prepare nyuv2"),
        (("show", "toy", "--tiny"), "vectors, not pictures"),
        (("show", "rooms", "--tiny", "--count", "0"), "count is 0; ask for at least 1"),
        (("show", "rooms", "--tiny", "--out", "no/a.png"), "'no/a.png' cannot be written"),
        (("show", "nyuv2"), "'nyuv2' is not prepared in .*; auxbench data prepare nyuv2"),
    ],
)
def test_mistakes_are_one_line(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        call(*words)
    assert "\n" not in str(caught.value)


def test_an_unknown_option_of_a_layout_is_refused(source: Path) -> None:
    with pytest.raises(UsageError, match="'mtan' has no option 'sise'; did you mean 'size'"):
        call("prepare", "nyuv2:sise=36x48", "--source", str(source))


def test_fetch_makes_ready_what_needs_no_files(cache: Path) -> None:
    _, text = call("fetch", "rooms:train=2:validation=1:test=1:side=16")
    assert text.startswith("rooms is ready")
    assert any(path.name.startswith("rooms-") for path in cache.iterdir())


@pytest.mark.parametrize("name", ["rooms", "elpv", "nyuv2", "cifar100", "taskonomy"])
@pytest.mark.parametrize("augment", [False, True])
def test_a_sheet_has_a_column_per_task(name: str, augment: bool) -> None:
    made = DATASETS[name].tiny()
    made.prepare()
    page = preview(made, "train", 2, augment)
    assert page.width % (1 + len(made.tasks)) == 0
    left = np.asarray(page)[28:100, :90]
    assert left.std() > 5


def test_what_has_no_label_is_dark_on_a_sheet() -> None:
    made = DATASETS["nyuv2"].tiny()
    page = np.asarray(preview(made, "train", 1))
    width = page.shape[1] // (1 + len(made.tasks))
    batch = made.samples("train").batch(np.array([0]), None)
    for column, task in enumerate(("segmentation13", "segmentation40", "depth", "normals"), 1):
        tile = page[28 : 28 + 128, column * width : column * width + 128][::4, ::4]
        dark = (tile == 40).all(-1)
        target = batch.targets[task][0].numpy()
        missing = {"segmentation": target == -1}.get(task[:12])
        if missing is None:
            missing = np.abs(target).sum(0) == 0
        assert (dark == missing).all(), task


def written(made: Dataset, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All lines of text on a sheet of two samples."""
    lines: list[str] = []
    draws = ImageDraw.ImageDraw.text
    monkeypatch.setattr(
        ImageDraw.ImageDraw,
        "text",
        lambda pen, at, text, **others: lines.append(text) or draws(pen, at, text, **others),
    )
    preview(made, "train", 2)
    return lines


def test_a_sheet_names_classes_ranges_and_units(monkeypatch: pytest.MonkeyPatch) -> None:
    made = DATASETS["rooms"].tiny()
    lines = written(made, monkeypatch)
    batch = made.samples("train").batch(np.arange(2), None)
    for row in range(2):
        depth = batch.targets["depth"][row]
        depth = depth[depth > 0]
        assert f"{depth.min():.3g} to {depth.max():.3g} m" in lines
    share = (batch.targets["segmentation"] == CLASSES.index("wall")).double().mean()
    assert f"wall {share:.1%}" in lines
    assert SCENES[int(batch.targets["scene"][1])] in lines
    assert "red x, green y, blue z" in lines


@pytest.mark.parametrize("name", DATASETS.names())
def test_classes_have_as_many_names_as_there_are(name: str) -> None:
    for task in DATASETS[name].tiny().tasks.values():
        assert len(task.kind.names) == (task.kind.classes or len(task.kind.names)), task.name


def test_rooms_draws_what_is_shown_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    real = rooms.draw
    monkeypatch.setattr(
        rooms, "draw", lambda split, *rest: drawn.append(rest[1]) or real(split, *rest)
    )
    call("show", "rooms", "--count", "2", "--side", "24", "--split", "test", "--out", "r.png")
    assert drawn == [2]
    whole, few = rooms.Rooms(side=24, train=3), rooms.Rooms(side=24).first(3)
    assert (few.samples("train").batch(np.arange(3), None).inputs).equal(
        whole.samples("train").batch(np.arange(3), None).inputs
    )


# ---- fetching


class Server(BaseHTTPRequestHandler):
    """A server that knows ranges, counts what it is asked for, and can break off."""

    content: ClassVar[bytes] = bytes(range(256)) * 20_000
    ranges: ClassVar[list[str | None]] = []
    ends_after: ClassVar[int | None] = None
    knows_ranges: ClassVar[bool] = True

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        type(self).ranges.append(asked)
        if self.path != "/file.bin":
            self.send_error(404)
            return
        begin = int(asked[6:-1]) if asked and self.knows_ranges else 0
        if begin >= len(self.content):
            self.send_error(416)
            return
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(self.content) - begin))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(self.content[begin : self.ends_after])

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is said."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name, value in (("ranges", []), ("ends_after", None), ("knows_ranges", True)):
        monkeypatch.setattr(Server, name, value)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with HTTPServer(("127.0.0.1", 0), Server) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/file.bin"
        running.shutdown()
        thread.join()


MD5 = "md5:" + hashlib.md5(Server.content).hexdigest()


def test_a_download_is_checked_and_not_repeated(server: str, tmp_path: Path) -> None:
    target = tmp_path / "new" / "file.bin"
    assert download(server, target, MD5, "try again.").read_bytes() == Server.content
    download(server, target, MD5, "try again.")
    assert Server.ranges == [None]
    assert [path.name for path in target.parent.iterdir()] == ["file.bin"]


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_download_that_broke_off_goes_on(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, knows_ranges: bool
) -> None:
    target = tmp_path / "file.bin"
    monkeypatch.setattr(Server, "ends_after", 3_000_000)
    with pytest.raises(UsageError, match=r"cannot be downloaded .*; try again"):
        download(server, target, MD5, "try again.")
    assert not target.exists()
    monkeypatch.setattr(Server, "ends_after", None)
    monkeypatch.setattr(Server, "knows_ranges", knows_ranges)
    assert download(server, target, MD5, "try again.").read_bytes() == Server.content
    assert Server.ranges == [None, "bytes=3000000-"]


def test_a_part_that_is_whole_already_is_taken(server: str, tmp_path: Path) -> None:
    (tmp_path / "file.bin.part").write_bytes(Server.content)
    assert download(server, tmp_path / "file.bin", MD5, "").read_bytes() == Server.content


def test_another_file_than_expected_is_not_kept(server: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is not the expected file \(wrong checksum\); look at"):
        download(server, tmp_path / "file.bin", "sha256:00", "look at the page.")
    assert list(tmp_path.glob("file*")) == []


def test_a_page_that_is_not_there_is_said(server: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot be downloaded \(Not Found\); look"):
        download(server + "x", tmp_path / "file.bin", MD5, "look at the page.")


# ---- unpacking


def zipped(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return path


def tarred(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as packed:
        for member in members:
            member.size = 3 if member.isfile() else 0
            packed.addfile(member, io.BytesIO(b"abc") if member.isfile() else None)
    return path


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_archives_are_unpacked(tmp_path: Path, kind: str) -> None:
    if kind == "zip":
        archive = zipped(tmp_path / "a.zip", **{"b/c.txt": b"abc", "d.txt": b"abc"})
    else:
        members = (tarfile.TarInfo("b/c.txt"), tarfile.TarInfo("d.txt"))
        archive = tarred(tmp_path / "a.tar.gz", *members)
    folder = unpack(archive, tmp_path / "out")
    found = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.txt")}
    assert found == {"b/c.txt": b"abc", "d.txt": b"abc"}


@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt", "a/../../evil.txt", "..\\evil.txt"])
@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_names_that_lead_out_are_refused(tmp_path: Path, kind: str, name: str) -> None:
    inside = tmp_path / "deep" / "er"
    inside.mkdir(parents=True)
    if kind == "zip":
        archive = zipped(inside / "a.zip", **{"good.txt": b"abc", name: b"abc"})
    else:
        archive = tarred(inside / "a.tar.gz", tarfile.TarInfo("good.txt"), tarfile.TarInfo(name))
    with pytest.raises(UsageError, match=r"is not unpacked, since .* leads out of the folder; get"):
        unpack(archive, inside / "out")
    assert [path.name for path in tmp_path.rglob("*.txt")] == []


def test_links_are_refused(tmp_path: Path) -> None:
    link = tarfile.TarInfo("link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc"
    with pytest.raises(UsageError, match="'link' in it is a link or a device"):
        unpack(tarred(tmp_path / "a.tar.gz", link), tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        member = zipfile.ZipInfo("link")
        member.external_attr = 0o120777 << 16
        packed.writestr(member, "/etc")
    with pytest.raises(UsageError, match="'link' in it is a link or a device"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_archives_cut_short_leave_nothing(tmp_path: Path, name: str) -> None:
    noise = np.random.default_rng(0).bytes(100_000)
    if name == "a.zip":
        archive = zipped(tmp_path / name, x=noise)
    else:
        archive = tmp_path / name
        with tarfile.open(archive, "w:gz") as packed:
            member = tarfile.TarInfo("x")
            member.size = len(noise)
            packed.addfile(member, io.BytesIO(noise))
    archive.write_bytes(archive.read_bytes()[:50_000])
    with pytest.raises(UsageError, match=r"cannot be unpacked .*; get it again"):
        unpack(archive, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]


def test_progress_is_plain_lines_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with bar.bar("counting", 8, done=2) as advance:
        for _ in range(6):
            advance(1)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "counting: 8 samples, 2 samples done already"
    assert [line.split(" after")[0] for line in lines[1:]] == [
        "counting: 4 of 8 samples",
        "counting: 6 of 8 samples",
        "counting: 8 of 8 samples",
    ]
    with bar.bar("planning", 1, unit="cell") as advance:
        advance(1)
    assert capsys.readouterr().err.startswith("planning: 1 cell\nplanning: 1 of 1 cell after")
    with bar.bar("drawing", 2, unit="scenes"):
        pass
    assert capsys.readouterr().err == "drawing: 2 scenes\n"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gone", "folder '{path}' does not exist; give the folder with the data, or an archive"),
        ("gone.zip", "archive '{path}' does not exist; give the folder with the data."),
        (
            "nyu.zip",
            "'{path}' is an archive; auxbench data prepare DATASET --source {path} unpacks",
        ),
        ("labels.mat", "'{path}' is a single file; give the folder that it lies in."),
        ("half", "folder '{path}' is half prepared (3 of 9 samples of nyuv2); run the same"),
    ],
)
def test_a_check_says_what_lies_there(tmp_path: Path, name: str, said: str) -> None:
    for file in ("nyu.zip", "labels.mat"):
        (tmp_path / file).write_bytes(b"x")
    (tmp_path / "half").mkdir()
    journal = {"head": {"dataset": "nyuv2", "splits": {"train": 6, "test": 3}}}
    journal["done"] = {"train": 3, "test": 0}
    (tmp_path / "half" / "prepared.json.part").write_text(json.dumps(journal), encoding="utf-8")
    path = tmp_path / name
    result = CliRunner().invoke(auxbench, ["data", "check", str(path)])
    assert isinstance(result.exception, UsageError)
    assert said.format(path=path) in str(result.exception)


def test_the_command_of_a_check_can_be_pasted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a short path keeps the command on one line
    folder = Path("My Data")
    folder.mkdir()
    lines = ["v:input,w:number", *(f"{row},{row}" for row in range(20))]
    (folder / "samples.csv").write_text("\n".join(lines), encoding="utf-8")
    result = CliRunner().invoke(auxbench, ["data", "check", str(folder)])
    assert "auxbench run --dataset 'folder:data=My Data' uses it." in result.output
