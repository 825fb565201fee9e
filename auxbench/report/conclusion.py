"""Conclusions: what follows from a comparison, in words, before any number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from auxbench.report.difference import Difference

FEW = 3  # differences that have a sentence each
VERDICTS = {
    "better": "better than {control}",
    "equivalent": "equivalent to {control}",
    "worse": "worse than {control}",
    "undecided": "undecided against {control}",
}


def conclusions(differences: Sequence[Difference]) -> Iterator[str]:
    """The conclusions: a sentence for each of a few differences, or else a line for each verdict.

    They stand above the table of the comparison, whose notes explain them. Methods of a line are in
    the order of their differences, the best first.
    """
    if len(differences) <= FEW:
        yield from (difference.sentence(alone=False) for difference in differences)
        return
    groups: dict[tuple[str, str], list[Difference]] = {}
    for difference in differences:
        groups.setdefault((difference.place, difference.control), []).append(difference)
    for (place, control), group in groups.items():
        best_first = sorted(group, key=lambda difference: -difference.result.difference)
        for verdict, words in VERDICTS.items():
            names = [one.method for one in best_first if one.verdict == verdict]
            if names:
                text = f"{words.format(control=control)}: {', '.join(names)}."
                yield f"{place}: {text}" if len(groups) > 1 else text[0].upper() + text[1:]
