"""The site of documentation: pages made from the code are complete, and search needs no server."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import auxbench
from auxbench.cli.main import auxbench as command
from auxbench.execution.study import Study
from auxbench.spec.registry import METHODS
from tests.unit._browser import launched
from tests.unit._records import study_words

pytest.importorskip("mkdocs")
from docs import boards, pages

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return pages.made()


def test_every_page_is_in_the_navigation() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = set(re.findall(r"[\w/-]+\.md", text.partition("\nnav:")[2]))
    there = {path.name for path in (ROOT / "docs").glob("*.md")} | {*pages.ELSEWHERE}
    made = {"commands.md", "reference.md", "methods/index.md"}
    assert there | made == listed


@pytest.mark.parametrize("name", METHODS.names())
def test_a_method_has_a_page_of_its_docstring(name: str, made: dict[str, str]) -> None:
    page, about = made[f"methods/{name}.md"], METHODS.describe(name)
    assert all(entry in page for entry in about.bibtex)
    assert "<var>" in page.partition("\n## Rule\n")[2].partition("\n## ")[0]
    headings = "Rule", "Passes of a training step", "Options", "Known flaws", "Use it", "Source"
    for heading in headings:
        assert f"\n## {heading}\n" in page
    plain = re.sub(r"<[^>]+>|[\\`_]", "", page)
    for sentence in (about.summary, about.flaws):
        assert re.sub(r"[`_]", "", sentence)[-20:] in plain


@pytest.mark.parametrize("name", METHODS.names())
def test_the_command_of_a_method_is_a_study(name: str, made: dict[str, str]) -> None:
    """`tests/contract/test_pairs.py` trains every pair of an architecture and a rule."""
    (line,) = re.findall(r"^auxbench run .*$", made[f"methods/{name}.md"], re.M)
    context = command.commands["run"].make_context("run", line.split()[2:])
    assert len(Study.of(**study_words(context.params)).runs) in {10, 15}


def test_formulas_are_typeset_and_code_is_not(made: dict[str, str]) -> None:
    assert "<var>r</var><sub>i</sub><sup>α</sup>" in made["methods/gradnorm.md"]
    assert "Σ<sub>a</sub> <var>w</var><sub>a</sub>" in made["methods/auxilearn.md"]
    assert '<div class="formula"><var>f</var><sub>i</sub>' in made["methods/auxnas.md"]
    assert "`max_norm`" in made["methods/nashmtl.md"]
    assert "| `alpha` |" in made["methods/gradnorm.md"]
    assert not any("`<" in page for address, page in made.items() if address.startswith("methods"))
    assert "max\\_norm=none" in made["methods/nashmtl.md"]


def test_every_command_and_every_public_name_has_its_place(made: dict[str, str]) -> None:
    for name in command.commands:
        assert f"\n## auxbench {name}\n" in made["commands.md"]
    for name in {*auxbench.__all__} - {"__version__"}:
        assert re.search(rf"^::: [\w.]+\.{name}$", made["reference.md"], re.M), name


def test_the_citation_names_this_version() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert str(cited["version"]) == auxbench.__version__
    page = (ROOT / "docs" / "cite.md").read_text(encoding="utf-8")
    assert f"version = {{{auxbench.__version__}}}" in page
    assert f"title = {{{cited['title']}}}" in page


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.slow
def test_the_site_is_built_and_loads_nothing_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not re.search(r'<(?:script|img|iframe)[^>]+src="(?:https?:)?//', text), page
        assert not re.search(r'<link[^>]+rel="stylesheet"[^>]+href="(?:https?:)?//', text), page
    reference = (site / "reference.html").read_text(encoding="utf-8")
    assert 'id="auxbench.training.signals.Signals.gramian"' in reference


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched() as found:
        yield found


@pytest.mark.slow
def test_search_works_from_a_file(site: Path, browser: Any) -> None:
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((site / "methods" / "gradnorm.html").as_uri())
    page.click(".md-search__input")
    page.keyboard.type("bargain", delay=30)
    page.wait_for_selector(".md-search-result__item h1", timeout=60_000)
    found = [one.inner_text() for one in page.query_selector_all(".md-search-result__item h1")]
    assert "nashmtl" in found
    page.click(".md-search-result__link")
    page.wait_for_url("**/methods/*.html*")
    assert all(url.startswith(("file:", "data:", "blob:", "about:")) for url in asked)


@pytest.mark.slow
def test_the_figure_of_the_concepts_follows_the_colours_of_the_page(
    site: Path, browser: Any
) -> None:
    fills = []
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme)
        page.goto((site / "concepts.html").as_uri())
        fill = (
            "document.querySelector('svg.concepts text').computedStyleMap().get('fill').toString()"
        )
        fills.append(page.evaluate(fill))
    assert len(set(fills)) == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", boards.names())
def test_the_page_of_a_board_opens_without_errors(site: Path, browser: Any, name: str) -> None:
    assert f'href="boards/{name}.html"' in (site / "results.html").read_text(encoding="utf-8")
    page, said = browser.new_page(), []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda asked: asked.url.startswith("file:") or said.append(asked.url))
    page.goto((site / "boards" / f"{name}.html").as_uri())
    page.wait_for_selector("html[data-ready]")
    methods = auxbench.load(ROOT / "results" / name).runs.groupby("problem")["method"].nunique()
    problems = json.loads(page.inner_text("#data"))["problems"]
    assert {one["name"]: one["board"]["count"] for one in problems} == methods.to_dict()
    assert page.locator("#board tbody tr").count() == problems[0]["board"]["count"]
    page.close()
    assert said == []
