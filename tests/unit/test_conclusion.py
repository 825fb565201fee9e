"""The conclusions of a comparison, which come before its numbers."""

from __future__ import annotations

from auxbench.report.comparison import compare
from auxbench.report.conclusion import conclusions
from tests.unit._records import study

SCORES = {
    "single": [50.0, 50.3, 49.8, 50.1, 49.9, 50.2],
    "good": [55.0, 55.4, 54.7, 55.2, 54.9, 55.1],
    "best": [60.0, 60.4, 59.7, 60.2, 59.9, 60.1],
    "bad": [45.0, 45.4, 44.7, 45.2, 44.9, 45.1],
    "wild": [52.0, 44.0, 57.0, 48.0, 55.0, 43.0],
}


def test_many_methods_take_a_line_per_verdict_the_best_first() -> None:
    found = list(conclusions(compare(study(SCORES), [], control="single").differences))
    assert found == [
        "Better than single: best, good.",
        "Worse than single: bad.",
        "Undecided against single: wild.",
    ]


def test_few_methods_have_a_sentence_each() -> None:
    few = {name: SCORES[name] for name in ("single", "good")}
    comparison = compare(study(few), [], control="single")
    assert list(conclusions(comparison.differences)) == comparison.sentences()


def test_an_interval_without_0_beside_undecided_is_explained_once() -> None:
    rising = {f"m{n}": [50.0 + n / 9, 50.6 - n / 9, 50.4, 50.5, 50.9, 50.8] for n in range(9)}
    comparison = compare(study({**SCORES, **rising}), ["m0"], control="single")
    (one,) = comparison.differences
    assert one.verdict == "undecided" and one.excludes_zero
    (printed,) = conclusions(comparison.differences)
    notes = " ".join(comparison.table().notes)
    assert "(Holm)" not in printed and "(Holm)" in notes  # the table stands below it
    assert "(Holm)" in one.sentence()  # it stands alone
