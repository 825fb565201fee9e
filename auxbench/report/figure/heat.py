"""Heat maps: methods by problems, with the difference from the control in every cell."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from auxbench.errors import UsageError
from auxbench.report.figure.content import Content, Place, finite
from auxbench.report.figure.sheet import MM, Sheet
from auxbench.report.figure.text import SMALL, fold, height, number, width
from auxbench.report.figure.wording import SIGNS
from auxbench.report.page.look import colours

LEAST = 9.0  # points of a column
STRONG = 0.6  # of the full colour, from which on text is white
EDGE = 4.0


def heat(content: Content, wide: float) -> Sheet | None:
    """All differences at once, methods by mean place on the boards; None for fewer than 2 problems.

    A cell shows the number if all have room for theirs. Errors: `UsageError` if the problems have
    too little room.
    """
    places = [place for place in content.places if place.compared]
    if len(places) < 2:
        return None
    methods = _sorted(places)
    names = {name: fold(name, 0.36 * wide) for name in methods}
    left = 12 + max(width(line) for lines in names.values() for line in lines) + EDGE
    cell = (wide - left) / len(places)
    if cell < LEAST:
        raise UsageError(
            f"{len(places)} problems do not fit in {wide / MM:.0f} mm; choose a wider --width, or "
            "fewer problems with --dataset, --primary, --backbone or --budget."
        )
    texts = {
        (place.name, name): number(row["difference"], row["digits"], signed=True)
        for place in places
        for name, row in place.compared.items()
        if finite(row["difference"])
    }
    widest = max((width(f"{text} ▲", SMALL) for text in texts.values()), default=0.0)
    numbers = widest <= cell - 4
    head, heads = _heads(places, cell)
    rows = [max(10.5, height(len(names[name])) + 2.5) for name in methods]
    most = _most(places, content.control)
    sheet = Sheet(wide, head + sum(rows) + 1, content.noted(_note(content, numbers)))
    axes = sheet.axes(left, head, wide - left, sum(rows))
    axes.set_xlim(0, wide - left)
    axes.set_ylim(sum(rows), 0)
    axes.set_axis_off()
    for at, lines in enumerate(heads):
        middle = left + (at + 0.5) * cell
        if isinstance(lines, str):
            sheet.text(middle, head - 3, lines, SMALL, ha="center", va="bottom", rotation=90)
        else:
            sheet.text(middle, head - 3, "\n".join(lines), SMALL, ha="center", va="bottom")
    top = 0.0
    for name, tall in zip(methods, rows, strict=True):
        sheet.mark(6, head + top + tall / 2, content.marks[name], size=3.6)
        sheet.text(12, head + top + tall / 2, "\n".join(names[name]))
        for at, place in enumerate(places):
            box = (left + at * cell, head + top, cell, tall)
            text = texts.get((place.name, name), "") if numbers else ""
            _cell(sheet, place, name, content.control, box, most, text)
        top += tall
    return sheet


def _cell(
    sheet: Sheet,
    place: Place,
    name: str,
    control: str,
    box: tuple[float, float, float, float],
    most: float,
    text: str,
) -> None:
    """One cell; only what is decided has colour."""
    from matplotlib.patches import Rectangle

    x, y, wide, tall = box
    row = place.compared.get(name)
    if row is None or not finite(row["difference"]):
        sheet.text(x + wide / 2, y + tall / 2, "—", SMALL, ha="center", color=colours()["faint"])
        return
    verdict = row["verdict"]
    share = min(1.0, abs(_share(place, name, control)) / most)
    decided, strength = verdict in ("better", "worse"), 0.16 + 0.74 * share
    back = colours()["card"]
    if decided:
        back = mixed(colours()[verdict], strength)
    elif verdict == "equivalent":
        back = colours()["equivalent-bg"]
    known = colours()
    rectangle = Rectangle(
        ((x + 0.5) / sheet.width, 1 - (y + tall - 0.5) / sheet.height),
        (wide - 1) / sheet.width,
        (tall - 1) / sheet.height,
        facecolor=back,
        edgecolor=known["line"],
        lw=0.4 if verdict == "undecided" else 0,
    )
    sheet.figure.add_artist(rectangle)
    shown = f"{text} {SIGNS[verdict]}".strip()
    ink = known["card"] if decided and strength > STRONG else known["ink"]
    if shown:
        ink = known["soft"] if verdict == "undecided" else ink
        sheet.text(x + wide / 2, y + tall / 2, shown, SMALL, ha="center", color=ink)


def _heads(places: Sequence[Place], cell: float) -> tuple[float, list[list[str] | str]]:
    """The height of the names of problems, and the names: in lines, or upright if too long."""
    lines = [_words(place.short, cell - 3) for place in places]
    if max(map(len, lines)) <= 5 and min(len(line) for part in lines for line in part) > 2:
        return height(max(map(len, lines)), SMALL) + 4, list(lines)
    short = ["".join(fold(place.short, 120, SMALL, most=1)) for place in places]
    return max(width(text, SMALL) for text in short) + 6, list(short)


def _words(text: str, room: float) -> list[str]:
    """The words of a text in lines."""
    lines: list[str] = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if width(longer, SMALL) <= room:
            lines[-1] = longer
        else:
            lines += fold(word, room, SMALL)
    return [line for line in lines if line]


def _sorted(places: Sequence[Place]) -> list[str]:
    """The methods by their mean place on the boards."""
    ranks: dict[str, list[int]] = {}
    for place in places:
        for at, name in enumerate(place.board):
            if name in place.compared:
                ranks.setdefault(name, []).append(at)
    return sorted(ranks, key=lambda name: (fmean(ranks[name]), name))


def _share(place: Place, name: str, control: str) -> float:
    """The difference as a share of the control's score."""
    base = (place.board.get(control) or {}).get("mean")
    return float(place.compared[name]["difference"]) / (abs(base) if base else 1.0)


def _most(places: Sequence[Place], control: str) -> float:
    """The share that has the full colour: most of all are smaller."""
    every = sorted(
        abs(_share(place, name, control))
        for place in places
        for name, row in place.compared.items()
        if finite(row["difference"])
    )
    return (every[int(0.95 * (len(every) - 1))] if every else 0.0) or 1.0


def _note(content: Content, numbers: bool) -> str:
    what = "Numbers are mean differences" if numbers else "Signs are of the mean difference"
    return (
        f"{what} from {content.control}, positive where the method is better. ▲ better and ▼ worse "
        f"are decided, darker for a larger share of {content.control}'s score; = is equivalent, "
        "and white cells are undecided."
    )


def mixed(colour: str, share: float) -> str:
    """A colour on white, as strong as `share`.

    >>> mixed("#000000", 0.2)
    '#cccccc'
    """
    parts = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return "#" + "".join(f"{round(255 + (part - 255) * share):02x}" for part in parts)
