"""Conclusions: the verdicts on a problem in one or two sentences, and the method they speak for.

Names of methods stand between backticks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from auxbench.data.progress import counted
from auxbench.report.difference import Difference

VERDICTS = ("better", "equivalent", "undecided", "worse")
SAME = 0.02  # a difference of FLOPs below this share is none
MANY = 5  # names that are listed one by one


def conclusion(
    differences: Sequence[Difference], board: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The verdicts of one problem against one control, counted and in words.

    `use` is the method to use: of those that are better than the control and not told apart from
    the best, the cheapest in training FLOPs, and the best of those that cost the same. If none is
    better, it is the control, or a method that is equivalent to it and cheaper.
    """
    control = differences[0].control
    names = {
        verdict: [one.method for one in differences if one.verdict == verdict]
        for verdict in VERDICTS
    }
    rows = {row["method"]: row for row in board}
    better = names["better"]
    first = [name for name in better if rows[name]["tier"] == 1]
    chosen = first or better or [control, *names["equivalent"]]
    use = _cheapest(chosen, rows, control)
    text = _helps(differences, names, control) if better else _nothing(differences, names, control)
    return {
        "counts": {verdict: len(found) for verdict, found in names.items()},
        "text": text,
        "use": use,
        "why": _why(use, first, rows, control) if better else _stay(use, differences, names),
    }


def headline(found: Mapping[str, Mapping[str, Any]], control: str, tuned: bool) -> str:
    """The conclusion over all problems, whose conclusions are given by their short names."""
    helped = [place for place, one in found.items() if one["counts"]["better"]]
    rest = [place for place in found if place not in helped]
    name = f"the tuned `{control}`" if tuned else f"`{control}`"
    if len(found) == 1:
        ((place, one),) = found.items()
        return f"On {place.partition(' with ')[0]}: {_lowered(one['text'])}"
    if not helped:
        return f"On none of {counted(len(found), 'problem')} is a method found better than {name}."
    if not rest:
        return f"On all {counted(len(found), 'problem')} some method is better than {name}."
    short = len(rest) <= 3 and not any(";" in place for place in rest)
    left = listed(rest) if short else f"the other {len(rest)}"
    return (
        f"On {len(helped)} of {counted(len(found), 'problem')} some method is better than {name}; "
        f"on {left} none is found better."
    )


def listed(names: Sequence[str]) -> str:
    """Names as people list them.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _helps(differences: Sequence[Difference], names: Mapping[str, list[str]], control: str) -> str:
    count, better = len(differences), names["better"]
    if len(better) == count and count > 1:
        text = f"All {count} methods are better than `{control}`."
    elif len(better) <= MANY:
        text = f"{_marked(better)} {_are(better)} better than `{control}`."
    else:
        text = f"{len(better)} of {count} methods are better than `{control}`."
    return " ".join(filter(None, [text, _rest(names)]))


def _nothing(
    differences: Sequence[Difference], names: Mapping[str, list[str]], control: str
) -> str:
    count, margin = len(differences), differences[0].claim.margin
    if len(names["equivalent"]) == count:
        within = f" within {margin:g}" if margin is not None else ""
        who = f"All {count} methods are" if count > 1 else f"{_marked(names['equivalent'])} is"
        return f"{who} equivalent to `{control}`{within}."
    parts = _counts(names)
    return f"No method is found better than `{control}`{': ' if parts else ''}{parts}."


def _rest(names: Mapping[str, list[str]]) -> str:
    parts = _counts(names)
    return f"Of the rest, {parts}." if parts else ""


def _counts(names: Mapping[str, list[str]]) -> str:
    """The verdicts other than 'better', such as '2 are equivalent and 1 is worse'."""
    found = [(len(names[key]), key) for key in VERDICTS[1:] if names[key]]
    return listed([f"{n} {'is' if n == 1 else 'are'} {key}" for n, key in found]) if found else ""


def _why(
    use: str, first: Sequence[str], rows: Mapping[str, Mapping[str, Any]], control: str
) -> str:
    price, base = rows[use]["train_flops"], rows.get(control, {}).get("train_flops")
    cost = ""
    if price and base:
        near = abs(price / base - 1) < 0.05
        times = "the same training FLOPs as" if near else f"{price / base:.2g} times the FLOPs of"
        cost = f", for {times} `{control}`"
    if not first:
        return f"It is the cheapest to train of those that are better{cost}."
    if len(first) == 1 and use == next(iter(rows)):
        return f"It has the best score of all{cost}."
    if len(first) == 1:
        return f"It is better than `{control}` and not told apart from the best{cost}."
    none = "none costs less to train"
    return f"Of {len(first)} that are better and not told apart from the best, {none}{cost}."


def _stay(use: str, differences: Sequence[Difference], names: Mapping[str, list[str]]) -> str:
    control, equal = differences[0].control, names["equivalent"]
    if use != control:
        return f"It is equivalent to `{control}` and the cheapest to train."
    if len(equal) == len(differences):
        return "The others make no difference that matters, and none costs less to train."
    if names["undecided"]:
        known = [one for one in differences if one.verdict == "undecided" and one.result.n > 1]
        sizes = [one.result.detectable for one in known if one.result.detectable > 0]
        if sizes:
            digits = known[0].digits
            low, high = (f"{size:.{digits}f}" for size in (min(sizes), max(sizes)))
            span = low if low == high else f"{low} to {high}"
            return (
                f"Nothing else has been shown to be better; {len(known)} could be, with true gains "
                f"below about {span} that these seeds may have missed."
            )
    return "Nothing else has been shown to be better."


def _cheapest(names: Sequence[str], rows: Mapping[str, Mapping[str, Any]], control: str) -> str:
    """The cheapest of some methods; among those that cost the same, the control or the best."""
    limit = min(_price(rows[name]) for name in names) * (1 + SAME)
    order = list(rows)
    near = [name for name in names if _price(rows[name]) <= limit]
    return control if control in near else min(near, key=order.index)


def _price(row: Mapping[str, Any]) -> float:
    price = row["train_flops"]
    return float("inf") if price is None else float(price)


def _marked(names: Sequence[str]) -> str:
    return listed([f"`{name}`" for name in names])


def _are(names: Sequence[str]) -> str:
    return "are" if len(names) > 1 else "is"


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]
