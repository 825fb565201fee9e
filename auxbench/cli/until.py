"""Runs until comparisons are decided: `auxbench run --until decided`."""

from __future__ import annotations

from typing import Any

import click

from auxbench.cli.options import rows
from auxbench.errors import UsageError


def run_until_decided(
    methods: str, dataset: str, results: str, control: str, most: int, **words: Any
) -> None:
    """Add seeds, look by look, for the comparisons that are not decided yet.

    A method drops out once all its comparisons with the control, on every problem, are decided.
    Errors: `UsageError` for fewer seeds than the first look has, and for a control that is not run.
    """
    from auxbench import run
    from auxbench.records.declared import Declared
    from auxbench.records.looks import Looks
    from auxbench.report.comparison import compare
    from auxbench.spec.files import all_named, is_path, named
    from auxbench.spec.registry import METHODS
    from auxbench.stats.sequential import LOOKS

    methods = ",".join(all_named(methods, METHODS))
    control = named(control, METHODS)
    stages = [count for count in LOOKS if count <= most]
    if not stages:
        raise UsageError(f"max-seeds is {most}; ask for at least {min(LOOKS)}.")
    looks, active = Looks(results), methods
    for count in stages:
        ended = run(active, dataset, results=results, seeds=count, **words)
        problems = set(ended["problem"])
        found = rows(results)
        found = found[found["problem"].isin(problems) & (found["seed"] < count)]
        if unsafe := next(filter(is_path, found["method"].unique()), None):
            raise UsageError(
                f"a record in '{results}' has the method '{unsafe}', which is a path; name another "
                "folder."
            )
        others = [name for name in found["method"].unique() if name != control]
        present = {*active.split(",")} if count != stages[0] else {*others, control}
        earlier = looks.latest()
        now = {
            (problem, method, control): count
            for problem in problems
            for method in present - {control}
        }
        comparison = compare(
            found,
            others,
            control,
            looks={**earlier, **now},
            declared=Declared(results).pairs(),
        )
        for key in now:
            looks.append(*key, count)
        undecided = {d.method for d in comparison.differences if d.verdict == "undecided"}
        text = ", ".join(sorted(undecided)) or "nothing"
        click.echo(f"after {count} seeds, undecided: {text}", err=True)
        if not undecided:
            break
        active = ",".join([control, *sorted(undecided)])
