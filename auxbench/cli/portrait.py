"""The data report at the command line, for `data report` and for `advise`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from auxbench.cli.options import show
from auxbench.errors import UsageError, visible
from auxbench.spec.grammar import Choice, split_list
from auxbench.spec.registry import DATASETS

if TYPE_CHECKING:
    from auxbench.data.portrait import Portrait


def look(
    dataset: str,
    primary: str | None,
    auxiliary: str | None,
    side: int,
    samples: int,
    tiny: bool,
    style: str,
) -> Portrait:
    """Make the portrait of a problem and print its tables, warnings last and on stderr.

    Without a `style`, only the warnings are printed. Without `auxiliary`, all other tasks of the
    data set are auxiliaries. Errors: `UsageError` for unknown names and for fewer than one sample.
    """
    from auxbench.data.dataset import make_dataset
    from auxbench.data.portrait import portrait
    from auxbench.data.problem import Problem
    from auxbench.report.portrait import tables, warnings

    if samples < 1:
        raise UsageError(f"samples is {samples}; ask for at least 1.")
    if side < 1:
        raise UsageError(f"side is {side}; ask for at least 1.")
    maker = DATASETS[Choice.parse(dataset).name]
    made = maker.tiny() if tiny else make_dataset(dataset, side)
    chosen = None if auxiliary is None else split_list(auxiliary)
    problem = Problem.of(made, primary, chosen)
    if chosen is None:
        others = [name for name in made.tasks if name != problem.primary.name]
        problem = Problem.of(made, primary, others)
    made.prepare()
    found = portrait(dataset, problem, samples)
    if style:
        show(tables(found), style)
    if style == "text":
        click.echo()
    for warning in warnings(found):
        click.echo(f"auxbench: {visible(warning)}", err=True)
    return found
