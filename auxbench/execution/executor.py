"""Executors: where the missing runs of a study are carried out."""

from __future__ import annotations

import os
import sys
from abc import ABC, abstractmethod
from importlib import import_module
from typing import TYPE_CHECKING

from auxbench.errors import UsageError, suggestion

if TYPE_CHECKING:
    from auxbench.execution.resources import Resources
    from auxbench.execution.study import Study
    from auxbench.records.store import Store

EXECUTORS = {"local": "local:Local", "ray": "ray:Ray", "slurm": "slurm:Slurm"}
"""Module and class of every executor in this room; only the one that is asked for is imported."""
TOGETHER = "together:Together"  # takes the place of the local one under torchrun


class Executor(ABC):
    """Carries out runs and has a record written for every run that ends."""

    def __init__(self, resources: Resources) -> None:
        self.resources = resources

    @abstractmethod
    def carry_out(self, study: Study, store: Store, *, retry: bool, quiet: bool) -> None:
        """Carry out the study's missing runs, with `retry` also those that failed for good.

        It returns when all of them are recorded, those included that other processes carry out.
        """


def launched() -> bool:
    """Return whether a launcher has started several processes, by the variables that it sets."""
    size = os.environ.get("WORLD_SIZE", "")
    return size.isdecimal() and int(size) > 1 and {"RANK", "MASTER_ADDR"} <= os.environ.keys()


def carry_out(
    study: Study,
    store: Store,
    resources: Resources,
    *,
    retry: bool = False,
    quiet: bool = False,
) -> None:
    """Carry out the study's missing runs by the executor that the resources name.

    Errors: `UsageError` for an unknown executor, a package that it lacks, and wrong options.
    """
    name = resources.executor
    if name not in EXECUTORS:
        raise UsageError(f"no executor is called '{name}'; {suggestion(name, EXECUTORS)}")
    place = EXECUTORS[name]
    if launched():
        if name != "local":
            raise UsageError(f"executor '{name}' starts runs itself; leave torchrun out.")
        place = TOGETHER
    module, _, kind = place.partition(":")
    if resources.predictions and not quiet:
        from auxbench.execution.predictions import remarks

        for text in remarks(study, store, retry):
            print(f"auxbench: {text}", file=sys.stderr)
    maker: type[Executor] = getattr(import_module(f"auxbench.execution.{module}"), kind)
    maker(resources).carry_out(study, store, retry=retry, quiet=quiet)
