"""Commands that inform: `list` says what there is, and `show` tells all about one thing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from auxbench.cli.options import format_option, parts_option, results_option
from auxbench.cli.options import show as show_tables
from auxbench.errors import UsageError, suggestion

if TYPE_CHECKING:
    from auxbench.report.tables import Table

LISTS = ("methods", "datasets", "backbones", "heads", "budgets")
THINGS = ("method", "dataset", "backbone")


@click.command(name="list")
@click.argument("kind", type=click.Choice(LISTS))
@click.option(
    "--cite", metavar="METHODS", help="BibTeX of methods, such as sum,auxnas+pcgrad, or all."
)
@parts_option
@format_option
def list_(kind: str, cite: str | None, style: str) -> None:
    """List methods, data sets, backbones, heads or budgets."""
    from auxbench.report.cite import bibliography
    from auxbench.report.lists import TABLES

    if cite is None:
        show_tables([TABLES[kind]()], style)
        if kind in ("methods", "datasets", "backbones"):
            tell_shadowed()
    elif kind != "methods":
        raise UsageError(f"cite '{cite}' does not go with {kind}; write list methods --cite.")
    else:
        click.echo(bibliography(cite), nl=False)


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="RUN | method|dataset|backbone NAME")
@results_option
@format_option
def show(words: tuple[str, ...], results: str, style: str) -> None:
    """Show a method, data set, backbone or run. A RUN is named by the first digits of its id."""
    import json

    from auxbench.records.store import Store
    from auxbench.report import run

    kind, *names = words
    if kind in THINGS or names:
        if kind not in THINGS:
            raise UsageError(f"nothing of kind '{kind}' can be shown; {suggestion(kind, THINGS)}")
        if len(names) != 1:
            raise UsageError(f"show {kind} is followed by {len(names)} names; give one.")
        show_tables(_tables(kind, names[0]), style)
        return
    record = Store(Path(results)).record(kind)
    if "run" not in record:
        raise UsageError(f"record '{record['id']}' is not of a run; name another.")
    if style == "json":
        click.echo(json.dumps(record, indent=2))
    else:
        show_tables(run.tables(record), style)


def _tables(kind: str, name: str) -> list[Table]:
    """The tables of a part; a method of one's own or of another package is measured first."""
    from auxbench.report import backbone, dataset, method
    from auxbench.report.catalogue import entries
    from auxbench.spec.files import named
    from auxbench.spec.registry import BACKBONES, DATASETS, METHODS

    registry = {"method": METHODS, "dataset": DATASETS, "backbone": BACKBONES}[kind]
    name = named(name, registry)
    if kind == "dataset":
        return dataset.tables(name)
    if kind == "backbone":
        from auxbench.contract.backbone import measured

        return backbone.tables(name, measured(name))
    if name in entries():
        return method.tables(name, entries()[name])
    METHODS[name]  # an unknown name is reported before torch is imported
    from auxbench.contract.catalogue import measure

    return method.tables(name, measure(name))


def tell_shadowed(names: list[str] | None = None) -> None:
    """Report packages whose parts are not used because their names are taken."""
    from auxbench.spec.files import REGISTRIES

    for registry in REGISTRIES.values():
        for name, sentence in registry.shadowed.items():
            if names is None or name in names:
                click.echo(f"auxbench: {sentence}", err=True)
