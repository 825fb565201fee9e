"""The page in a browser: it opens from a file, alone, and does what it promises."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auxbench.records.store import Store
from auxbench.report.board import boards
from auxbench.report.page.detail import Detail
from auxbench.report.page.document import document
from auxbench.report.page.html import page as html
from auxbench.report.page.predictions import predictions
from auxbench.stats import frame
from tests.unit._browser import launched
from tests.unit._records import record, study
from tests.unit.test_page import HOSTILE, curve, large
from tests.unit.test_predictions import kept

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched() as found:
        yield found


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    scores = {
        "single": [40.0, 41.0, 39.5, 40.2, 40.1],
        "hps": [42.0, 43.1, 41.4, 42.5, 42.0],
        "pcgrad": [42.1, 43.0, 41.5, 42.4, 42.2],
        "uw": [38.0, 39.1, 37.6, 38.1, 38.3],
    }
    records = study(scores) + study(scores, dataset="toy", direction="down")
    records = [{**one, "curve": curve(one["run"]["seed"])} for one in records]
    records.append({**record("uw", 5, None, status="error"), "reason": HOSTILE})
    made = document(frame(records), {one["id"]: Detail.of(one) for one in records}, folder="here")
    path = tmp_path_factory.mktemp("page") / "report.html"
    store = Store(path.parent / "results")
    for one in records[:10]:
        kept(store.run_folder(one["id"]), shade=one["run"]["seed"])
    pictures, problems = predictions(made, store, 10**6)
    assert problems == []
    path.write_text(html({**made, "predictions": pictures}), encoding="utf-8")
    return path


@pytest.fixture
def page(browser: Any, file: Path) -> Iterator[Any]:
    """The opened page; whatever the console said or asked for fails the test."""
    opened = browser.new_page(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    said: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("dialog", lambda dialog: said.append(dialog.message))
    opened.on(
        "request", lambda asked: asked.url.startswith(("file:", "blob:")) or said.append(asked.url)
    )
    visit(opened, file)
    yield opened
    opened.close()
    assert said == []


def visit(page: Any, file: Path, words: str = "") -> None:
    page.goto("about:blank")
    page.goto(f"{file.as_uri()}{words}")
    page.wait_for_selector("html[data-ready]")


def column(page: Any, place: int) -> list[str]:
    return list(page.locator(f"#board tbody tr > :nth-child({place})").all_inner_texts())


def test_it_says_first_what_can_be_concluded(page: Any) -> None:
    assert "better than single" in page.locator("h1").inner_text()
    assert page.locator(".card").count() == 2


def test_tiers_without_a_filter_are_those_of_the_board(page: Any) -> None:
    data = json.loads(page.locator("#data").text_content())
    board = data["problems"][0]["board"]["columns"]
    known = dict(zip(board["method"], map(str, board["tier"]), strict=True))
    assert dict(zip(column(page, 2), column(page, 1), strict=True)) == known


def test_it_sorts_and_keeps_the_order_in_the_address(page: Any, file: Path) -> None:
    page.click('[data-sort="mean"]')
    up = column(page, 3)
    assert up == sorted(up, key=float)
    page.click('[data-sort="mean"]')
    assert column(page, 3) == up[::-1]
    address = page.url
    assert "sort=mean" in address
    visit(page, file, "#" + address.partition("#")[2])
    assert column(page, 3) == up[::-1]


def test_a_filter_forms_tiers_again(page: Any) -> None:
    page.select_option('[data-field="family"]', "loss weighting")
    assert sorted(column(page, 2)) == ["single", "uw"]
    assert min(map(int, column(page, 1))) == 1
    assert "formed again" in page.locator("#board .note").inner_text()
    page.click("text=Clear filters")
    assert len(column(page, 2)) == 4


def test_columns_can_be_hidden(page: Any, file: Path) -> None:
    page.click("#columns summary")
    page.locator("#columns label", has_text="rank").locator("input").uncheck()
    assert page.locator('[data-sort="rank"]').count() == 0
    visit(page, file, "#" + page.url.partition("#")[2])
    assert page.locator('[data-sort="rank"]').count() == 0


def test_from_a_cell_to_its_seeds_to_the_command_and_back(page: Any, file: Path) -> None:
    page.locator("#board .link.name", has_text="pcgrad").click()
    assert page.locator("#drill tbody tr").count() == 5
    page.locator("#drill tbody .link").first.click()
    assert "auxbench run --methods pcgrad" in page.locator("#drill pre").first.inner_text()
    assert "--seeds 0-0" in page.locator("#drill pre").first.inner_text()
    address = page.url
    page.click("#drill >> text=Back")
    assert page.locator("#drill tbody tr").count() == 5
    page.keyboard.press("Escape")
    assert not page.locator("#drill").is_visible()
    visit(page, file, "#" + address.partition("#")[2])
    assert "--seeds 0-0" in page.locator("#drill pre").first.inner_text()


def test_a_method_has_its_page_with_bibtex(page: Any) -> None:
    page.locator("#methods .link", has_text="pcgrad").click()
    assert "yu2020pcgrad" in page.locator("#drill").inner_text()


def test_predictions_are_shown_of_the_chosen_run(page: Any) -> None:
    chosen = page.locator('[data-field="pictured"]')
    assert chosen.locator("option").count() == 10
    assert page.locator("#predictions .shot").count() == 2 * 4
    whole = (
        "Array.from(document.querySelectorAll('.shot img')).every((one) => one.naturalWidth === 8)"
    )
    page.wait_for_function(whole)
    before = page.locator("#predictions img").first.get_attribute("src")
    chosen.select_option(label="hps, seed 4")
    assert page.locator("#predictions img").first.get_attribute("src") != before
    assert "pictured=" in page.url
    page.select_option('[data-field="problem"]', index=1)
    assert page.locator("#predictions img").count() == 0  # none were kept there


def test_all_runs_of_a_problem_are_repeated_by_one_command(page: Any) -> None:
    text = page.locator("#trust pre").first.inner_text()
    assert text.startswith("auxbench run --methods ")
    assert "--seeds 0-4" in text


def test_hostile_texts_stay_texts(page: Any) -> None:
    assert "</script><script>alert(1)" in page.locator("#trust").inner_text()


@pytest.mark.parametrize(
    "words", ["cost=constructor", "view=method|constructor", "view=run|__proto__", "sort=toString"]
)
def test_an_address_with_a_name_that_no_record_has_shows_the_board(
    page: Any, file: Path, words: str
) -> None:
    visit(page, file, f"#{words}")
    assert len(column(page, 2)) == 4
    assert not page.locator("#drill").is_visible()


def test_nothing_but_elements_stands_in_a_section(page: Any) -> None:
    loose = """[...document.querySelectorAll("main section")].flatMap((section) =>
        [...section.childNodes].filter((node) => node.nodeType === 3 && node.data.trim()))"""
    assert page.evaluate(f"{loose}.map((node) => node.data)") == []


def test_the_keyboard_opens_a_row_of_the_forest(page: Any) -> None:
    page.locator("#forest g.row").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("#drill").is_visible()


@pytest.mark.parametrize("name", ["boards.csv", "comparisons.json", "runs.csv", "report.json"])
def test_data_can_be_taken_home(page: Any, name: str) -> None:
    with page.expect_download() as started:
        page.click(f'[data-file="{name}"]')
    text = Path(started.value.path()).read_text("utf-8")
    assert "pcgrad" in text
    if name.endswith("json"):
        json.loads(text)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_every_width_in_both_themes(page: Any, width: int, scheme: str) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    page.wait_for_selector(f"html[data-theme={scheme}]")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.click("#theme")
    assert page.evaluate("document.documentElement.dataset.theme") != scheme


def test_a_large_study_is_drawn_in_a_second(page: Any, tmp_path: Path) -> None:
    path = tmp_path / "large.html"
    path.write_text(large(), encoding="utf-8")
    visit(page, path)
    spent = page.evaluate("performance.measure('drawn', 'begin', 'end').duration")
    assert page.locator("#heat tbody tr").count() > 40
    assert spent < 3000  # a second on an idle machine; tests share theirs


def test_a_rank_that_seems_to_contradict_its_tier_is_explained_below_the_board(
    browser: Any, file: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(50, 1, 6)
    near = {f"m{n}": list(base + n / 4 + rng.normal(0, 0.2, 6)) for n in range(8)}
    records = study({"single": list(base), **near})
    (table,) = boards(records)
    first = {row["tier"]: row["rank_high"] for row in reversed(table.rows)}
    odd = sum(row["rank_low"] > first[row["tier"]] for row in table.rows)
    assert odd > 1
    made = document(frame(records), {one["id"]: Detail.of(one) for one in records})
    (tmp_path / "odd.html").write_text(html(made), encoding="utf-8")
    opened = browser.new_page()
    told = "Tier and rank seem to disagree for"
    visit(opened, tmp_path / "odd.html")
    assert f"{told} {odd} methods" in opened.locator("#board").inner_text()
    visit(opened, file)
    assert told not in opened.locator("#board").inner_text()
    opened.close()
