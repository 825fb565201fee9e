"""The documents tell the truth: what they show are the files, and their commands exist."""

from __future__ import annotations

import inspect
import re
import tomllib
from pathlib import Path

import pytest

import auxbench as auxbench_itself
from auxbench.cli.main import auxbench
from auxbench.contract.check import Subject, attempt
from auxbench.execution.study import Study
from auxbench.spec.registry import METHODS
from tests.test_house import ROOMS
from tests.unit._records import study_words

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def between(name: str, text: str = README) -> str:
    found = re.search(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", text, re.DOTALL)
    assert found, f"there is no part '{name}'"
    return found[1]


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def test_it_begins_with_the_two_commands() -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    first = README.split("```")[1]
    commands = re.findall(r"make (\w+)", first)
    assert commands == ["demo", "test"]
    assert set(commands) <= set(targets)


def test_it_is_short() -> None:
    assert README.count("\n") <= 150


@pytest.mark.parametrize(
    ("document", "name"), [("balancers.md", "pcgrad"), ("architecture.md", "hps")]
)
def test_the_methods_that_are_shown_are_the_real_files(document: str, name: str) -> None:
    shown = between(name, page(document)).strip()
    shown = shown.removeprefix("```python").removesuffix("```").strip()
    code = (ROOT / "methods" / f"{name}.py").read_text(encoding="utf-8")
    without_docstring = code.partition('"""\n\n')[2].strip()
    assert shown == without_docstring


def test_the_demo_table_has_the_methods_that_the_demo_runs() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    methods = re.search(r"--methods (\S+)", makefile)
    assert methods
    rows = re.findall(r"^\| \d+ \| ([\w+]+) \|", between("demo"), re.M)
    assert sorted(set(rows) - {"method"}) == sorted(methods[1].split(","))


def test_it_names_every_method() -> None:
    table = README.partition("| family |")[2].partition("\n\n")[0]
    assert sorted(re.findall(r"`([\w-]+)`", table)) == METHODS.names()
    assert f" {len(METHODS.names())} methods " in README


def test_the_file_of_a_study_is_a_study() -> None:
    found = re.search(r"```toml title=\"study.toml\"\n(.*?)```", page("concepts.md"), re.DOTALL)
    assert found
    words = tomllib.loads(found[1])
    assert len(Study.of(**words).runs) == len(words["methods"]) * words["seeds"]


def commands() -> list[list[str]]:
    """Every `auxbench ...` line of the README's shell blocks, and those of the table."""
    blocks = [b for b in README.split("```") if "auxbench run" in b and not b.startswith("python")]
    lines = [line for block in blocks for line in block.splitlines()]
    return [line.split()[1:] for line in lines if line.startswith("auxbench ")]


def test_every_link_leads_somewhere() -> None:
    texts = {"": README, "docs": "".join(page(one.name) for one in (ROOT / "docs").glob("*.md"))}
    for folder, text in texts.items():
        for target in re.findall(r"\]\(([^)#]+)", text):
            made = target.startswith("methods/") or (
                folder and (ROOT / "mkdocs.yml").read_text().count(target)
            )
            assert made or "://" in target or (ROOT / folder / target).exists(), target


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_its_commands_parse(words: list[str]) -> None:
    name, *rest = words
    command = auxbench.commands[name]
    context = command.make_context(name, rest)
    if name in {"run", "plan"}:
        assert Study.of(**study_words(context.params)).runs


def test_help_lists_the_public_names_with_a_sentence_each() -> None:
    listed = re.findall(r"^    (\w+) +([A-Z].*\.)$", inspect.getdoc(auxbench_itself) or "", re.M)
    assert sorted(name for name, _ in listed) == sorted(
        {*auxbench_itself.__all__} - {"__version__"}
    )
    assert {*auxbench_itself.__all__} <= {*dir(auxbench_itself)}


PAGE = page("balancers.md")
HOUSE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_balancer_of_the_page_passes_the_contract(tmp_path: Path) -> None:
    example = PAGE.partition("<!-- example -->")[2].partition("<!-- /example -->")[0]
    code = example.partition("```python\n")[2].partition("```")[0]
    (tmp_path / "half.py").write_text(code, encoding="utf-8")
    subject = Subject.find(str(tmp_path / "half.py"))
    try:
        results = [attempt(part, check) for part, check in subject.checks()]
        assert [result for result in results if result.ok is not True] == []
    finally:
        METHODS.remove("half")


def test_the_page_lists_six_things() -> None:
    assert re.findall(r"^(\d)\. ", PAGE, re.M) == list("123456")


def test_the_house_is_shown_with_its_rooms_in_order() -> None:
    tree = HOUSE.split("```")[1]
    assert [room for room in re.findall(r"^  (\w+)/ ", tree, re.M) if room in ROOMS] == list(ROOMS)
    for name in re.findall(r"`((?:auxbench|methods|tasks|tests|docs)/[\w./]+)`", HOUSE):
        assert (ROOT / name).exists(), name
