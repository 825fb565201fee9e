"""The gallery: which figures there are, and their files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from auxbench.errors import UsageError, suggestion
from auxbench.report.figure.content import Content, Place
from auxbench.report.figure.cost import cost
from auxbench.report.figure.forest import forest
from auxbench.report.figure.heat import heat
from auxbench.report.figure.ranks import ranks
from auxbench.report.figure.sheet import MM, Sheet
from auxbench.report.figure.traces import curves, links, weights

STYLES = ("pdf", "png", "svg")
WIDTHS = {"column": 84.0, "page": 174.0}  # millimetres
LEAST, MOST = 60.0, 400.0
FIGURES = {  # in their order on the page, each with why it may be impossible
    "forest": "no difference from the control is recorded",
    "heat": "it needs two problems",
    "cost": "costs relative to the control's are not recorded",
    "curves": "no run looked at validation while it trained",
    "links": "no method recorded links between branches",
    "weights": "no method recorded weights that vary",
    "ranks": "it needs more problems",
}
BY_PROBLEM = {"forest": forest, "curves": curves, "links": links, "weights": weights}


def sheets(
    content: Content, kinds: Sequence[str], wide: float, cost_of: str = "train_flops"
) -> Iterator[tuple[str, Sheet]]:
    """Draw the figures of these kinds, `wide` points each, with the stems of their files.

    All kinds that are possible are drawn if none is named. Must run within `drawing`. Errors:
    `UsageError` for an unknown kind, and for a named one that is impossible.
    """
    for kind in kinds:
        if kind not in FIGURES:
            raise UsageError(f"no figure is called '{kind}'; {suggestion(kind, FIGURES)}")
    if content.missing and {*kinds} & {"forest", "heat", "cost", "ranks"}:
        raise UsageError(content.missing)
    stems = _stems(content.places)
    for kind in dict.fromkeys(kinds or FIGURES):
        drawn = 0
        for place, sheet in _drawn(content, kind, wide, cost_of, forced=kind in kinds):
            drawn += 1
            yield f"{kind}{stems[place.name] if place else ''}", sheet
        if kind in kinds and not drawn:
            raise UsageError(f"figure '{kind}' shows nothing here: {FIGURES[kind]}.")


def write(
    drawn: Iterator[tuple[str, Sheet]], out: Path, style: str | None
) -> Iterator[tuple[Path, Sheet]]:
    """Write figures into a folder, or one into a file whose ending is its format.

    Errors: `UsageError` for several figures in one file, and for an unknown format.
    """
    if not out.suffix or out.is_dir():
        out.mkdir(parents=True, exist_ok=True)
        for stem, sheet in drawn:
            path = out / f"{stem}.{style or STYLES[0]}"
            sheet.save(path, style or STYLES[0])
            yield path, sheet
        return
    ending = out.suffix[1:].lower()
    if ending not in STYLES:
        raise UsageError(f"file '{out}' has an unknown format; end its name in .pdf, .png or .svg.")
    if style and style != ending:
        raise UsageError(f"file '{out}' is not called .{style}; leave --format out, or rename it.")
    every = list(drawn)
    if len(every) > 1:
        names = ", ".join(stem for stem, _ in every[:4]) + (", ..." if len(every) > 4 else "")
        raise UsageError(
            f"file '{out}' is one, but there are {len(every)} figures ({names}); name a folder, or "
            "one figure and one problem."
        )
    for _, sheet in every:
        sheet.save(out, ending)
        yield out, sheet


def points_of(width: str) -> float:
    """The width of a figure in points: of a column, a page, or in millimetres.

    >>> round(points_of("page")), round(points_of("84"))
    (493, 238)
    """
    try:
        length = WIDTHS[width] if width in WIDTHS else float(width)
    except ValueError:
        length = 0.0
    if not LEAST <= length <= MOST:
        raise UsageError(
            f"width '{width}' is impossible; write column ({WIDTHS['column']:g} mm), page "
            f"({WIDTHS['page']:g} mm), or {LEAST:g} to {MOST:g} millimetres."
        )
    return length * MM


def _drawn(
    content: Content, kind: str, wide: float, cost_of: str, forced: bool
) -> Iterator[tuple[Place | None, Sheet]]:
    """The figures of one kind; those that are not `forced` are left out where impossible."""
    if kind in ("heat", "ranks"):
        try:
            sheet = (heat if kind == "heat" else ranks)(content, wide)
        except UsageError:
            if forced:
                raise
            return
        if sheet:
            yield None, sheet
        return
    for place in content.places:
        if kind == "cost":
            sheet = cost(content, place, wide, cost_of)
        else:
            sheet = BY_PROBLEM[kind](content, place, wide)
        if sheet:
            yield place, sheet


def _stems(places: Sequence[Place]) -> dict[str, str]:
    """The ends of the names of files, by problem; none if there is one problem."""
    if len(places) < 2:
        return {place.name: "" for place in places}
    found: dict[str, str] = {}
    for place in places:
        words = re.sub(r"[^a-z0-9]+", "-", place.short.lower()).strip("-")[:80]
        taken = sum(stem == f"-{words}" for stem in found.values())
        found[place.name] = f"-{words}-{len(found) + 1}" if taken or not words else f"-{words}"
    return found
