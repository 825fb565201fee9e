"""Boards of advice: candidates with several sets of auxiliaries beside their control."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auxbench.report.family import Looks

if TYPE_CHECKING:
    import pandas

WITH = " with "


def advised(rows: pandas.DataFrame, looks: Looks) -> pandas.DataFrame:
    """The rows, those of candidates of `auxbench advise` under the names that it compared.

    Advice compares methods with several sets of auxiliaries with a control that has none. Each of
    these sets is a problem of its own, on which the control has no runs. So runs of a candidate
    move to the problem of the control, where boards and comparisons then find what the `looks`,
    by problem, method and control, are about. Where other methods are recorded with the same
    auxiliaries, they stay there as well; where "all" stands for two sets, nothing moves.
    """
    looked = {(problem, name) for problem, name, _ in looks if WITH in name}
    if not looked:
        return rows
    import pandas

    keys = ["problem", "dataset", "primary", "auxiliaries", "method"]
    moved: dict[tuple[str, str], tuple[str, str]] = {}  # by problem and method, the new ones
    for problem, dataset, primary, auxiliaries, method in rows[keys].drop_duplicates().to_numpy():
        named = auxiliaries.replace(",", ", ")
        alone = problem.replace(f"{dataset} {primary}{WITH}{named}; ", f"{dataset} {primary}; ", 1)
        for words in (named, "all") if "," in auxiliaries else (named,):
            if (alone, name := f"{method}{WITH}{words}") in looked:
                moved[problem, method] = alone, name
    places = list(moved.values())
    unclear = {alone for alone, name in places if places.count((alone, name)) > 1}
    moved = {key: new for key, new in moved.items() if new[0] not in unclear}
    pairs = list(zip(rows["problem"], rows["method"], strict=True))
    here = [pair in moved for pair in pairs]
    mixed = {problem for problem, _ in set(pairs) - moved.keys()}
    stay = [not go or pair[0] in mixed for go, pair in zip(here, pairs, strict=True)]
    new = [moved[pair] for pair in pairs if pair in moved]
    told = rows[here].assign(
        problem=[problem for problem, _ in new], method=[name for _, name in new]
    )
    return pandas.concat([rows[stay], told], ignore_index=True) if new else rows
