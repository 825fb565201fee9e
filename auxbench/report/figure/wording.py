"""Words that figures share: the signs of verdicts, and what verdicts hold for."""

from __future__ import annotations

from auxbench.report.figure.content import Content

SIGNS = {"better": "▲", "worse": "▼", "equivalent": "=", "undecided": ""}


def judged(content: Content, *notes: str) -> list[str]:
    """Notes, and what verdicts hold for where intervals stand beside them."""
    family = content.family
    if family < 2:
        return content.noted(*notes)
    text = (
        f"Each interval is that of one comparison by itself; verdicts hold for all {family} "
        f"comparisons with {content.control} together (Holm), so that an interval without 0 may "
        "belong to an undecided one."
    )
    return content.noted(*notes, text)
