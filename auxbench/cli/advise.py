"""The command `auxbench advise`: which auxiliaries and which method to use, within given hours."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click

from auxbench.cli.options import (
    format_option,
    limit_options,
    machine_options,
    results_option,
    show,
    tell,
)
from auxbench.errors import AuxbenchError, visible
from auxbench.execution.process import drop_early, start_early
from auxbench.spec.advice import Design
from auxbench.spec.networks import HEAD
from auxbench.spec.registry import BACKBONES, DATASETS, METHODS, Registry
from auxbench.spec.study import check

if TYPE_CHECKING:
    from auxbench.execution.advising import Advising
    from auxbench.report.advice import Verdict
    from auxbench.spec.run import Run

SAMPLES = 1000  # of each split that the data report reads here
KEPT = ("steps", "batch", "side", "head", "weights")  # words of the question that a run needs too


@click.command()
@click.option("--dataset", required=True, help="Data set, such as rooms.")
@click.option("--primary", help="Primary task; default by data set.")
@click.option("--auxiliary", help="Auxiliary tasks to choose from; default by data set.")
@click.option("--hours", default=2.0, show_default=True, help="Hours for all calls together.")
@click.option("--methods", help="Methods to choose from; default those of spec/advice.toml.")
@click.option("--control", help="Method without auxiliaries; default that of spec/advice.toml.")
@click.option("--trials", type=int, help="Most trials of tuning per candidate.")
@click.option("--backbone", help="Backbone: a timm name or mlp; default by data set.")
@click.option("--budget", help="As for run; default the largest for which time suffices.")
@click.option("--steps", type=int, help="Training steps (overrides --budget).")
@click.option("--batch", type=int, help="Samples per batch (overrides --budget).")
@click.option("--side", type=int, help="Image side in pixels (overrides --budget).")
@click.option("--head", default=HEAD, show_default=True, help="Head of dense tasks.")
@click.option("--pretrained", is_flag=True, help="Start from ImageNet weights.")
@click.option("--weights", help="Start from a .safetensors or .pth file.")
@click.option("--no-data-report", "bare", is_flag=True, help="Leave out the look at the data.")
@results_option
@machine_options
@limit_options
@format_option
def advise(
    dataset: str,
    primary: str | None,
    auxiliary: str | None,
    hours: float,
    methods: str | None,
    control: str | None,
    trials: int | None,
    bare: bool,
    results: str,
    style: str,
    **words: Any,
) -> None:
    """Say which auxiliary tasks and which method to use. Trains within the hours given.

    Looks at the data, gives every candidate the same number of trials, and compares the best with
    training without auxiliaries on fresh seeds. The same command goes on where it was stopped.
    """
    check({**words, "budget": words["budget"] or "small"})
    design = Design.declared().with_changes(methods=methods, control=control, trials=trials)
    start_early(words["device"], words["jobs"], words["threads"])
    click.get_current_context().call_on_close(drop_early)
    from auxbench.execution.advising import Advising
    from auxbench.execution.candidates import Question
    from auxbench.execution.resources import Resources

    resources = Resources.of(words)
    question = Question(
        dataset, primary, auxiliary, {k: v for k, v in words.items() if v is not None}
    )
    study = Advising(question, design, hours, results, resources)
    if not bare:
        _look_at_data(study, style)
    try:
        study.screen()
        verdict = _compare(study, results)
        tell(study.store.problems)
        if verdict is None:
            raise AuxbenchError(
                "the time is over before any candidate has had its fresh seeds; the same command "
                f"with more than --hours {hours:g} continues from here."
            )
    except AuxbenchError:
        _tell_measured(study, style)
        raise
    _tell(study, verdict, style)


def _look_at_data(study: Advising, style: str) -> None:
    """Print the data report, in data formats only its warnings."""
    from auxbench.cli.portrait import look

    tasks = ",".join(study.sets[-1])
    cell = study.cells[study.control]
    side = cell.recipe.side
    look(cell.located, cell.primary, tasks, side, SAMPLES, False, style if style == "text" else "")


def _compare(study: Advising, results: str) -> Verdict | None:
    """Add seeds, look by look, while time allows and anything is open; return the last verdict."""
    from auxbench.records.looks import Looks
    from auxbench.report.advice import judge, named, problem_of
    from auxbench.stats.frame import frame
    from auxbench.stats.sequential import LOOKS

    looks, every = Looks(results), len(study.sets[-1])
    control = named(study.control, every)

    def judged() -> Verdict:
        return judge(study.store.runs(), study.compared(), study.control, looks.latest())

    reached = max(count for _, count in study.state.seeds)
    verdict = judged() if reached else None
    for count in LOOKS:
        if count <= reached:
            continue
        if not study.state.active or not study.extend(count):
            break
        compared = study.compared()
        rows = frame([record for record in study.store.runs() if record["id"] in compared])
        for one in study.state.active:
            looks.append(problem_of(rows), named(one, every), control, count)
        verdict = judged()
        study.keep(verdict.open)
        text = ", ".join(named(one, every) for one in verdict.open) or "nothing"
        study.say(f"after {count} seeds, open: {text}")
    return verdict


def _tell_measured(study: Advising, style: str) -> None:
    """Print what the trials of a study that ends without a decision have shown."""
    from auxbench.report.screening import screening

    trials, down = study.measured()
    show([screening(trials, down)], style)


def _tell(study: Advising, verdict: Verdict, style: str) -> None:
    """Print the table and, for people, the advice in sentences."""
    from auxbench.report.advice import answer, unseen
    from auxbench.report.terminal import folded

    show([verdict.table()], style)
    if style not in ("text", "markdown"):
        return
    entries = {one: tuning.selected for one, tuning in study.tunings.items()}
    primary = study.cells[study.control].primary
    click.echo()
    for sentence in answer(verdict, entries, primary):
        click.echo(folded(visible(sentence)))
    if verdict.advised:
        click.echo(_command(study, study.final(verdict.advised, 0)))
    click.echo()
    click.echo("Not seen:")
    told = unseen(
        verdict, len(study.cells), study.state.trials, study.state.budget, len(study.sets)
    )
    for sentence in told:
        click.echo(folded(visible(f"* {sentence}")))


def _command(study: Advising, run: Run) -> str:
    """The command that trains what is advised as the study did."""
    asked = study.question.words
    words = {
        "methods": "+".join(_typed(part, METHODS) for part in run.method.split("+")),
        "dataset": _typed(run.located, DATASETS),
        "primary": run.primary,
        "auxiliary": ",".join(run.auxiliaries),
        "backbone": _typed(run.backbone, BACKBONES),
        "budget": study.state.budget,
        **{key: str(asked[key]) for key in KEPT if asked.get(key) not in (None, HEAD)},
    }
    options = [f"--{key} {shlex.quote(word)}" for key, word in words.items()]
    return " ".join(["auxbench run", *options, *(["--pretrained"] * run.pretrained)])


def _typed(part: str, registry: Registry[Any]) -> str:
    """A part as it is typed: one in a file of the user's own by the path of that file."""
    name, colon, options = part.partition(":")
    return f"{registry.file_of(name) or name}{colon}{options}"
