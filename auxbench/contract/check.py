"""Checking: runs the whole contract of a method, data set or backbone, and reports the results.

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
from auxbench.contract import backbone as contract_backbone
from auxbench.contract import balancer as contract_balancer
from auxbench.contract import dataset as contract_dataset
from auxbench.contract import documentation as contract
from auxbench.contract import training as contract_training
from auxbench.contract.documentation import Broken, Exempt
from auxbench.contract.dry_run import AUXILIARIES, PRIMARY, TINY, tiny, training
from auxbench.data.progress import duration
from auxbench.errors import AuxbenchError, Diverged
from auxbench.networks.backbone import is_backbone, resolve
from auxbench.report.tables import Column, Table
from auxbench.spec.files import REGISTRIES, is_path, kinds_of, named
from auxbench.spec.grammar import Choice
from auxbench.spec.method import Method
from auxbench.spec.registry import BACKBONES, DATASETS, METHODS
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
DATASET: tuple[Check, ...] = (
    contract_dataset.it_says_in_a_sentence_what_it_is,
    contract_dataset.it_names_a_licence,
    contract_dataset.its_options_have_types_and_defaults,
    contract_dataset.its_options_are_explained,
    contract_dataset.its_examples_run,
    contract_dataset.its_tasks_belong_together,
    contract_dataset.batches_have_inputs_and_a_target_per_task,
    contract_dataset.no_sample_is_in_two_splits,
    contract_dataset.reading_again_gives_the_same,
    contract_dataset.augmentation_comes_from_the_given_generator,
    contract_dataset.a_task_alone_is_read_as_among_the_others,
    contract_dataset.losses_are_finite_and_missing_labels_cost_nothing,
    contract_dataset.a_perfect_prediction_scores_best,
    contract_dataset.it_trains,
    contract_dataset.its_data_can_be_read,
)
BACKBONE_DOCUMENTATION: tuple[Check, ...] = (
    contract_backbone.it_says_in_a_sentence_what_it_is,
    contract_backbone.its_options_have_types_and_defaults,
    contract_backbone.its_options_are_explained,
    contract_backbone.its_examples_run,
)
BACKBONE: tuple[Check, ...] = (
    contract_backbone.its_blocks_are_a_chain,
    contract_backbone.it_starts_as_the_seed_says,
    contract_backbone.evaluation_draws_nothing,
    contract_backbone.samples_do_not_depend_on_each_other,
    contract_backbone.every_parameter_is_reached,
    contract_backbone.it_can_be_exported,
    contract_backbone.one_network_trains,
    contract_backbone.a_shared_network_trains,
    contract_backbone.linked_networks_train,
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
    """The subject of the checks: a data set, a backbone, or the parts of a method.

    `whole` is all of it as users write it, `registry` the name of the registry that it is from.
    """

    parts: tuple[str, ...]
    whole: str
    registry: str = "METHODS"

    @classmethod
    def find(cls, text: str) -> Subject:
        """The method of that name; the path of a Python file stands for the part that it registers.

        Errors: `UsageError` for unknown names and options, for a file that registers nothing, and
        for a method that cannot be trained here at all.

        >>> Subject.find("auxnas+gcs:weighted=yes").parts
        ('auxnas', 'gcs:weighted=yes')
        """
        parts = tuple(named(part, METHODS).strip() for part in text.split("+"))
        method = str(Method.parse("+".join(parts)))
        training(method)
        return cls(parts, method)

    @classmethod
    def every(cls, text: str) -> list[Subject]:
        """The subjects of that name: of any kind, and as many as there are parts in a file.

        Errors: `UsageError` as for `find`.

        >>> [(subject.whole, subject.registry) for subject in Subject.every("toy:train=50")]
        [('toy:train=50', 'DATASETS')]
        """
        return [
            cls.find(text) if registry == "METHODS" else cls._part(text, registry)
            for registry in _registries(text)
        ]

    @classmethod
    def _part(cls, text: str, registry: str) -> Subject:
        """The data set or the backbone of that name."""
        part = named(text.strip(), REGISTRIES[registry])
        choice = Choice.parse(part)
        if registry == "DATASETS":
            choice.values(DATASETS[choice.name])  # refuses unknown options
        else:
            place = contract_backbone.place_of(part)
            resolve(part, tiny(place.dataset).features)
        return cls((part,), part, registry)

    @property
    def names(self) -> list[str]:
        """The names of the parts, without options."""
        return [Choice.parse(part).name for part in self.parts]

    def checks(self) -> list[tuple[str, Check]]:
        """All checks: those of the parts, and then those of their training."""
        if self.registry == "DATASETS":
            return [(self.whole, check) for check in DATASET]
        if self.registry == "BACKBONES":
            own = BACKBONE_DOCUMENTATION if self.names[0] in BACKBONES else ()
            return [(self.whole, check) for check in (*own, *BACKBONE)]
        found: list[tuple[str, Check]] = []
        for part in self.parts:
            architecture = issubclass(contract.maker_of(part), Architecture)
            both = (*DOCUMENTATION, *(ARCHITECTURE if architecture else BALANCER))
            found += [(part, check) for check in both]
        return found + [(self.whole, check) for check in TRAINING]


def _registries(text: str) -> list[str]:
    """The registries of the parts that a text names; methods where no other has such a name."""
    name = text.strip().partition(":")[0]
    if "+" in text:
        return ["METHODS"]
    if is_path(name):
        return kinds_of(Path(name))
    known = [registry for registry, parts in REGISTRIES.items() if name in parts]
    if known:
        return known[:1]
    return ["BACKBONES"] if is_backbone(name) else ["METHODS"]


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
    names = [Choice.parse(one).name for one in part.split("+")]
    makers = [parts[n] for n in names for parts in REGISTRIES.values() if n in parts]
    files = {inspect.getfile(maker) for maker in makers}
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
    note = f"{asked} checks {_where(subject)}. {verdict}"
    return Table(f"The contract of {subject.whole}", columns, rows, (note,))


def _where(subject: Subject) -> str:
    """Say what a subject was checked on."""
    if subject.registry == "DATASETS":
        return "on its tiny variant, and on the first of its data"
    if (
        subject.registry == "BACKBONES"
        and contract_backbone.place_of(subject.whole).dataset != TINY
    ):
        return "on tiny vectors"
    return f"on a tiny {PRIMARY} problem with {' and '.join(AUXILIARIES)}"
