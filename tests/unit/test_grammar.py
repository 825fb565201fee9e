"""The grammar of names and options, and what it says of mistakes."""

from __future__ import annotations

from typing import Literal

import pytest

from auxbench.errors import UsageError
from auxbench.grammar import Choice, options_of, spelled, split_list


def part(
    tasks: list[str],
    *,
    alpha: float = 1.5,
    rounds: int = 3,
    norm: Literal["none", "batch"] = "none",
    fast: bool = False,
    limit: float | None = None,
) -> None: ...


def test_options_are_the_keyword_only_parameters() -> None:
    assert list(options_of(part)) == ["alpha", "rounds", "norm", "fast", "limit"]


def test_values_have_the_annotated_types() -> None:
    choice = Choice.parse("part:alpha=2:rounds=4:norm=batch:fast=yes:limit=0.5")
    assert choice.values(part) == {
        "alpha": 2.0,
        "rounds": 4,
        "norm": "batch",
        "fast": True,
        "limit": 0.5,
    }


def test_two_spellings_have_one_canonical_text() -> None:
    spellings = ["part:rounds=4:alpha=1.5", "part:rounds=4", "part:limit=none:rounds=4:fast=no"]
    assert {str(Choice.parse(text).canonical(part)) for text in spellings} == {"part:rounds=4"}


@pytest.mark.parametrize("value", [0.1, 1e-7, 1 / 3, 3.0, 12345678.9, 1e20, 1e300 / 3], ids=str)
def test_spelled_numbers_read_back_and_hold_no_separator(value: float) -> None:
    text = spelled(value)
    assert float(text) == value
    assert not set(text) & set("+,:")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("part:alhpa=1", "'part' has no option 'alhpa'; did you mean 'alpha'?"),
        ("part:alpha=much", "option 'alpha' of 'part' is 'much', which is not a number"),
        ("part:rounds=1.5", "which is not a whole number"),
        ("part:norm=bach", "option 'norm' of 'part' is 'bach'; did you mean 'batch'?"),
        ("part:fast=maybe", "write yes or no"),
        ("part:alpha=nan", "is not finite"),
        ("part:alpha", "option 'alpha' of 'part' is not option=value"),
        ("part:alpha=1:alpha=2", "is given twice"),
        (":alpha=1", "has no name"),
    ],
)
def test_mistakes_are_named_in_one_line(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Choice.parse(text).values(part)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_commas_only_separate() -> None:
    assert split_list("single, auxnas:l1=10+pcgrad,,hps") == [
        "single",
        "auxnas:l1=10+pcgrad",
        "hps",
    ]
