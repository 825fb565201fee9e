"""The commands `auxbench data`: find, verify, convert, fetch and draw data sets on the disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from auxbench.cli.options import format_option
from auxbench.errors import UsageError
from auxbench.spec.grammar import Choice

if TYPE_CHECKING:
    from auxbench.data.prepared.layout import Finding, Layout

DEPTH = 3  # levels of an archive to search for the folder with the data


@click.group()
def data() -> None:
    """Recognise, verify, convert, fetch and look at data sets."""


@data.command(name="list")
@format_option
def list_(style: str) -> None:
    """List the data sets, their layouts, and what is prepared in the cache folder."""
    from auxbench.data.own import places
    from auxbench.data.prepared import recognise as layouts
    from auxbench.report.tables import Column, Table, render

    columns = (
        Column("name", "data set"),
        Column("layout", "layout"),
        Column("expects", "recognised by"),
        Column("ready", "prepared as, or by"),
        Column("licence", "licence"),
    )
    rows = []
    for name in layouts.names():
        known = layouts.layouts_of(name)
        for one in known:
            found = _prepared(name, one.name)
            ready = ", ".join(found) or f"auxbench data prepare {name}"
            row = {"name": name, "layout": one.name, "expects": one.expects, "ready": ready}
            rows.append({**row, "licence": one.licence})
        if not known:
            ready, licence = f"auxbench data fetch {name}", layouts.licence(name)
            rows.append({"name": name, "ready": ready, "licence": licence})
    for name in places.names():
        row = {"name": f"folder:name={name}", "ready": str(places.place_of(name))}
        rows.append({**row, "licence": "yours"})
    notes = ("auxbench data check DIR says which layout a folder has, and whether it is complete.",)
    click.echo(render([Table("", columns, rows, notes)], style), nl=False)


@data.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--dataset", help="A data set with options, such as nyuv2:size=480x640.")
@click.option("--all", "every", is_flag=True, help="Decode every sample, not just a few.")
@format_option
def check(folder: Path, dataset: str | None, every: bool, style: str) -> int:
    """Identify and validate the data set in FOLDER; say where to get what is missing."""
    from auxbench.data.own.table import is_own
    from auxbench.data.prepared.form import MARKER
    from auxbench.report.tables import Column, Table, render

    if (folder / MARKER).is_file():
        title, findings, tail = _check_prepared(folder)
    elif dataset is None and is_own(folder):
        title, findings, tail = _check_own(folder)
    else:
        title, findings, tail = _check_layout(folder, dataset, every)
    columns = (
        Column("subject", "what"),
        Column("status", "is"),
        Column("detail", "seen"),
    )
    rows = [vars(finding) for finding in findings]
    click.echo(render([Table(title, columns, rows, tail)], style), nl=False)
    return int(any(finding.status == "wrong" for finding in findings))


@data.command()
@click.argument("dataset")
@click.option(
    "--source",
    required=True,
    type=click.Path(path_type=Path),
    help="The folder with the data, or an archive (zip, tar) of it.",
)
@click.option("--out", help="A name in the cache folder or a path; DATASET-LAYOUT by default.")
def prepare(dataset: str, source: Path, out: str | None) -> None:
    """Convert DATASET from its own layout into fast local files, once.

    Options of the conversion follow the name: nyuv2:size=480x640. A conversion that was stopped
    resumes where it left off.
    """
    from auxbench.data.prepared.convert import prepare as convert
    from auxbench.data.prepared.form import place
    from auxbench.data.prepared.recognise import layouts_of

    choice = Choice.parse(dataset)
    layouts_of(choice.name)  # an unknown name is reported before anything is unpacked
    with _unpacked(source, place(out or choice.name)) as folder:
        found = _opened(folder, choice)
        options = _options(choice, type(found))
        words = [word for option in options.items() for word in option]
        name = out or "-".join([choice.name, found.name, *words])
        prepared = convert(found, place(name), options)
    used = f"{choice.name}:layout={found.name}"
    if name != f"{choice.name}-{found.name}":
        used += f":data={name}"
    counts = ", ".join(f"{count} {split}" for split, count in prepared.counts.items())
    click.echo(f"{counts} in '{prepared.folder}'; auxbench run --dataset {used} uses them.")


@data.command()
@click.argument("dataset")
def fetch(dataset: str) -> None:
    """Make DATASET ready without files of your own, if its licence permits redistribution."""
    from auxbench.data.prepared.recognise import layouts_of
    from auxbench.spec.files import named
    from auxbench.spec.registry import DATASETS

    dataset = named(dataset, DATASETS)
    choice = Choice.parse(dataset)
    known = layouts_of(choice.name)
    if known:
        where = "; or ".join(dict.fromkeys(one.source for one in known))
        raise UsageError(
            f"data set '{choice.name}' may not be fetched for you ({known[0].licence}); "
            f"get {where}; then auxbench data prepare {choice.name} --source DIR."
        )
    from auxbench.data.dataset import make_dataset

    make_dataset(dataset, 64).prepare()
    click.echo(f"{choice.name} is ready; auxbench data show {dataset} draws some of it.")


@data.command()
@click.argument("dataset")
@click.option("--split", default="train", type=click.Choice(("train", "validation", "test")))
@click.option("--count", default=4, show_default=True, help="How many samples.")
@click.option("--side", default=128, show_default=True, help="Image height in pixels.")
@click.option("--augment", is_flag=True, help="Augment samples as in training.")
@click.option("--tiny", is_flag=True, help="The tiny variant for tests, which needs no data.")
@click.option("--out", type=click.Path(path_type=Path), help="The picture; DATASET.png by default.")
def show(
    dataset: str, split: str, count: int, side: int, augment: bool, tiny: bool, out: Path | None
) -> None:
    """Draw every task of a few samples of DATASET into one PNG file."""
    from auxbench.data.dataset import make_dataset
    from auxbench.data.preview import preview
    from auxbench.spec.files import named
    from auxbench.spec.registry import DATASETS

    if count < 1:
        raise UsageError(f"count is {count}; ask for at least 1.")
    dataset = named(dataset, DATASETS)
    choice = Choice.parse(dataset)
    made = DATASETS[choice.name].tiny() if tiny else make_dataset(dataset, side)
    if made.frame and not (tiny or augment or {"side", "size"} & choice.options.keys()):
        # training uses a square of it, but a preview should show all of it
        height = min(side, made.frame[0])
        width = round(height * made.frame[1] / made.frame[0])
        whole = Choice(choice.name, {**choice.options, "size": f"{height}x{width}"})
        made = make_dataset(str(whole), side)
    made = made.first(count)
    made.prepare()
    page = preview(made, split, count, augment)
    path = out or Path(f"{choice.name}.png")
    try:
        page.save(path, "PNG")
    except OSError as error:
        raise UsageError(f"'{path}' cannot be written ({error.strerror}); name another.") from None
    click.echo(f"{path}: {page.width} x {page.height} pixels")


@data.command()
@click.argument("dataset")
@click.option("--primary", help="Primary task; default by data set.")
@click.option("--auxiliary", help="Auxiliary tasks; default all others.")
@click.option("--side", default=64, show_default=True, help="Image side in pixels.")
@click.option("--samples", default=2000, show_default=True, help="Most samples read per split.")
@click.option("--tiny", is_flag=True, help="The tiny variant for tests, which needs no data.")
@format_option
def report(
    dataset: str,
    primary: str | None,
    auxiliary: str | None,
    side: int,
    samples: int,
    tiny: bool,
    style: str,
) -> None:
    """Say what can be seen of DATASET before training: labels, near-duplicates, what labels say.

    Warnings come last: labels that determine the primary task, and test samples that are also in
    training.
    """
    from auxbench.cli.portrait import look

    look(dataset, primary, auxiliary, side, samples, tiny, style)


def _options(choice: Choice, maker: type[Layout]) -> dict[str, str]:
    """The options of a conversion that differ from the layout's defaults, checked and sorted."""
    return dict(Choice(maker.name, choice.options).canonical(maker).options)


def _opened(folder: Path, choice: Choice | None) -> Layout:
    """The layout of a folder, with the user's options."""
    from auxbench.data.prepared.recognise import recognise

    maker = recognise(folder, choice.name if choice else None)
    options = Choice(maker.name, choice.options).values(maker) if choice else {}
    return maker(folder, **options)


@contextmanager
def _unpacked(source: Path, beside: Path) -> Iterator[Path]:
    """The folder with the data; an archive is unpacked for the duration of the block.

    The unpacked files stay if the conversion is stopped, so that it can resume; at its end they are
    removed.
    """
    from auxbench.data.prepared.download import ARCHIVES, unpack

    if not (source.is_file() and source.name.lower().endswith(ARCHIVES)):
        yield source
        return
    folder = beside.with_name(f"{beside.name}.unpacked")
    if not folder.is_dir():
        beside.parent.mkdir(parents=True, exist_ok=True)
        unpack(source, folder)
    yield _inner(folder)
    shutil.rmtree(folder)


def _inner(folder: Path) -> Path:
    """The first folder down an archive that holds more than a single folder."""
    for _ in range(DEPTH):
        inside = [path for path in folder.iterdir() if not path.name.startswith((".", "__"))]
        if len(inside) != 1 or not inside[0].is_dir():
            break
        folder = inside[0]
    return folder


def _prepared(dataset: str, layout: str) -> list[str]:
    """The names of the folders in the cache that were prepared from a layout."""
    from auxbench.data.prepared import cache
    from auxbench.data.prepared.form import MARKER, Prepared

    names = []
    for marker in sorted(cache.root().glob(f"*/{MARKER}")):
        with suppress(UsageError):
            Prepared.open(marker.parent, dataset, layout)
            names.append(marker.parent.name)
    return names


def _check_prepared(folder: Path) -> tuple[str, list[Finding], tuple[str, ...]]:
    from auxbench.data.prepared.form import Prepared

    prepared = Prepared.open(folder)
    dataset, layout = prepared.card["dataset"], prepared.card["layout"]
    counts = ", ".join(f"{count} {split}" for split, count in prepared.counts.items())
    title = f"{folder}: {dataset}, prepared from the layout {layout}, {counts}"
    return title, list(prepared.verify()), ()


def _check_own(folder: Path) -> tuple[str, list[Finding], tuple[str, ...]]:
    from auxbench.data.own.review import review

    title, findings = review(folder)
    usable = all(finding.status == "ok" for finding in findings)
    tail = (f"auxbench run --dataset {quote(f'folder:data={folder}')} uses it.",) if usable else ()
    return title, findings, tail


def _check_layout(
    folder: Path, dataset: str | None, every: bool
) -> tuple[str, list[Finding], tuple[str, ...]]:
    from auxbench.data.prepared.layout import check as look

    found = _opened(folder, Choice.parse(dataset) if dataset else None)
    findings = list(look(found, every))
    title = f"{folder}: {found.dataset}, layout {found.name} ({found.summary})"
    licence = f"Licence: {found.licence}."
    if any(finding.status != "ok" for finding in findings):
        return title, findings, (f"Where to get it: {found.source}.", licence)
    prepare = f"auxbench data prepare {found.dataset} --source {quote(str(folder))} makes it ready."
    return title, findings, (prepare, licence)
