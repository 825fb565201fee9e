"""Passes: what one step of a method costs, as a formula and as numbers.

F is a forward pass of the training network, B a backward one, b a partial one, which ends at the
last shared layer, J a forward-mode product, and T is the number of tasks.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

FORWARD_FROM = 4  # tasks from which on the primary's row of the Gramian comes from a product
AGREEMENT = "min(T B, 2 B + J)"

_OPERATIONS: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


class Passes(NamedTuple):
    """Passes in one step, on average."""

    forward: float
    backward: float
    partial: float
    product: float


def formula(reads: Collection[str] = (), also: str = "", every: str = "") -> str:
    """The passes of a step of the signals that are read and of what comes beside the descent.

    `every` names the option that says on every how many batches T backward passes are made.

    >>> formula({"gramian"}), formula({"norms"}), formula((), "F")
    ('F + T B', 'F + B + T b', '2 F + B')
    """
    terms = ["F", "B"]
    if {"gramian", "rows"} & set(reads):
        terms = ["F", "B", f"(T - 1) B / {every}"] if every else ["F", "T B"]
    elif "inner" in reads:
        terms = ["F", AGREEMENT]
    if "norms" in reads:
        terms.append("T b")
    return " + ".join(_together([*terms, *([also] if "(" in also else also.split(" + "))]))


def _together(terms: list[str]) -> list[str]:
    """The terms, those that are numbers of one kind of pass being added up."""
    total: dict[str, int] = {}
    for term in filter(None, terms):
        found = re.fullmatch(r"(?:(\d+) )?([FBbJ])", term)
        key = found[2] if found else term
        total[key] = total.get(key, 0) + int(found[1] or 1 if found else 1)
    return [key if number == 1 else f"{number} {key}" for key, number in total.items()]


def count(
    tasks: int,
    reads: Collection[str] = (),
    also: str = "",
    every: str = "",
    options: Mapping[str, float] | None = None,
) -> Passes:
    """The numbers of the formula for so many tasks; `options` are the values of its other names.

    Errors: `KeyError` for a name without a value.

    >>> count(3, {"norms"}, "(2 F + (2 + 2 terms) B) / every", options={"terms": 3, "every": 4})
    Passes(forward=1.5, backward=3.0, partial=3.0, product=0.0)
    """
    row = "2 B + J" if tasks >= FORWARD_FROM else "T B"
    tree = _parsed(formula(reads, also, every).replace(AGREEMENT, row))
    names = {"T": float(tasks), **(options or {})}
    kinds = ("F", "B", "b", "J")
    return Passes(
        *(_value(tree, names | {kind: float(kind == own) for kind in kinds}) for own in kinds)
    )


def _parsed(text: str) -> ast.expr:
    """The expression, in which what stands side by side is multiplied."""
    product = re.sub(r"(?<=[\w)])\s+(?=[\w(])", " * ", text)
    return ast.parse(product, mode="eval").body


def _value(node: ast.expr, names: Mapping[str, float]) -> float:
    if isinstance(node, ast.BinOp):
        apply = _OPERATIONS[type(node.op)]
        return apply(_value(node.left, names), _value(node.right, names))
    if isinstance(node, ast.Constant):
        return float(node.value)  # type: ignore[arg-type]  # numbers are all that there are
    assert isinstance(node, ast.Name), ast.dump(node)
    return names[node.id]
