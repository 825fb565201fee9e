"""The page: its numbers are those of the tables, and it is safe, small and alone."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from auxbench.cli.boards import report
from auxbench.cli.main import auxbench
from auxbench.errors import UsageError
from auxbench.execution.study import Study
from auxbench.records.store import Store
from auxbench.report.page import packed
from auxbench.report.page.detail import Detail, lines
from auxbench.report.page.document import document
from auxbench.report.page.html import page
from auxbench.report.page.packed import embedded
from auxbench.report.run import command
from auxbench.stats import frame
from auxbench.stats.tiers import tiers
from tests.unit._records import record, study, study_words

HOSTILE = "</script><script>alert(1)</script><!--\u2028\u202e"
PARTS = ("hps", "pcgrad", "cagrad", "gradnorm", "uw", "dwa", "gcs")


def curve(seed: int, looks: int = 10) -> list[dict[str, Any]]:
    return [
        {
            "step": 100 * look,
            "scores": [{"metric": "miou", "unit": "%", "value": 40 - 20 / look + seed / 7}],
            "scalars": {"weight/segmentation": 1.0, "weight/depth": 1 / look},
            "traces": {"links/a2p/depth": [0.5 / look, 0.25 / look]},
        }
        for look in range(1, looks + 1)
    ]


def recorded(methods: list[str], problems: int, seeds: int) -> Iterator[dict[str, Any]]:
    for problem in range(problems):
        for number, method in enumerate(methods):
            for seed in range(seeds):
                value = 40 + ((7 * seed + 3 * number + problem) % 11) / 9 + (number % 5) / 2
                one = record(method, seed, value, dataset=f"rooms:train={100 + problem}")
                yield {**one, "curve": curve(seed)}


def written(folder: Path, records: list[dict[str, Any]]) -> Path:
    Store(folder).extend(records)
    return folder


def run(*words: str) -> str:
    result = CliRunner().invoke(auxbench, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    records = study(
        {
            "single": [40.0, 41.0, 39.5, 40.2, 40.1],
            "hps": [42.0, 43.1, 41.4, 42.5, 42.0],
            "auxnas+pcgrad": [40.1, 40.9, 39.8, 40.3, 40.0],
            "uw": [38.0, 39.1, 37.6, 38.1, 38.3],
        }
    )
    records.append(record("uw", 5, None, status="diverged"))
    records += study({"single": [1.0, 1.1, 1.2], "hps": [0.9, 1.2, 1.1]}, dataset="toy")
    return written(tmp_path / "results", records)


def made(folder: Path, *words: str) -> dict[str, Any]:
    out = folder.parent / "report.html"
    run("report", "--results", str(folder), "--out", str(out), *words)
    return data_of(out.read_text("utf-8"))


def data_of(text: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    return dict(json.loads(found[1]))


def test_its_boards_are_the_leaderboard(folder: Path) -> None:
    found = [
        row
        for one in made(folder)["problems"]
        for row in packed.rows(one["board"]["columns"], one["board"]["count"])
    ]
    assert found == json.loads(run("leaderboard", "--results", str(folder), "--format", "json"))


@pytest.mark.parametrize("control", ["single", "hps"])
def test_its_comparisons_are_those_of_compare(folder: Path, control: str) -> None:
    found = [
        row
        for one in made(folder)["problems"]
        for row in packed.rows(
            one["comparisons"][control]["columns"], one["comparisons"][control]["count"]
        )
    ]
    words = ("compare", "--control", control, "--results", str(folder), "--format", "json")
    assert found == json.loads(run(*words))


def test_a_filter_of_the_command_selects_what_is_shown_not_how_it_is_judged(folder: Path) -> None:
    found = made(folder, "--dataset", "toy")
    assert [one["dataset"] for one in found["problems"]] == ["toy"]
    one = found["problems"][0]["comparisons"]["single"]
    words = ("compare", "--control", "single", "--dataset", "toy", "--results", str(folder))
    assert packed.rows(one["columns"], one["count"]) == json.loads(run(*words, "--format", "json"))


def test_tiers_of_all_rows_follow_from_the_pairs_in_the_page(folder: Path) -> None:
    for one in made(folder)["problems"]:
        rows = packed.rows(one["board"]["columns"], one["board"]["count"])
        names = [row["method"] for row in rows]
        flags = iter(one["apart"])
        apart = {(a, b): next(flags) == "1" for i, a in enumerate(names) for b in names[i + 1 :]}
        assert next(flags, None) is None
        assert tiers(names, apart) == {row["method"]: row["tier"] for row in rows}


def test_every_run_has_the_command_that_repeats_it(folder: Path) -> None:
    found = made(folder)
    known = {one["id"]: command(one) for one in Store(folder).runs()}
    for one in found["problems"]:
        for row in packed.rows(one["runs"]["columns"], one["runs"]["count"]):
            head, tail = found["pools"]["commands"][row["command"]]
            assert f"{head} --seeds {row['seed']}-{row['seed']}{tail}" == known.pop(row["id"])
    assert not known


def test_the_conclusion_names_what_was_found(folder: Path) -> None:
    found = made(folder)
    first = found["problems"][0]["comparisons"]["single"]["conclusion"]
    assert first["use"] == "hps"
    assert (
        first["text"]
        == "`hps` is better than `single`. Of the rest, 1 is undecided and 1 is worse."
    )
    assert found["headlines"]["single"].startswith("On 1 of 2 problems some method is better than")
    against = found["problems"][0]["comparisons"]["hps"]["conclusion"]
    assert against["use"] == "hps"


def test_it_explains_how_it_was_decided(folder: Path) -> None:
    found = made(folder)
    told = " ".join(found["notes"]["single"])
    for words in ("Estimand", "Paired t-test by seed", found["calibration"]):
        assert words in told
    assert any("cannot be told apart" in note for note in found["problems"][0]["notes"])


def test_failures_are_in_it_with_their_reasons(folder: Path) -> None:
    found = made(folder)
    one = found["problems"][0]
    words = found["pools"]["words"]
    lost = [
        row
        for row in packed.rows(one["runs"]["columns"], one["runs"]["count"])
        if row["value"] is None
    ]
    assert [(words[row["status"]], words[row["reason"]]) for row in lost] == [
        ("diverged", "made up to be diverged")
    ]


def test_texts_of_records_cannot_leave_the_data(tmp_path: Path) -> None:
    records = study({"single": [1.0, 2.0], "hps": [2.0, 3.0]})
    records.append({**record("hps", 2, None, status="error"), "reason": HOSTILE})
    rows = frame(records)
    text = page(document(rows, {}, folder=HOSTILE))
    assert "alert(1)</script>" not in text
    assert text.count("</script>") == 2
    assert "\u2028" not in text
    assert HOSTILE in data_of(text)["pools"]["words"]
    assert data_of(text)["folder"] == HOSTILE


def test_scripts_never_make_markup_of_texts() -> None:
    here = Path(packed.__file__).parent
    for file in here.glob("*.js"):
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert word not in file.read_text("utf-8"), (file.name, word)


def test_nothing_in_it_loads_anything(folder: Path) -> None:
    text = page(document(frame(Store(folder).runs()), {}))
    shell = re.sub(r'<script type="application/json".*?</script>', "", text, flags=re.DOTALL)
    assert set(re.findall(r"https?://[^\s\"'`)]+", shell)) == {"http://www.w3.org/2000/svg"}
    for word in ("@import", "url(", "fetch(", "XMLHttpRequest", "WebSocket", "import(", " src="):
        assert word not in shell, word
    assert "default-src 'none'" in shell


def test_it_is_the_same_every_time(folder: Path) -> None:
    assert made(folder) == made(folder)
    first = (folder.parent / "report.html").read_bytes()
    made(folder)
    assert (folder.parent / "report.html").read_bytes() == first


def test_methods_without_a_control_have_a_page_too(tmp_path: Path) -> None:
    found = made(written(tmp_path / "results", study({"uw": [1.0, 2.0], "dwa": [1.0, 3.0]})))
    assert found["controls"] == []
    assert found["problems"][0]["comparisons"] == {}


def test_a_control_that_is_not_recorded_is_refused(folder: Path) -> None:
    words = ["--results", str(folder), "--out", str(folder / "x.html"), "--control", "sngle,hps"]
    with pytest.raises(UsageError, match="no record has method 'sngle'; did you mean"):
        CliRunner().invoke(report, words, catch_exceptions=False, standalone_mode=False)
    assert not (folder / "x.html").exists()


def test_a_folder_in_which_nothing_finished_has_a_page(tmp_path: Path) -> None:
    records = [record(name, 0, None, status="oom") for name in ("single", "hps")]
    found = made(written(tmp_path / "results", records))
    assert found["problems"][0]["runs"]["count"] == 2


def test_a_page_needs_no_torch(folder: Path) -> None:
    words = ["report", "--results", str(folder), "--out", str(folder.parent / "alone.html")]
    code = (
        "import sys; from auxbench.cli.main import auxbench; "
        f"auxbench({words!r}, standalone_mode=False); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_curves_are_thinned_and_averaged() -> None:
    records = [{**record("hps", seed, 1.0), "curve": curve(seed, 40)} for seed in range(3)]
    details = [Detail.of(one) for one in records]
    found = lines(details)
    assert found["steps"][0] == 100
    assert found["steps"][-1] == 4000
    assert len(found["steps"]) == 12
    assert found["weights"]["segmentation"] == 1
    assert found["links"]["a2p/depth"][0][0] == 0.5
    assert found["l"][0] < found["m"][0] < found["h"][0]


def test_a_look_without_a_step_is_left_out() -> None:
    detail = Detail.of({**record("hps", 0, 1.0), "curve": [{}, {"step": 5}]})
    assert (detail.steps, detail.curve) == ((5,), (None,))


@cache
def large() -> str:
    """The page of 50 methods on 10 problems with 10 seeds each."""
    methods = ["single"]
    for part in PARTS:
        methods += [part, *(f"{part}:lr={rate}" for rate in range(1, 7))]
    records = list(recorded(methods[:50], 10, 10))
    assert len(records) == 5000
    return page(document(frame(records), {one["id"]: Detail.of(one) for one in records}))


def test_a_large_study_fits_into_three_megabytes() -> None:
    assert len(large().encode()) < 3_000_000


def test_numbers_that_are_not_finite_become_null() -> None:
    with pytest.raises(ValueError, match="JSON"):
        embedded({"value": float("nan")})
    assert packed.short(float("inf")) is None


def test_its_commands_repeat_exactly_the_runs_of_a_problem(tmp_path: Path) -> None:
    budget = "demo"
    made = [
        record(name, seed, 40.0 + seed, budget=budget)
        for name in ("hps", "uw")
        for seed in range(3)
    ]
    made += [record("pcgrad:lr=0.003", seed, 41.0 + seed, budget=budget) for seed in (0, 2, 7)]
    found = document(frame(made), {one["id"]: Detail.of(one) for one in made})["problems"][0]
    ids = set()
    for text in found["commands"]:
        words = shlex.split(text)[2:]
        params = auxbench.commands["run"].make_context("run", words).params
        ids |= {run.id for run in Study.of(**study_words(params)).runs}
    assert len(found["commands"]) == 2  # the seeds differ
    assert ids == {one["id"] for one in made}
