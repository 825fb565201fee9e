"""Sheets: the paper of a figure, on which places are points from the upper left corner."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auxbench.errors import UsageError
from auxbench.report.figure.text import LEADING, SIZE, SMALL, height, paragraph
from auxbench.report.page.look import colours, looks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

MM = 72 / 25.4
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # matplotlib brings it, so that files are the same everywhere
    "font.size": SIZE,
    "text.hinting": "no_hinting",  # the same widths in every format
    "text.parse_math": False,
    "axes.linewidth": 0.5,
    "hatch.linewidth": 0.4,
    "lines.solid_capstyle": "butt",
    "pdf.fonttype": 42,  # TrueType, embedded; publishers refuse type 3
    "svg.fonttype": "path",  # outlines, which need no font
    "svg.hashsalt": "auxbench",
}
# Without what differs from one time or version to the next.
METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "pdf": {"Creator": "auxbench", "Producer": None, "CreationDate": None},
    "svg": {"Creator": "auxbench", "Date": None},
}
DPI = 300
SHAPES = {"circle": "o", "square": "s", "diamond": "D", "up": "^", "down": "v", "plus": "P"}
NOTE_GAP = 5.0


@contextmanager
def drawing() -> Iterator[None]:
    """The settings under which figures are drawn and saved; others' settings do not count.

    Errors: `UsageError` without matplotlib.
    """
    try:
        import matplotlib
    except ImportError:
        raise UsageError(
            "figures need the package matplotlib; pip install 'auxbench[plot]'."
        ) from None
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


class Sheet:
    """A figure in the making, `width` by `height` points and as much as its notes need.

    `notes` are small print below it.
    """

    def __init__(self, width: float, height_: float, notes: Sequence[str] = ()) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        lines = [line for note in notes for line in paragraph(note, width - 2)]
        self.width = width
        self.height = height_ + (NOTE_GAP + height(len(lines), SMALL) if lines else 0)
        self.figure = Figure(figsize=(width / 72, self.height / 72), dpi=DPI)
        FigureCanvasAgg(self.figure)
        for place, line in enumerate(lines):
            top = height_ + NOTE_GAP + height(place, SMALL)
            self.text(1, top, line, SMALL, va="top", color=colours()["soft"])

    def axes(self, left: float, top: float, width: float, height_: float) -> Axes:
        """Axes at a place, without spines but the lower and left ones."""
        box = (
            left / self.width,
            1 - (top + height_) / self.height,
            width / self.width,
            height_ / self.height,
        )
        axes = self.figure.add_axes(box)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(length=2, width=0.5, pad=2, labelsize=SMALL, colors=colours()["soft"])
        axes.spines[:].set_color(colours()["rule"])
        return axes

    def text(self, x: float, y: float, text: str, size: float = SIZE, **more: Any) -> None:
        """Text at a place; `ha`, `va` and `color` as in matplotlib."""
        settings = {"color": colours()["ink"], "va": "center", "linespacing": LEADING, **more}
        self.figure.text(x / self.width, 1 - y / self.height, text, fontsize=size, **settings)

    def mark(self, x: float, y: float, method: Mark, **more: Any) -> None:
        """The mark of a method at a place."""
        from matplotlib.lines import Line2D

        place = ([x / self.width], [1 - y / self.height])
        self.figure.add_artist(Line2D(*place, linestyle="none", **method.style(**more)))

    def line(self, xs: Sequence[float], ys: Sequence[float], **more: Any) -> Line2D:
        """A line through places."""
        from matplotlib.lines import Line2D

        drawn = Line2D([x / self.width for x in xs], [1 - y / self.height for y in ys], **more)
        self.figure.add_artist(drawn)
        return drawn

    def save(self, path: Path, style: str) -> None:
        """Write the figure as png, pdf or svg, the same bytes each time."""
        self.figure.savefig(path, format=style, metadata=METADATA[style])


class Mark:
    """The colour and shape of a method, the same on the page."""

    def __init__(self, colour: int | None, shape: str) -> None:
        known = colours()
        self.colour = known["soft" if colour is None else f"c{colour}"]
        self.shape = SHAPES[shape]

    def style(self, size: float = 4.2, hollow: bool = False, edge: float = 0.8) -> dict[str, Any]:
        """The settings of a line in matplotlib; hollow marks are white inside."""
        return {
            "marker": self.shape,
            "markersize": size * {"D": 0.85, "s": 0.92, "P": 1.1}.get(self.shape, 1),
            "markerfacecolor": colours()["card"] if hollow else self.colour,
            "markeredgecolor": self.colour,
            "markeredgewidth": edge,
        }


def marks(methods: Sequence[str]) -> dict[str, Mark]:
    """The mark of every method among these."""
    return {name: Mark(*look) for name, look in looks(methods).items()}
