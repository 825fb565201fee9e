"""What every registered part says of itself, and that its example runs."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re

import pytest

from auxbench.grammar import options_of, spelled
from auxbench.problem import DATASETS
from auxbench.registry import METHODS, Registry
from auxbench.report.cite import citations

PARTS = [(METHODS, name) for name in METHODS.names()] + [
    (DATASETS, name) for name in DATASETS.names()
]
IDS = [name for _, name in PARTS]


@pytest.mark.parametrize(("registry", "name"), PARTS, ids=IDS)
def test_the_module_says_in_a_sentence_what_it_is(registry: Registry[type], name: str) -> None:
    card = registry.card(name)
    assert 20 < len(card.summary) < 160
    assert card.summary.endswith(".")


@pytest.mark.parametrize("name", METHODS.names())
def test_a_method_names_its_source_and_family(name: str) -> None:
    card = METHODS.card(name)
    assert card.sources, "the docstring ends with 'Source: authors, title, venue, year, link'"
    assert card.doc.split("\n\n")[-1].startswith("Source: ")
    assert len(citations(card)) == len(card.sources), card.sources
    assert card.attributes["family"] in {
        "architecture",
        "auxiliary",
        "control",
        "gradient",
        "loss weighting",
    }


@pytest.mark.parametrize("name", METHODS.names())
def test_a_method_says_what_is_wrong_with_it(name: str) -> None:
    paragraphs = METHODS.card(name).doc.split("\n\n")
    assert sum(text.startswith("Known flaws: ") for text in paragraphs) == 1
    flaws = METHODS.card(name).flaws
    assert 1 <= len(re.findall(r"\.(?: |$)", flaws)) <= 3, flaws


@pytest.mark.parametrize(("registry", "name"), PARTS, ids=IDS)
def test_options_have_types_and_defaults(registry: Registry[type], name: str) -> None:
    part = registry[name]
    assert inspect.getdoc(part)
    for option in options_of(part).values():
        assert isinstance(option.default, bool | int | float | str | None)
        assert option.convert(spelled(option.default), option.name) == option.default or isinstance(
            option.default, bool
        )


@pytest.mark.parametrize(("registry", "name"), PARTS, ids=IDS)
def test_examples_run(registry: Registry[type], name: str) -> None:
    module = importlib.import_module(registry[name].__module__)
    result = doctest.testmod(module)
    assert result.failed == 0
    if registry is METHODS and registry.card(name).attributes["family"] != "architecture":
        assert result.attempted > 0
