"""Problems as text: everything that must be the same for two runs to be comparable."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from auxbench.spec.budget import BUDGETS, PROTOCOL, Recipe
from auxbench.spec.grammar import spelled
from auxbench.spec.networks import HEAD


def problem_of(run: Mapping[str, Any]) -> str:
    """The problem of a run in one line; equal lines mean comparable runs.

    Values that differ from the budget, and a protocol other than today's, are spelled out.

    >>> problem_of({"dataset": "rooms", "primary": "depth", "auxiliaries": ["normals"],
    ...     "backbone": "resnet18", "pretrained": False, "protocol": PROTOCOL,
    ...     "recipe": BUDGETS["demo"].with_changes(steps=50).to_json()})
    'rooms depth with normals; resnet18; budget demo* (steps 50)'
    """
    auxiliaries = ", ".join(run["auxiliaries"])
    recipe = dict(run["recipe"])
    budget = recipe["budget"]
    tier = _tier(budget)
    changes = [
        f"{key.replace('_', ' ')} {spelled(recipe[key]) if key in recipe else 'unknown'}"
        for key in sorted({*tier, *recipe} - {"budget"})
        if key not in tier or key not in recipe or recipe[key] != tier[key]
    ]
    parts = [
        f"{run['dataset']} {run['primary']}" + (f" with {auxiliaries}" if auxiliaries else ""),
        network_of(run),
        f"budget {budget}" + (f" ({', '.join(changes)})" if changes else ""),
    ]
    if run["protocol"] != PROTOCOL:
        parts.append(f"protocol {run['protocol']}")
    return "; ".join(parts)


def network_of(run: Mapping[str, Any]) -> str:
    """The backbone of a run with its initial weights and its head, where these are not the default.

    >>> network_of({"backbone": "resnet18", "pretrained": True, "head": "deeplab"})
    'resnet18 pretrained with head deeplab'
    """
    start = " pretrained" if run["pretrained"] else ""
    if digest := run.get("weights"):
        start = f" from weights {digest[:12]}"
    head = f" with head {run['head']}" if run.get("head", HEAD) != HEAD else ""
    return f"{run['backbone']}{start}{head}"


@lru_cache(maxsize=1024)
def _tier(budget: str) -> dict[str, Any]:
    """The recipe that a budget is named after."""
    return BUDGETS.get(budget.rstrip("*"), Recipe(budget, "", 0, 0, 0)).to_json()
