"""Figures: their numbers are those of the tables, their texts have room, their files repeat."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import zlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from auxbench.cli.main import auxbench
from auxbench.errors import UsageError
from auxbench.records.store import Store
from auxbench.report.figure.content import Content, content
from auxbench.report.figure.gallery import FIGURES, points_of, sheets
from auxbench.report.figure.place import Places
from auxbench.report.page.detail import Detail
from auxbench.report.page.document import document
from auxbench.report.page.look import MARKS, colours, looks
from auxbench.stats import frame
from tests.unit._records import record

matplotlib = pytest.importorskip("matplotlib")

from matplotlib.figure import Figure  # noqa: E402
from matplotlib.text import Text  # noqa: E402

from auxbench.report.figure.sheet import SHAPES, drawing  # noqa: E402

LONG = "auxnas+nashmtl:update_every=10"
CHAINS = ["single", "hps", LONG, "mtan:width=2+cagrad:c=0.4", "auxnas+gradnorm:alpha=0.5+pcgrad"]
RULES = "sum static logsum uw dwa rlw gradnorm famo gls imtll stch mgda pcgrad pripcgrad gradvac"
RULES += " graddrop cagrad imtlg fairgrad alignedmtl upgrad config dbmtl gcs olaux arml metabalance"
RULES += " auxnas mtan nddr maxl auxg crossstitch autolambda auxilearn"
BY_PROBLEM = ["forest", "cost", "curves", "links", "weights"]
NAMES = [*CHAINS, *RULES.split()]
SLOW = pytest.mark.slow
TOUCH = 0.5  # pixels at 300 dpi that boxes may share


def looked(method: str, seed: int, primary: dict[str, Any], number: int) -> list[dict[str, Any]]:
    found = []
    for look in range(1, 8):
        score = {**primary, "split": "validation", "value": 40 - 20 / look + seed / 7}
        one: dict[str, Any] = {"step": 500 * look, "scores": [score], "scalars": {}, "traces": {}}
        if number % 3 == 0:
            one["scalars"] = {"weight/segmentation": 1.0, "weight/depth": (1 + number) / look}
        if method.startswith("auxnas"):
            one["traces"] = {
                f"links/{way}/{task}": [0.5 / look, 0.1]
                for way in ("a2p", "p2a")
                for task in ("depth", "normals")
            }
        found.append(one)
    return found


def recorded(count: int, problems: int, seeds: int = 6) -> Iterator[dict[str, Any]]:
    rng = random.Random(count)
    places = ("rooms:train=200", "rooms:train=1000", "nyuv2", "cityscapes", "taskonomy")
    for dataset in places[:problems]:
        data = [rng.gauss(0, 0.8) for _ in range(seeds)]
        for number, method in enumerate(NAMES[:count]):
            effect = 0.0 if method == "single" else rng.gauss(0.6, 1.5)
            for seed in range(seeds):
                value = 45 + data[seed] + effect + rng.gauss(0, 0.4)
                one = record(method, seed, value, dataset=dataset)
                one["training"]["flops"] = int(2e12 * (1 if number == 0 else 1.3 + number % 6))
                one["inference"]["macs"] = int(1.5e8 * (1 + 0.3 * (number % 4)))
                one["curve"] = looked(method, seed, one["primary"], number)
                yield one


def content_of(records: list[dict[str, Any]], *methods: str, **more: Any) -> Content:
    details = {one["id"]: Detail.of(one) for one in records}
    return content(frame(records), details, methods, **more)


@pytest.fixture(scope="module")
def dozen() -> list[dict[str, Any]]:
    return list(recorded(12, 2))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, dozen: list[dict[str, Any]]) -> Path:
    results = tmp_path_factory.mktemp("figures") / "results"
    Store(results).extend(dozen)
    return results


def run(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(auxbench, ["plot", *words, "--results", str(folder)])


def complaint(folder: Path, *words: str) -> str:
    result = run(folder, *words)
    assert isinstance(result.exception, UsageError), result.output
    return str(result.exception)


def touching(figure: Figure) -> list[str]:
    """The texts that touch each other or stick out of the paper."""
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    boxes = []
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        if text.get_visible() and text.get_text().strip():
            boxes.append((text.get_text(), text.get_window_extent(renderer)))
    assert boxes
    wide, tall = figure.bbox.width, figure.bbox.height
    found = [
        f"{name!r} sticks out"
        for name, box in boxes
        if box.x0 < -TOUCH or box.y0 < -TOUCH or box.x1 > wide + TOUCH or box.y1 > tall + TOUCH
    ]
    for (one, a), (other, b) in combinations(boxes, 2):
        across = min(a.x1, b.x1) - max(a.x0, b.x0)
        down = min(a.y1, b.y1) - max(a.y0, b.y0)
        if across > TOUCH and down > TOUCH:
            found.append(f"{one!r} touches {other!r}")
    return found


@pytest.mark.parametrize("width", ["column", "page"])
@pytest.mark.parametrize(("count", "problems"), [(3, 1), (12, 2), pytest.param(40, 5, marks=SLOW)])
def test_no_text_touches_another(count: int, problems: int, width: str) -> None:
    shown = content_of(list(recorded(count, problems)))
    assert len(shown.marks) == count
    across = ["heat"] if problems > 1 else []
    with drawing():
        alone = sheets(replace(shown, places=shown.places[:1]), BY_PROBLEM, points_of(width))
        together = sheets(shown, [*across, *(["ranks"] if count == 40 else [])], points_of(width))
        every = [*alone, *(together if across else ())]
        drawn = {stem: touching(sheet.figure) for stem, sheet in every}
    assert drawn == {kind: [] for kind in drawn}
    assert len(drawn) == 5 + len(across) + (count == 40)


@pytest.mark.parametrize(
    "times", [10, 100_000, *(pytest.param(t, marks=SLOW) for t in (2, 60, 900))]
)
def test_the_last_label_of_an_axis_has_room(times: int) -> None:
    records = list(recorded(3, 1))
    for one in records:
        if one["run"]["method"] == LONG:
            one["training"]["flops"] = int(2e12 * times * 0.9)
    shown = content_of(records)
    with drawing():
        for width in ("column", "page"):
            ((_, sheet),) = sheets(shown, ["cost"], points_of(width))
            assert touching(sheet.figure) == []


def test_a_text_that_touches_another_is_seen() -> None:
    with drawing():
        figure = Figure(figsize=(2, 2), dpi=300)
        matplotlib.backends.backend_agg.FigureCanvasAgg(figure)
        figure.text(0.5, 0.5, "one")
        figure.text(0.55, 0.5, "other")
        figure.text(0.95, 0.1, "beyond")
        assert len(touching(figure)) == 2


def test_every_name_is_in_every_figure_of_all_methods(dozen: list[dict[str, Any]]) -> None:
    shown = content_of(dozen)
    with drawing():
        for stem, sheet in sheets(shown, ["forest", "heat", "cost"], points_of("column")):
            words = [t.get_text() for t in sheet.figure.findobj(Text) if isinstance(t, Text)]
            names = {word.replace("\n", "") for word in words}
            control = {"single"} if stem.startswith("cost") else set()
            wanted = (set(NAMES[:12]) - {"single"}) | control
            assert wanted <= names, stem


def compared(folder: Path, *words: str) -> list[dict[str, Any]]:
    words = ("compare", "--control", "single", "--format", "json", *words)
    result = CliRunner().invoke(auxbench, [*words, "--results", str(folder)])
    rows: list[dict[str, Any]] = json.loads(result.output)
    return rows


def test_the_forest_has_the_numbers_of_compare(folder: Path, dozen: list[dict[str, Any]]) -> None:
    rows = compared(folder)
    shown = content_of(dozen)
    with drawing():
        drawn = [sheet for _, sheet in sheets(shown, ["forest"], points_of("column"))]
    assert len(drawn) == 2
    for place, sheet in zip(shown.places, drawn, strict=True):
        (axes,) = sheet.figure.axes
        means = {str(m.get_label()): m.get_xdata()[0] for m in axes.lines}
        ends = {tuple(line.get_xdata()) for line in axes.lines if len(line.get_xdata()) == 2}
        hollow = {str(m.get_label()) for m in axes.lines if m.get_markerfacecolor() == "#ffffff"}
        found = [row for row in rows if row["problem"] == place.name]
        assert len(found) == 11
        for row in found:
            assert means[row["method"]] == row["difference"]
            assert (row["low"], row["high"]) in ends
            assert (row["method"] in hollow) == (row["verdict"] == "undecided")


def test_heat_and_cost_have_the_numbers_of_the_tables(
    folder: Path, dozen: list[dict[str, Any]]
) -> None:
    rows = {(row["problem"], row["method"]): row for row in compared(folder)}
    result = CliRunner().invoke(
        auxbench, ["leaderboard", "--format", "json", "--results", str(folder)]
    )
    flops = {(r["problem"], r["method"]): r["train_flops"] for r in json.loads(result.output)}
    shown = content_of(dozen)
    with drawing():
        (heat,) = [sheet for _, sheet in sheets(shown, ["heat"], points_of("page"))]
        costs = [sheet for _, sheet in sheets(shown, ["cost"], points_of("page"))]
    texts = [t.get_text() for t in heat.figure.findobj(Text) if isinstance(t, Text)]
    signs = {"better": " ▲", "worse": " ▼", "equivalent": " =", "undecided": ""}
    for row in rows.values():
        number = f"{row['difference']:+.2f}".replace("-", "−")
        assert f"{number}{signs[row['verdict']]}" in texts
    for place, sheet in zip(shown.places, costs, strict=True):
        base = flops[place.name, "single"]
        points = {str(m.get_label()): m for m in sheet.figure.axes[0].lines}
        for method in NAMES[1:12]:
            (x,), (y,) = points[method].get_xdata(), points[method].get_ydata()
            assert x == pytest.approx(flops[place.name, method] / base)
            assert y == rows[place.name, method]["difference"]


def test_a_point_is_dominated_only_if_the_decision_says_so(dozen: list[dict[str, Any]]) -> None:
    from auxbench.report.scored import ScoredProblem
    from auxbench.stats.runs import problems

    shown = content_of(dozen)
    seen = set()
    for place, runs in zip(shown.places, problems(frame(dozen)), strict=True):
        scored, cost = ScoredProblem.of(runs), {n: r["train_flops"] for n, r in place.board.items()}
        apart = scored.apart(list(place.board))
        for name, by in place.front("train_flops").items():
            better = [
                other
                for other in place.board
                if apart.get((other, name)) and cost[other] <= cost[name]
            ]
            assert (by is None) == (not better)
            assert by is None or by in better
            seen.add(by is None)
    assert seen == {True, False}


def test_costs_that_were_not_counted_and_seconds_of_busy_machines_are_told() -> None:
    records = list(recorded(4, 1))
    for one in records:
        one["environment"] = {"device_name": "A", "threads": 2}
        if one["run"]["method"] == "hps":
            one["training"] |= {"flops": 0, "waiting_seconds": 9.0}
    shown = content_of(records)
    with drawing():
        ((_, flops),) = sheets(shown, ["cost"], points_of("column"))
        ((_, seconds),) = sheets(shown, ["cost"], points_of("column"), "train_seconds")
    labels = [[str(line.get_label()) for line in s.figure.axes[0].lines] for s in (flops, seconds)]
    assert "hps" not in labels[0] and LONG in labels[0] and "hps" in labels[1]
    told = [" ".join(t.get_text() for t in s.figure.findobj(Text)) for s in (flops, seconds)]  # type: ignore[attr-defined]
    assert "was busy" not in told[0]
    assert "in runs of 1 of 4 methods" in told[1]


def test_declared_comparisons_are_a_family_of_their_own_below_a_figure(
    dozen: list[dict[str, Any]],
) -> None:
    shown = content_of(dozen, declared={("hps", "single"): 0})
    with drawing():
        (_, sheet), *_ = sheets(shown, ["forest"], points_of("page"))
    text = " ".join(t.get_text() for t in sheet.figure.findobj(Text))  # type: ignore[attr-defined]
    assert "the 2 declared comparisons together, and for the 20 others together (Holm)" in text


def test_curves_links_and_weights_are_those_of_the_page(dozen: list[dict[str, Any]]) -> None:
    details = {one["id"]: Detail.of(one) for one in dozen}
    page = document(frame(dozen), details)
    shown = content_of(dozen)
    with drawing():
        for kind in ("curves", "links", "weights"):
            drawn = [sheet for _, sheet in sheets(shown, [kind], points_of("page"))]
            for problem, sheet in zip(page["problems"], drawn, strict=True):
                every = [known for known in problem["lines"] if known]
                lines = [line for axes in sheet.figure.axes for line in axes.lines]
                wanted = {
                    "curves": [known["m"] for known in every],
                    "links": [b for k in every for bs in k.get("links", {}).values() for b in bs],
                    "weights": [w for k in every for w in k.get("weights", {}).values()],
                }[kind]
                assert len(lines) >= 4
                for line in lines:
                    values = [float(value) for value in line.get_ydata()]
                    constant = len(set(values)) == 1 and values[0] in wanted
                    assert values in wanted or constant


def test_ranks_are_those_of_the_diagram(tmp_path: Path) -> None:
    records = list(recorded(4, 5, 5))
    Store(tmp_path).extend(records)
    words = ["compare", "--control", "single", "--diagram", "--format", "json"]
    result = CliRunner().invoke(auxbench, [*words, "--results", str(tmp_path)])
    rows = {r["method"]: r["rank"] for r in json.loads(result.output)}
    with drawing():
        ((_, sheet),) = sheets(content_of(records), ["ranks"], points_of("column"))
    found = {str(line.get_label()): line.get_xdata()[0] for line in sheet.figure.axes[0].lines}
    assert {name: found[name] for name in NAMES[:4]} == {name: rows[name] for name in NAMES[:4]}


def test_methods_look_the_same_in_figures_and_on_the_page(dozen: list[dict[str, Any]]) -> None:
    page = document(frame(dozen), {one["id"]: Detail.of(one) for one in dozen})
    shown = content_of(dozen, "hps", LONG)
    known = looks(NAMES[:12])
    assert page["looks"] == known
    for name, (colour, mark) in known.items():
        assert shown.marks[name].colour == colours()[f"c{colour}"]
        assert shown.marks[name].shape == SHAPES[mark]
    assert len(set(looks(NAMES).values())) == len(NAMES)  # as long as there are pairs left
    assert set(SHAPES) == set(MARKS)


def test_a_selection_shows_less_and_decides_the_same(folder: Path, tmp_path: Path) -> None:
    result = run(folder, "forest", "--methods", f"hps,{LONG}", "--dataset", "rooms:train=200",
                 "--out", str(tmp_path / "one.svg"))  # fmt: skip
    assert result.exit_code == 0, result.output
    assert result.output == f"wrote {tmp_path / 'one.svg'}\n"
    records = Store(folder).runs()
    within = {record["run"]["dataset"]: None for record in records}
    names = {str(name) for name in frame(records)["problem"] if "train=200" in str(name)}
    assert len(within) == 2
    assert len(names) == 1
    chosen = content_of(records, "hps", LONG, within=names)
    every = content_of(records)
    assert list(chosen.places[0].compared) == [n for n in chosen.places[0].board if n != "single"]
    assert set(chosen.places[0].compared) == {"hps", LONG}
    for name, row in chosen.places[0].compared.items():
        assert {**row, "place": ""} == {**every.places[0].compared[name], "place": ""}
    assert chosen.comparison and every.comparison
    assert chosen.comparison.sizes == every.comparison.sizes
    assert sum(every.comparison.sizes.values()) == 22


@pytest.mark.parametrize("style", ["png", "pdf", "svg"])
def test_files_are_the_same_in_one_process(folder: Path, tmp_path: Path, style: str) -> None:
    texts = []
    for name in ("one", "other"):
        out = tmp_path / f"{name}.{style}"
        run(folder, "forest", "--dataset", "rooms:train=200", "--methods", "hps", "--out", str(out))
        texts.append(out.read_bytes())
    assert texts[0] == texts[1]
    assert not re.search(rb"CreationDate|ModDate|<dc:date>|tEXt", texts[0])


@SLOW
@pytest.mark.parametrize("style", ["png", "pdf", "svg"])
def test_files_are_the_same_each_time(folder: Path, tmp_path: Path, style: str) -> None:
    texts = []
    for hashes in ("1", "2"):
        out = tmp_path / f"{hashes}.{style}"
        words = ["plot", "cost", "--dataset", "rooms:train=200", "--out", str(out)]
        subprocess.run(
            [sys.executable, "-m", "auxbench", *words, "--results", str(folder)],
            env={**os.environ, "PYTHONHASHSEED": hashes},
            check=True,
            capture_output=True,
        )
        texts.append(out.read_bytes())
    assert texts[0] == texts[1]


def test_fonts_are_in_the_file(folder: Path, tmp_path: Path) -> None:
    run(folder, "forest", "--dataset", "rooms:train=200", "--out", str(tmp_path / "a.pdf"))
    text = (tmp_path / "a.pdf").read_bytes()
    assert b"/FontFile2" in text  # TrueType
    assert b"/Type3" not in text
    names = re.findall(rb"/BaseFont /([\w+-]+)", text)
    assert names
    assert all(re.match(rb"[A-Z]{6}\+DejaVuSans", name) for name in names)  # a subset of it
    run(folder, "forest", "--dataset", "rooms:train=200", "--out", str(tmp_path / "a.svg"))
    svg = (tmp_path / "a.svg").read_text("utf-8")
    assert "<text" not in svg  # outlines, which need no font
    assert "font-family" not in svg


def test_sizes_are_those_that_were_asked_for(folder: Path, tmp_path: Path) -> None:
    for words, wide in (((), 84), (("--width", "page"), 174), (("--width", "120"), 120)):
        out = tmp_path / "a.svg"
        few = ("--methods", "hps", "--dataset", "rooms:train=200")
        run(folder, "forest", *few, "--out", str(out), *words)
        found = re.search(r'<svg [^>]*width="([\d.]+)pt"', out.read_text("utf-8"))
        assert found
        assert float(found[1]) / 72 * 25.4 == pytest.approx(wide, abs=0.01)


def test_all_figures_go_into_a_folder(folder: Path, tmp_path: Path) -> None:
    words = ("--methods", f"single,hps,{LONG}", "--format", "png", "--bare")
    result = run(folder, "--out", str(tmp_path / "figures"), *words)
    assert result.exit_code == 0, result.output
    names = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert "heat.png" in names
    assert "forest-rooms-train-200-segmentation.png" in names
    assert [line.removeprefix("wrote ") for line in sorted(result.stdout.splitlines())] == [
        str(tmp_path / "figures" / name) for name in names
    ]
    for path in (tmp_path / "figures").iterdir():
        assert zlib.crc32(path.read_bytes()[:8]) == zlib.crc32(b"\x89PNG\r\n\x1a\n")


def test_bare_figures_have_no_notes(dozen: list[dict[str, Any]]) -> None:
    texts = {}
    with drawing():
        for bare in (False, True):
            shown = content_of(dozen, bare=bare)
            ((_, sheet), *_) = sheets(shown, ["forest"], points_of("column"))
            texts[bare] = " ".join(
                t.get_text() for t in sheet.figure.findobj(Text) if isinstance(t, Text)
            )
    assert "(Holm)" in texts[False]
    assert "Holm" not in texts[True]


def test_mistakes_are_told_in_one_line(folder: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "a.pdf")
    assert complaint(folder, "forrest") == "no figure is called 'forrest'; did you mean 'forest'?"
    assert "there are 2 figures" in complaint(folder, "forest", "--out", out)
    assert "unknown format" in complaint(folder, "heat", "--out", str(tmp_path / "a.eps"))
    assert "is not called .png" in complaint(folder, "heat", "--out", out, "--format", "png")
    assert "width 'huge' is impossible" in complaint(folder, "heat", "--width", "huge")
    assert "width 'nan' is impossible" in complaint(folder, "heat", "--width", "nan")
    assert "no record has method 'hsp'" in complaint(folder, "heat", "--methods", "hsp")
    assert "no record has method 'uww'" in complaint(folder, "forest", "--control", "uww")
    one = complaint(folder, "heat", "--dataset", "rooms:train=200", "--out", out)
    assert one == "figure 'heat' shows nothing here: it needs two problems."
    assert not (tmp_path / "a.pdf").exists()


def test_without_a_control_what_needs_none_is_drawn(tmp_path: Path) -> None:
    records = [one for one in recorded(3, 1) if one["run"]["method"] == LONG]
    Store(tmp_path / "results").extend(records)
    result = run(tmp_path / "results", "--out", str(tmp_path / "figures"))
    assert result.exit_code == 0, result.output
    assert {path.stem for path in (tmp_path / "figures").iterdir()} == {"curves", "links"}
    assert "not drawn: forest, heat, cost, weights, ranks; name one to see why.\n" in result.output
    assert "no record has method 'single'" in complaint(tmp_path / "results", "forest")


def test_without_matplotlib_one_line_says_what_to_install(folder: Path) -> None:
    code = "import sys; sys.modules['matplotlib'] = None; from auxbench.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "plot", "--results", str(folder)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    fix = "auxbench: figures need the package matplotlib; pip install 'auxbench[plot]'.\n"
    assert done.stderr == fix


def test_other_commands_do_without_matplotlib_and_plot_without_torch(
    folder: Path, tmp_path: Path
) -> None:
    commands = [
        ["plot", "--help"],
        ["report", "--results", str(folder), "--out", str(tmp_path / "a.html")],
        ["plot", "heat", "--results", str(folder), "--out", str(tmp_path / "a.svg")],
    ]
    code = (
        "import sys; from click.testing import CliRunner; from auxbench.cli.main import auxbench\n"
        f"for words in {commands!r}:\n"
        "    CliRunner().invoke(auxbench, words, catch_exceptions=False)\n"
        "    print(sorted({'torch', 'matplotlib'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "[]", "['matplotlib']"]


def test_labels_keep_clear_of_each_other_or_have_no_place() -> None:
    places = Places((0, 0, 30, 30))
    found = [places.find(15, 15, 12, 6) for _ in range(20)]
    boxes = [spot[0] for spot in found if spot]
    assert 0 < len(boxes) < 20
    for one, other in combinations(boxes, 2):
        apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
        assert apart


def test_the_help_names_every_figure() -> None:
    text = CliRunner().invoke(auxbench, ["plot", "--help"]).output
    assert all(name in text for name in FIGURES)
