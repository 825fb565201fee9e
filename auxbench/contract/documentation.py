"""The contract of documentation: checks of what a part says about itself.

A check takes a part as users write it, such as `cagrad:c=0.4`, or a whole method. It raises
`Broken` if the method violates it and `Exempt` if it does not apply. `check` has all checks of the
contract together.
"""

from __future__ import annotations

import doctest
import importlib
import inspect
import io
import random
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from auxbench.errors import UsageError
from auxbench.report.cite import citations
from auxbench.report.method import options
from auxbench.spec.budget import TRAINING
from auxbench.spec.grammar import Choice, options_of, spelled
from auxbench.spec.registry import METHODS, Registry
from auxbench.training.balancer import Balancer

SOURCE = "@inproceedings{author2026, author = {...}, title = {{...}}, year = {2026}, url = {...}}"
HELP = 160  # characters
FAMILIES = ("architecture", "auxiliary", "control", "gradient", "loss weighting")


class Broken(AssertionError):
    """A requirement of the contract that a method does not meet, in a sentence."""


class Exempt(Exception):
    """A requirement that does not apply to a method, and why."""


def demand(holds: bool, otherwise: str) -> None:
    """Raise `Broken` with the sentence `otherwise` unless `holds`."""
    if not holds:
        raise Broken(otherwise)


def maker_of(part: str) -> Any:
    """The class of a part."""
    return METHODS[Choice.parse(part).name]


def it_says_in_a_sentence_what_it_is(part: str, registry: Registry[Any] = METHODS) -> None:
    """The module's docstring begins with a sentence of 21 to 159 characters."""
    summary = registry.describe(Choice.parse(part).name).summary
    demand(
        20 < len(summary) < 160 and summary.endswith("."),
        f"the module's docstring begins with '{summary[:60]}', which is {len(summary)} characters "
        "long; begin it with a sentence of 21 to 159 that says what the method is and ends in a "
        "full stop.",
    )


def it_names_its_source(part: str) -> None:
    """The module's docstring ends with a BibTeX entry that has author, title, year and url."""
    papers = citations(METHODS.describe(Choice.parse(part).name))
    demand(
        bool(papers),
        f"the module's docstring has no BibTeX entry; end it with one, such as {SOURCE}.",
    )
    for paper in papers:
        lacks = [key for key in ("author", "title", "year", "url") if not paper.fields.get(key)]
        demand(
            not lacks,
            f"the entry '{paper.bibtex.splitlines()[0]}' lacks {' and '.join(lacks)}; write it as "
            f"{SOURCE}.",
        )


def it_belongs_to_a_known_family(part: str) -> None:
    """The attribute `family` is one of those by which methods are listed."""
    family = getattr(maker_of(part), "family", None)
    demand(
        family in FAMILIES,
        f"the family is {family!r}; set the class attribute family to one of "
        f"{', '.join(FAMILIES)}.",
    )


def its_options_have_types_and_defaults(part: str, registry: Registry[Any] = METHODS) -> None:
    """Keyword-only parameters of the constructor have types, and defaults that can be typed."""
    maker = registry[Choice.parse(part).name]
    demand(bool(inspect.getdoc(maker)), "the class has no docstring; write one on what it is.")
    parameters = inspect.signature(maker).parameters
    for option in options_of(maker, common=False).values():
        subject = f"option '{option.name}'"
        demand(
            parameters[option.name].annotation is not inspect.Parameter.empty,
            f"{subject} has no type; annotate the parameter, as in {option.name}: float = 1.0.",
        )
        default: object = option.default
        demand(
            default is not inspect.Parameter.empty,
            f"{subject} has no default; give one, so that the name alone is a method.",
        )
        demand(
            isinstance(default, bool | int | float | str | None),
            f"the default of {subject} is {default!r}, which cannot be typed; use a number, a "
            "word, True, False or None.",
        )
        try:
            read = option.convert(spelled(option.default), subject)
        except UsageError as error:
            raise Broken(f"the default of {subject} is refused: {error}") from error
        demand(
            read == option.default or isinstance(option.default, bool),
            f"the default of {subject} is {option.default!r}, but typed by a user it becomes "
            f"{read!r}; make the type fit the default.",
        )


def its_options_are_not_those_of_training(part: str) -> None:
    """No option has the name of a training option, which would never reach the part."""
    taken = [name for name in options_of(maker_of(part)) if name in TRAINING]
    demand(
        not taken,
        f"option {listed(taken)} is read as an option of training, since every entry has "
        f"{', '.join(TRAINING)}; choose another name.",
    )


def its_options_are_explained(part: str, registry: Registry[Any] = METHODS) -> None:
    """Every option has a help text of one or two short sentences, which `show method` prints."""
    for row in options(registry[Choice.parse(part).name]):
        text = str(row["help"] or "")
        demand(
            0 < len(text) <= HELP and text.count(". ") <= 1,
            f"the help of option '{row['option']}' is '{text[:60]}', which is {len(text)} "
            "characters long; annotate the parameter as in "
            '`alpha: Annotated[float, Help("...")]` and say in one or two sentences, in at most '
            f"{HELP} characters, what it does.",
        )


def its_examples_run(part: str, registry: Registry[Any] = METHODS) -> None:
    """The examples in docstrings give the output they show; a balancer has at least one."""
    maker = registry[Choice.parse(part).name]
    module, said = importlib.import_module(maker.__module__), io.StringIO()
    runner, attempted = doctest.DocTestRunner(verbose=False), 0
    for example in doctest.DocTestFinder().find(module):
        result = runner.run(example, out=said.write)
        attempted += result.attempted
        demand(
            result.failed == 0,
            f"an example of '{example.name}' fails: {_told(said.getvalue())}; correct it.",
        )
    demand(
        bool(attempted) or not issubclass(maker, Balancer),
        "no docstring has an example; show weights on a small problem with >>>.",
    )


def _told(report: str) -> str:
    """The report of doctest, in one line."""
    found = re.search(r"Failed example:\n(.*)", report, re.DOTALL)
    return " ".join((found[1] if found else report).split())[:200]


@contextmanager
def same_global_state(advice: str) -> Iterator[None]:
    """Demand that no global random state changes."""
    before = _global_states()
    yield
    moved = [name for name, value in _global_states().items() if value != before[name]]
    demand(not moved, f"the global random state of {' and '.join(moved)} changed; {advice}.")


def _global_states() -> dict[str, bytes]:
    name, keys, *rest = np.random.get_state()  # the legacy state is the one to watch
    return {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": repr((name, np.asarray(keys).tobytes(), rest)).encode(),
        "Python's random": repr(random.getstate()).encode(),
    }


def listed(names: Sequence[str]) -> str:
    """Some names in words: the first and how many more."""
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"'{names[0]}'{more}" if names else ""
