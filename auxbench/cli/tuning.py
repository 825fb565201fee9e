"""The options of tuning: of `tune`, which carries it out, and of `plan`, which only plans it."""

from __future__ import annotations

import click

from auxbench.cli.options import F, added

TUNING = ("trials", "tuning_seeds", "halving", "sampler")


def tuning_options(command: F) -> F:
    """Add the options of a tuning."""
    return _tuning(command, 8, 2, False, "sobol", "")


def planned_tuning_options(command: F) -> F:
    """Add the options of a tuning that may be planned; each of them asks for one."""
    return _tuning(command, None, None, None, None, "Plan a tuning: ")


def _tuning(
    command: F,
    trials: int | None,
    seeds: int | None,
    halving: bool | None,
    sampler: str | None,
    before: str,
) -> F:
    given = trials is not None
    return added(
        command,
        click.option(
            "--trials",
            type=int,
            default=trials,
            show_default=given,
            help=f"{before}Trials per method and problem.",
        ),
        click.option(
            "--tuning-seeds",
            type=int,
            default=seeds,
            show_default=given,
            help=f"{before}Seeds per trial.",
        ),
        click.option(
            "--halving",
            is_flag=True,
            default=halving,
            help=f"{before}Drop the worse half of the trials after each seed.",
        ),
        click.option(
            "--sampler",
            type=click.Choice(["sobol", "tpe"]),
            default=sampler,
            show_default=given,
            help=f"{before}How trials are chosen; tpe needs optuna.",
        ),
    )
