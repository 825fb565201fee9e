"""Records from strangers: whatever a line holds, the others are read and no command ends by it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auxbench.cli.boards import compare, leaderboard, report
from auxbench.cli.lists import show
from auxbench.cli.runs import status
from auxbench.errors import UsageError
from auxbench.execution.progress import Progress
from auxbench.records.store import Store
from auxbench.report.exporters.run import exported
from auxbench.report.tables import Column, Table, render
from auxbench.spec.run import identity
from auxbench.stats.loaded import load
from tests.unit._records import record, study

SOUND = study({"single": [40.0, 41.0], "hps": [42.0, 43.0]})
TRACES = {"links a2p": [[0.1, 0.2], "x", {}, None, 0.5], "links p2a": {"b": 1}}
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**40), 10**40),
    st.floats(),
    st.text(max_size=20),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
)


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything in a tree."""
    found = [path] if path else []
    if isinstance(node, dict | list | tuple):
        children = node.items() if isinstance(node, dict) else enumerate(node)
        for key, child in children:
            found += places(child, (*path, key))
    return found


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, Any]:
    """A record in which something is replaced or missing; its id is made to fit its run."""
    made = json.loads(json.dumps(record("famo", 0, 44.0)))
    made["environment"] = {"threads": 2, "packages": {"torch": "2.6"}, "dirty": False}
    made["provenance"] = {"code": {"methods": {"famo": {"digest": "0"}}}, "data": None, "draw": 0}
    made["schema"] = draw(st.sampled_from([1, 2]))
    for _ in range(draw(st.integers(1, 3))):
        *path, last = draw(st.sampled_from(places(made)))
        node = made
        for key in path:
            node = node[key]
        if isinstance(node, dict) and draw(st.booleans()):
            node.pop(last, None)
        else:
            node[last] = draw(JUNK)
        if not path and last == "id":
            break
    if isinstance(made.get("run"), dict) and draw(st.booleans()):
        made["id"] = identity(made["run"])
    return made


def read(line: str) -> None:
    """Let every command read a folder with a hostile line among sound ones."""
    with TemporaryDirectory() as folder:
        store = Store(folder)
        for one in SOUND:
            store.append(one)
        with store.file.open("a", encoding="utf-8", errors="surrogatepass") as file:
            file.write(line + "\n")
        found = store.records()
        assert {one["id"] for one in SOUND} <= {one["id"] for one in found}
        words = ["--results", folder]
        calls = [
            (leaderboard, words),
            (leaderboard, [*words, "--format", "json"]),
            (leaderboard, [*words, "--paper"]),
            (compare, ["--control", "single", *words]),
            (compare, ["--control", "single", "--matrix", *words]),
            (report, ["--out", f"{folder}/report.html", *words]),
            (status, words),
            *((show, [one["id"], *words]) for one in found[len(SOUND) :]),
        ]
        for command, given_words in calls:
            try:
                CliRunner().invoke(
                    command, given_words, catch_exceptions=False, standalone_mode=False
                )
            except UsageError as error:
                assert "\n" not in str(error)
        loaded = load(folder)
        assert len(list(exported(store.runs(), loaded.runs))) >= len(SOUND)
        assert loaded.curves["value"].dtype.kind in "fiO"
        assert all(isinstance(value, float | int | None) for value in loaded.curves["value"])


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(damaged())
def test_a_damaged_record_ends_no_command(made: dict[str, Any]) -> None:
    read(json.dumps(made))


def test_numbers_in_the_place_of_a_word_are_read() -> None:
    made = json.loads(json.dumps(record("famo", 0, 44.0)))
    made["run"]["recipe"]["optimizer"] = [0]
    made["id"] = identity(made["run"])
    read(json.dumps(made))


@pytest.mark.parametrize(
    "line",
    [
        "[" * 100_000,
        '{"id": "a", "run": ' + "[" * 50_000 + "]" * 50_000 + "}",
        '{"id": "a", "status": "done"}',
        '{"id": "a", "schema": 1e400}',
        '{"id": "a", "schema": {}}',
        '{"id": "a", "schema": 0}',
        '{"id": "a", "schema": 10000000000000000000000000000000}',
        "\ud800",
        "null",
        "NaN",
        '"text"',
        '{"id": ["a"]}',
        '{"id": "../../../etc/passwd"}',
        "\x00" * 1000,
    ],
)
def test_lines_that_were_meant_to_end_a_command(line: str) -> None:
    read(line)


@pytest.mark.parametrize(
    "part",
    [
        {"provenance": {"code": {"methods": {}, "something": "else"}, "data": None}},
        {"curve": [{"scores": [], "scalars": {"loss/depth": 1.0}}]},
        {"curve": [{"step": 1, "scores": [], "scalars": {"loss/depth": "1"}, "traces": {"a": 1}}]},
        {"curve": [{"step": 1, "scores": [record("famo", 0, 44.0)["primary"]], "traces": TRACES}]},
        {"inference": {"graph": {"compared": "nothing"}, "latency": [{"batch": 7}]}},
        {"inference": {"latency": [{"batch": 1, "skipped": "x"}], "same_as_single": False}},
        {"training": {"phases": {"a/b": {"c": None}}, "flops": 0}},
    ],
)
def test_unusual_parts_of_a_record_end_no_command(part: dict[str, Any]) -> None:
    read(json.dumps({**record("famo", 0, 44.0), **part}))


def test_numbers_that_are_too_large_are_skipped_and_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    made = record("hps", 0, 40.0)
    made["run"]["seed"] = 10**30
    store.append({**made, "id": identity(made["run"])})
    assert store.records() == []
    assert "its run is invalid" in store.problems[0]


def test_of_many_wrong_lines_the_first_are_told(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.extend(SOUND)
    with store.file.open("a", encoding="utf-8") as file:
        file.write("null\n" * 40)
    said = CliRunner().invoke(leaderboard, ["--results", str(tmp_path)]).stderr.splitlines()
    assert len(said) == 6
    assert said[-1] == "auxbench: 35 more; auxbench results check lists them all."


@pytest.mark.parametrize("style", ["text", "markdown", "latex", "csv"])
def test_nothing_steers_a_terminal_or_a_spreadsheet(style: str) -> None:
    names = ["\x1b[31mred", "left\u202eright", "=1+1", "@sum", "-x", "+0.5 better", "a\rb"]
    table = Table("\x1b]0;title\x07", (Column("name", "method"),), [{"name": n} for n in names])
    text = render([table], style)
    assert not set(text) & {"\x1b", "\u202e", "\x07", "\r"}
    if style == "csv":
        lines = text.splitlines()[1:]
        assert lines[2:6] == ["'=1+1", "'@sum", "'-x", "+0.5 better"]


def test_nothing_steers_a_terminal_from_a_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path)
    store.extend([*SOUND, {"id": "\x1b[31mred", "score": 1}])
    for command in (leaderboard, status):
        done = CliRunner().invoke(command, ["--results", str(tmp_path)], color=True)
        assert r"record '\x1b[31mred' is not of a run" in done.output
        assert "\x1b[31m" not in done.output
    Progress([], 0, 1).say("error (\x1b[31mred\u202e)")
    assert capsys.readouterr().err == "error (\\x1b[31mred\\u202e)\n"


def test_a_done_run_without_a_score_is_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append({**record("hps", 0, 40.0), "primary": None})
    assert store.records() == []
    assert "it is done but has no primary score" in store.problems[0]


def test_json_holds_what_it_was_given() -> None:
    table = Table("", (Column("name", "method"),), [{"name": "\x1b"}, {"name": math.nan}])
    assert json.loads(render([table], "json")) == [{"name": "\x1b"}, {"name": None}]
