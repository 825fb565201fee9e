"""The documentation of every registered part, and its examples."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from auxbench.contract import documentation as contract
from auxbench.contract.check import DOCUMENTATION
from auxbench.spec.registry import DATASETS, METHODS
from tests.contract._parts import cells

OF_ANY_PART = (
    contract.it_says_in_a_sentence_what_it_is,
    contract.its_options_have_types_and_defaults,
    contract.its_examples_run,
)


@cells(METHODS.names(), DOCUMENTATION)
def test_method(name: str, check: Callable[[str], None]) -> None:
    check(name)


@cells(DATASETS.names(), OF_ANY_PART)
def test_data_set(name: str, check: Callable[..., None]) -> None:
    check(name, DATASETS)


@pytest.mark.parametrize("name", METHODS.names())
def test_a_method_says_what_is_wrong_with_it(name: str) -> None:
    paragraphs = METHODS.describe(name).doc.split("\n\n")
    assert paragraphs[-1].startswith("@")
    assert sum(text.startswith("Known flaws: ") for text in paragraphs) == 1
    flaws = METHODS.describe(name).flaws
    assert 1 <= len(re.findall(r"\.(?: |$)", flaws)) <= 3, flaws
