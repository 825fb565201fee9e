"""Checking: runs the whole contract of a method, check by check, and reports the results.

The checks are functions of the `contract` modules, and their names are printed.
"""

from __future__ import annotations

import inspect
import math
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from auxbench.contract import architecture as contract_architecture
from auxbench.contract import balancer as contract_balancer
from auxbench.contract import documentation as contract
from auxbench.contract import training as contract_training
from auxbench.contract.documentation import Broken, Exempt
from auxbench.contract.dry_run import AUXILIARIES, PRIMARY, training
from auxbench.data.progress import duration
from auxbench.errors import AuxbenchError, Diverged
from auxbench.report.tables import Column, Table
from auxbench.spec.grammar import Choice
from auxbench.spec.method import Method
from auxbench.spec.registry import METHODS
from auxbench.training.architecture import Architecture

Check = Callable[[str], None]

DOCUMENTATION: tuple[Check, ...] = (
    contract.it_says_in_a_sentence_what_it_is,
    contract.it_names_its_source,
    contract.it_belongs_to_a_known_family,
    contract.its_options_have_types_and_defaults,
    contract.its_options_are_not_those_of_training,
    contract.its_options_are_explained,
    contract.its_examples_run,
)
BALANCER: tuple[Check, ...] = (
    contract_balancer.weights_are_finite_and_one_per_task,
    contract_balancer.one_task_keeps_weight_1,
    contract_balancer.the_global_random_state_is_left_alone,
    contract_balancer.its_state_comes_back,
    contract_balancer.it_reads_what_it_read_on_its_first_batch,
    contract_balancer.batches_without_labels_do_no_lasting_harm,
    contract_balancer.it_differs_from_every_other_rule,
    contract_training.passes_are_reported,
)
ARCHITECTURE: tuple[Check, ...] = (
    contract_architecture.it_can_be_built,
    contract_architecture.every_task_gets_a_prediction_of_its_shape,
    contract_architecture.the_deployed_network_is_the_primarys_alone,
    contract_architecture.the_deployed_network_can_be_exported,
    contract_architecture.the_primary_starts_as_everywhere,
    contract_architecture.every_parameter_is_reached,
    contract_architecture.every_weight_moves,
    contract_architecture.the_global_random_state_is_left_alone,
    contract_training.passes_are_reported,
)
TRAINING: tuple[Check, ...] = (
    contract_training.it_trains,
    contract_training.it_comes_out_the_same_twice,
    contract_training.stopped_and_resumed_it_ends_in_the_same_bytes,
    contract_training.without_auxiliaries_it_is_the_single_task_training,
)


@dataclass(frozen=True)
class Result:
    """The outcome of one check of a part or of a method.

    `ok` is None if the check does not apply. `says` then gives the reason, otherwise what failed.
    """

    part: str
    check: str
    ok: bool | None
    says: str = ""


@dataclass(frozen=True)
class Subject:
    """The subject of the checks: parts with their options, and the method that they form."""

    parts: tuple[str, ...]
    method: str

    @classmethod
    def find(cls, text: str) -> Subject:
        """The method of that name; the path of a Python file stands for the part that it registers.

        Errors: `UsageError` for unknown names and options, for a file that registers nothing, and
        for a method that cannot be trained here at all.

        >>> Subject.find("auxnas+gcs:weighted=yes").parts
        ('auxnas', 'gcs:weighted=yes')
        """
        parts = tuple(map(_named, text.split("+")))
        method = str(Method.parse("+".join(parts)))
        training(method)
        return cls(parts, method)

    @property
    def names(self) -> list[str]:
        """The names of the parts, without options."""
        return [Choice.parse(part).name for part in self.parts]

    def checks(self) -> list[tuple[str, Check]]:
        """All checks: those of the parts, and then those of their training."""
        found: list[tuple[str, Check]] = []
        for part in self.parts:
            architecture = issubclass(contract.maker_of(part), Architecture)
            own = (*DOCUMENTATION, *(ARCHITECTURE if architecture else BALANCER))
            found += [(part, check) for check in own]
        return found + [(self.method, check) for check in TRAINING]


def _named(part: str) -> str:
    """The name of a part; the path of a file is loaded and replaced by the name it registers."""
    path, dot, options = part.strip().partition(".py")
    if not dot or options[:1] not in ("", ":"):
        return part.strip()
    return METHODS.add(Path(path + dot)) + options


def attempt(part: str, check: Check, seconds: float = math.inf) -> Result:
    """The result of one check, which fails if it takes longer than some seconds."""
    name = check.__name__.replace("_", " ")
    try:
        with time_limit(seconds):
            check(part)
    except Broken as error:
        return Result(part, name, False, str(error))
    except Exempt as error:
        return Result(part, name, None, str(error))
    except Diverged as error:
        return Result(part, name, False, f"training diverges: {error}")
    except AuxbenchError as error:
        return Result(part, name, False, f"it is refused: {error}")
    except Exception as error:
        return Result(part, name, False, f"it fails in {_raised(error, part)}; fix that.")
    return Result(part, name, True)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `Broken` in the block once it has lasted this long, and every second from then on.

    There is no limit outside of the main thread and where the system has no alarms.
    """
    main = threading.current_thread() is threading.main_thread()
    if seconds == math.inf or not main or not hasattr(signal, "setitimer"):
        yield
        return

    def ring(number: int, frame: object) -> None:
        raise Broken(f"it takes longer than {duration(seconds)}; end every loop, or --timeout 10m.")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)  # again, where the first is swallowed
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _raised(error: Exception, part: str) -> str:
    """An exception in one line, with the place in the files of the parts where it was raised."""
    parts = (contract.maker_of(one) for one in part.split("+"))
    files = {inspect.getfile(maker) for maker in parts}
    frames = list(traceback.extract_tb(error.__traceback__))
    place = ([frame for frame in frames if frame.filename in files] or frames)[-1]
    said = " ".join(str(error).split())[:200]
    return f"{Path(place.filename).name}, line {place.lineno}: {type(error).__name__}: {said}"


def table(subject: Subject, results: list[Result]) -> Table:
    """The outcomes, a row per check."""
    columns = (
        Column("part", "part"),
        Column("check", "check"),
        Column("ok", "ok"),
        Column("says", "what failed, or why it does not apply"),
    )
    rows = [{"part": r.part, "check": r.check, "ok": r.ok, "says": r.says or None} for r in results]
    broken = sum(result.ok is False for result in results)
    asked = sum(result.ok is not None for result in results)
    verdict = "All passed." if not broken else f"{broken} of {asked} checks failed."
    auxiliaries = " and ".join(AUXILIARIES)
    note = f"{asked} checks on a tiny {PRIMARY} problem with {auxiliaries}. {verdict}"
    return Table(f"The contract of {subject.method}", columns, rows, (note,))
