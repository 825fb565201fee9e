"""Traces: learning curves, link strengths and task weights over training steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

from auxbench.data.progress import counted
from auxbench.report.figure.content import Content, Place
from auxbench.report.figure.key import Key
from auxbench.report.figure.panel import BELOW, DASHES, Line, Look, margin, overhang, panel, span
from auxbench.report.figure.sheet import MM, Sheet
from auxbench.report.figure.text import SMALL, fold, height, width
from auxbench.report.page.look import colours

WIDE = 330.0  # points from which on three panels stand side by side
PAGE = 230 * MM  # the most that a figure is high
TASKS = ("c0", "c1", "c2", "c3", "c6", "c7", "c4", "c5")
SMALL_PANEL = 62.0
GAP = 10.0
TICKS = 12.0


def curves(content: Content, place: Place, wide: float) -> Sheet | None:
    """Learning curves with bands, of the chosen methods or else of those the page begins with."""
    recorded = [name for name in place.board if place.lines[name].get("steps")]
    shown = recorded if content.chosen else _first(content, place, recorded)
    if not shown:
        return None
    lines = [_curve(content, place, name, at) for at, name in enumerate(shown)]
    limits = span(lines)
    tall = 150.0 if wide < WIDE else 180.0
    left = 12 + margin(limits, tall)
    key = Key.of(shown, wide - left)
    seeds = {place.lines[name]["n"] for name in shown}
    many = counted(seeds.pop(), "seed") if len(seeds) == 1 else "the seeds"
    note = (
        f"On {place.short}. Validation {place.metric or 'score'} of the deployed network: mean "
        f"over {many} with a 95 % interval."
    )
    sheet = Sheet(wide, tall + 3 + BELOW + key.height + 3, content.noted(note))
    panel(sheet, (left, 3, wide - left - overhang(lines), tall), lines, limits)
    sheet.text(4, 3 + tall / 2, f"validation {place.score}", SMALL, ha="center", rotation=90)

    def sign(at: int, x: float, y: float) -> None:
        line = lines[at]
        sheet.line([x - 7, x + 7], [y, y], color=line.look.colour, lw=1.0, **line.look.style)
        sheet.mark(x, y, content.marks[line.label], size=3.0, edge=0.4)

    key.draw(sheet, tall + 3 + BELOW + 2, sign, left)
    return sheet


def weights(content: Content, place: Place, wide: float) -> Sheet | None:
    """The weights of tasks over time, one panel a method whose weights vary."""
    found = {}
    for name in place.board:
        known = place.lines[name].get("weights") or {}
        if any(isinstance(values, list) for values in known.values()):
            found[name] = known
    tasks = list(dict.fromkeys(task for known in found.values() for task in known))
    looks = {task: _look(at) for at, task in enumerate(tasks)}
    panels = []
    for name, known in found.items():
        steps = place.lines[name]["steps"]
        lines = [
            Line(task, steps, v if isinstance(v, list) else [v] * len(steps), looks[task])
            for task, v in known.items()
        ]
        panels.append(([name], lines))
    text = f"On {place.short}. Weight of each task's loss, mean over seeds."
    return _many(content, panels, looks, wide, text, shared=False)


def links(content: Content, place: Place, wide: float) -> Sheet | None:
    """The strengths of links between branches over time, one panel a method and an auxiliary."""
    known = colours()
    into = Look(known["better"], {"lw": 1.1})
    out = Look(known["worse"], {"lw": 0.8, "ls": DASHES[1], "alpha": 0.8})
    looks = {
        "from the auxiliary into the primary": into,
        "from the primary into the auxiliary": out,
    }
    panels = []
    for name in place.board:
        row = place.lines[name]
        tasks = dict.fromkeys(_task(link) for link in row.get("links") or {})
        for task in tasks:
            lines = []
            for link, blocks in row["links"].items():
                if _task(link) == task:
                    look = into if link.startswith("a2p") else out
                    steps = row["steps"]
                    lines += [Line(f"{link}/{b}", steps, v, look) for b, v in enumerate(blocks)]
            panels.append(([name, task] if len(tasks) > 1 else [name], lines))
    text = (
        f"On {place.short}. Strength of the links between branches, mean over seeds, one line a "
        "block. Those into the primary must close, since deployment drops them."
    )
    return _many(content, panels, looks, wide, text, shared=True)


def _first(content: Content, place: Place, recorded: Sequence[str]) -> list[str]:
    """The best three, the one to use, and the control."""
    wanted = {*[*place.board][:3], place.use, content.control}
    return [name for name in recorded if name in wanted]


def _curve(content: Content, place: Place, name: str, at: int) -> Line:
    known, mark = place.lines[name], content.marks[name]
    look = Look(mark.colour, {"ls": DASHES[at % len(DASHES)]})
    return Line(name, known["steps"], known["m"], look, known["l"], known["h"], mark)


def _look(at: int) -> Look:
    """The look of a task's line: its colour, and dashes that tell it in grey."""
    style = {"ls": DASHES[at % len(DASHES)], "lw": 1.1 if at < len(TASKS) else 0.7}
    return Look(colours()[TASKS[at % len(TASKS)]], style)


def _title(words: Sequence[str], room: float) -> list[str]:
    """The name of a method, and perhaps of a task, on one line if there is room."""
    together = ": ".join(words)
    if width(together, SMALL) <= room:
        return [together]
    return [line for word in words for line in fold(word, room, SMALL)]


def _task(link: str) -> str:
    return link.partition("/")[2] or link


def _many(
    content: Content,
    panels: Sequence[tuple[Sequence[str], Sequence[Line]]],
    looks: Mapping[str, Look],
    wide: float,
    text: str,
    shared: bool,
) -> Sheet | None:
    """Small panels in rows, as many as fit on a page, with one key; `shared` is their axis."""
    if not panels:
        return None
    columns = min(3 if wide >= WIDE else 2, len(panels))
    spans = [span(lines) for _, lines in panels]
    if shared:
        spans = [(0.0, max(high for _, high in spans))] * len(panels)
    else:
        spans = [(min(0.0, low), high) for low, high in spans]
    left = max(margin(limits, SMALL_PANEL) for limits in spans)
    right = max(overhang(lines) for _, lines in panels)
    room = (wide - GAP * (columns - 1) - right) / columns - left
    names = [_title(words, room + left - 2) for words, _ in panels]
    head = height(max(map(len, names)), SMALL) + 3
    row = head + SMALL_PANEL + TICKS + 6
    key = Key.of([*looks], wide)
    most = max(1, int((PAGE - key.height - 40) // row)) * columns
    notes = [text]
    if len(panels) > most:
        notes.append(f"The first {most} of {len(panels)} panels, best methods first.")
        panels = panels[:most]
    rows = ceil(len(panels) / columns)
    tall = rows * row + 10
    sheet = Sheet(wide, tall + key.height + 3, content.noted(*notes))
    for at, (_, lines) in enumerate(panels):
        down, across = divmod(at, columns)
        x, y = across * (room + left + GAP), down * row
        sheet.text(x + 2, y + 1, "\n".join(names[at]), SMALL, va="top")
        last = at + columns >= len(panels)
        panel(sheet, (x + left, y + head, room, SMALL_PANEL), lines, spans[at], title=last)

    def sign(at: int, x: float, y: float) -> None:
        look = [*looks.values()][at]
        sheet.line([x - 7, x + 7], [y, y], color=look.colour, **look.style)

    key.draw(sheet, tall + 3, sign)
    return sheet
