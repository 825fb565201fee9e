"""Commands for authors of parts: `new` writes a file, `check` tests it against its contract."""

from __future__ import annotations

from pathlib import Path

import click

from auxbench.cli.lists import tell_shadowed
from auxbench.cli.options import format_option, show
from auxbench.errors import UsageError


@click.command()
@click.argument("part")
@click.option("--timeout", default="2m", show_default=True, help="Time limit of each check.")
@format_option
@click.pass_context
def check(context: click.Context, part: str, timeout: str, style: str) -> None:
    """Check PART against its contract: a method, data set or backbone. ./mine.py names a file."""
    import torch

    from auxbench.contract.check import Subject, attempt, table, time_limit
    from auxbench.contract.documentation import Broken
    from auxbench.data.progress import bar
    from auxbench.execution.limits import Limits

    seconds = Limits.of(timeout=timeout).timeout
    torch.set_num_threads(1)  # the networks are tiny, and threads would wait for each other
    try:
        with time_limit(seconds):
            subjects = Subject.every(part)
    except Broken as error:
        raise UsageError(f"'{part}' cannot be built: {error}") from None
    tell_shadowed([name for subject in subjects for name in subject.names])
    tables, failed = [], False
    for subject in subjects:
        planned, results = subject.checks(), []
        with bar(f"checking {subject.whole}", len(planned), unit="check") as done:
            for one, asked in planned:
                results.append(attempt(one, asked, seconds))
                done(1)
        tables.append(table(subject, results))
        failed |= any(result.ok is False for result in results)
    show(tables, style)
    context.exit(int(failed))


@click.command()
@click.argument("kind", type=click.Choice(["method", "architecture", "dataset", "backbone"]))
@click.argument("name")
@click.option("--folder", type=click.Path(path_type=Path), help="Folder; by default this one.")
@click.option(
    "--source",
    help='Paper of a method, such as: A. Author, "Title", ICML 2026, https://arxiv.org/abs/...',
)
def new(kind: str, name: str, folder: Path | None, source: str | None) -> None:
    """Write the file of a new part NAME into this folder. It passes its contract unchanged."""
    from auxbench.contract.template import write

    for line in write(name, kind, folder, source):
        click.echo(line)
