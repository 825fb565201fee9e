"""Commands for authors of methods: `new` writes a file, `check` tests it against the contract."""

from __future__ import annotations

from pathlib import Path

import click

from auxbench.cli.lists import tell_shadowed
from auxbench.cli.options import format_option, show
from auxbench.errors import UsageError


@click.command()
@click.argument("method")
@click.option("--timeout", default="2m", show_default=True, help="Time limit of each check.")
@format_option
@click.pass_context
def check(context: click.Context, method: str, timeout: str, style: str) -> None:
    """Check METHOD against the contract. A path such as ./mine.py names a file."""
    import torch

    from auxbench.contract.check import Subject, attempt, table, time_limit
    from auxbench.contract.documentation import Broken
    from auxbench.data.progress import bar
    from auxbench.execution.limits import Limits

    seconds = Limits.of(timeout=timeout).timeout
    torch.set_num_threads(1)  # the networks are tiny, and threads would wait for each other
    try:
        with time_limit(seconds):
            subject = Subject.find(method)
    except Broken as error:
        raise UsageError(f"method '{method}' cannot be built: {error}") from None
    tell_shadowed(subject.names)
    results = []
    with bar(f"checking {subject.method}", len(planned := subject.checks()), unit="checks") as done:
        for part, one in planned:
            results.append(attempt(part, one, seconds))
            done(1)
    show([table(subject, results)], style)
    context.exit(1 if any(result.ok is False for result in results) else 0)


@click.command()
@click.argument("what", type=click.Choice(["method"]))
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(["balancer", "architecture"]),
    default="balancer",
    show_default=True,
    help="Kind of method.",
)
@click.option(
    "--folder", type=click.Path(path_type=Path), help="Folder; default methods/ of a checkout."
)
@click.option("--source", help='Such as: A. Author, "Title", ICML 2026, https://arxiv.org/abs/...')
def new(what: str, name: str, kind: str, folder: Path | None, source: str | None) -> None:
    """Write the file of a new method NAME. It passes the contract unchanged."""
    from auxbench.contract.template import write

    for line in write(name, kind, folder, source):
        click.echo(line)
