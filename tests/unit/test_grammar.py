"""The grammar of names and options, and what it says of mistakes."""

from __future__ import annotations

import math
from typing import Literal

import pytest

from auxbench.errors import UsageError
from auxbench.spec.grammar import Choice, options_of, spelled, split_list
from auxbench.spec.marks import (
    Bounds,
    Count,
    CountOrZero,
    NonNegative,
    Positive,
    ProperShare,
    Share,
)
from auxbench.spec.method import Method


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


LIMITS = {
    "arml:every=0": "option 'every' of 'arml' is 0, out of range; give >= 1.",
    "arml:rate=0": "option 'rate' of 'arml' is 0, out of range; give > 0.",
    "auxnas:l1=-1": "option 'l1' of 'auxnas' is -1, out of range; give >= 0.",
    "cagrad:c=1": "option 'c' of 'cagrad' is 1, out of range; give >= 0 and < 1.",
    "crossstitch:own=1.5": "option 'own' of 'crossstitch' is 1.5, out of range; give 0 to 1.",
    "dwa:tau=0": "option 'tau' of 'dwa' is 0, out of range; give > 0.",
    "dwa:window=0": "option 'window' of 'dwa' is 0, out of range; give >= 1.",
    "fairgrad:alpha=0": "option 'alpha' of 'fairgrad' is 0, out of range; give 0.1 to 10.",
    "fairgrad:max_norm=-1": "option 'max_norm' of 'fairgrad' is -1, out of range; give > 0.",
    "gradvac:beta=1.5": "option 'beta' of 'gradvac' is 1.5, out of range; give 0 to 1.",
    "mtan:reduction=0": "option 'reduction' of 'mtan' is 0, out of range; give >= 1.",
    "nashmtl:max_norm=0": "option 'max_norm' of 'nashmtl' is 0, out of range; give > 0.",
    "olaux:horizon=-3": "option 'horizon' of 'olaux' is -3, out of range; give >= 1.",
    "static:depth=-1": "option 'depth' of 'static' is -1, out of range; give >= 0.",
    "stch:mu=-1": "option 'mu' of 'stch' is -1, out of range; give > 0.",
    "stch:warmup=-1": "option 'warmup' of 'stch' is -1, out of range; give >= 0.",
}


@pytest.mark.parametrize("text", LIMITS)
def test_a_method_says_the_range_of_an_option(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        Method.parse(text)
    assert str(caught.value) == LIMITS[text]


@pytest.mark.parametrize(
    "text",
    ["cagrad:c=0", "gradvac:beta=1", "stch:warmup=0", "nashmtl:max_norm=none", "static:depth=0"],
)
def test_ends_of_a_range_belong_to_it_unless_it_says_not(text: str) -> None:
    assert str(Method.parse(text)) == text


def bounded(
    *,
    rate: Positive = 1.0,
    share: Share = 0.5,
    memory: ProperShare = 0.9,
    rounds: Count | None = None,
    warmup: CountOrZero = 0,
    norm: Literal["native", "sum"] = "native",
    fast: bool = False,
    word: str = "",
    free: float | None = None,
    **each: NonNegative,
) -> None: ...


def test_an_option_says_its_kind_and_range() -> None:
    assert {name: (o.kind, o.range) for name, o in options_of(bounded).items()} == {
        "rate": ("number", "> 0"),
        "share": ("number", "0 to 1"),
        "memory": ("number", ">= 0 and < 1"),
        "rounds": ("whole number", ">= 1, or none"),
        "warmup": ("whole number", ">= 0"),
        "norm": ("word", "one of native, sum"),
        "fast": ("yes or no", ""),
        "word": ("word", ""),
        "free": ("number", "any, or none"),
    }


def test_options_by_name_have_the_range_of_their_mapping() -> None:
    names = frozenset({"depth"})
    assert Choice.parse("part:depth=0").values(bounded, names) == {"depth": 0.0}
    with pytest.raises(
        UsageError, match=r"option 'depth' of 'part' is -0\.5, out of range; give >="
    ):
        Choice.parse("part:depth=-0.5").values(bounded, names)
    with pytest.raises(UsageError, match=r"'part' has no option 'dept'; did you mean 'depth'\?"):
        Choice.parse("part:dept=1").values(bounded, names)


@pytest.mark.parametrize(
    ("bounds", "inside", "outside"),
    [
        (Bounds(0), [0.0, 1e9], [-1e-9]),
        (Bounds(0, above=True), [1e-9], [0.0, -1.0]),
        (Bounds(0, 1), [0, 1], [-0.1, 1.1]),
        (Bounds(0, 1, below=True), [0, 0.999], [1, 2]),
        (Bounds(high=2), [-1e9, 2], [2.1]),
        (Bounds(), [-1e9, 1e9], []),
    ],
    ids=str,
)
def test_bounds_hold_what_they_say(
    bounds: Bounds, inside: list[float], outside: list[float]
) -> None:
    assert all(value in bounds for value in inside)
    assert not any(value in bounds for value in [*outside, math.nan])
