"""Words that figures share: the signs of verdicts, and what verdicts hold for."""

from __future__ import annotations

from auxbench.report.figure.content import Content

SIGNS = {"better": "▲", "worse": "▼", "equivalent": "=", "undecided": ""}


def judged(content: Content, *notes: str) -> list[str]:
    """Notes, and what verdicts hold for where intervals stand beside them."""
    sizes = content.comparison.sizes if content.comparison else {}
    if sum(sizes.values()) < 2:
        return content.noted(*notes)
    declared, others = (sizes.get(kind, 0) for kind in ("confirmatory", "exploratory"))
    which = f"all {others} comparisons with {content.control} together"
    if declared:
        which = f"the {declared} declared comparisons together"
        which += f", and for the {others} others together" if others else ""
    text = (
        f"Each interval is that of one comparison by itself; verdicts hold for {which} (Holm), so "
        "that an interval without 0 may belong to an undecided one."
    )
    return content.noted(*notes, text)
