"""The contract catches what is broken, in words; drafts keep it; files stand for methods."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from textwrap import indent

import pytest

import auxbench
from auxbench.contract.check import Result, Subject, attempt, table
from auxbench.contract.template import write
from auxbench.errors import UsageError
from auxbench.report.tables import render
from auxbench.spec.registry import METHODS

BIBTEX = """@inproceedings{author2020,
  author = {Author, A.},
  title = {{On Breaking Rules}},
  year = {2020},
  url = {https://example.org/rules},
}"""
HEAD = '''"""{summary}

{source}
"""

import random
from copy import deepcopy
from typing import Annotated

import numpy as np
import torch
from torch import nn

from auxbench import METHODS, Architecture, Balancer, Phase
from auxbench.errors import UsageError
from auxbench.spec.marks import Help

CALLS = []


class Plain(Phase):
    """A phase that does nothing."""

    name, splits, claimed, seen = "plain", ("train",), (), 0

    def step(self, batches):
        return {{}}

    def state_dict(self):
        return {{}}

    def load_state_dict(self, state):
        pass


'''
BALANCER = (
    HEAD
    + '''@METHODS.register
class Rule(Balancer):
    """{doc}

    >>> Rule(["a", "b"], torch.Generator()).{example}
    """

    family = "auxiliary"

    def __init__(self, tasks, rng{options}):
        super().__init__(tasks, rng)
        self.seen = 0

    def weights(self, signals):
        ones = torch.ones_like(signals.losses)
        weights = ones if len(ones) == 1 else 0.75 + 0.25 / (1 + signals.losses)
{body}
        return weights

{more}
'''
)
ARCHITECTURE = (
    HEAD
    + '''@METHODS.register
class Sharing(Architecture):
    """{doc}"""

    def __init__(self, builder{options}):
        super().__init__(builder)
        self.network = builder.network(self.primary)
        trunk = self.network.backbone
        self.heads = nn.ModuleDict({{t.name: builder.head(t, trunk) for t in self.tasks[1:]}})
{built}

    def forward(self, images):
        features, size = self.network.backbone(images), tuple(images.shape[-2:])
        predictions = {{name: head(features, size) for name, head in self.heads.items()}}
        predictions[self.primary.name] = self.network.predict(features, images)
{body}
        return predictions

    def deploy(self):
        return {deployed}

{more}
'''
)
WORDS = {
    "summary": "A method that is broken in one place, and only there.",
    "source": BIBTEX,
    "doc": "A method.",
    "example": "tasks\n    ('a', 'b')",
    "options": "",
    "body": "",
    "built": "",
    "deployed": "self.network",
    "more": "",
}
INDENTS = {"body": 8, "built": 8, "more": 4}
NUMBERS = count()  # what is found of a part is kept by its name, so names are used once


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Register a method from its text, for the length of a test."""
    names: list[str] = []

    def make(template: str, **words: str) -> str:
        file = tmp_path / f"broken_{next(NUMBERS)}.py"
        words = {**WORDS, **words}
        words |= {key: indent(words[key], " " * depth) for key, depth in INDENTS.items()}
        file.write_text(template.format(**words), encoding="utf-8")
        names.append(METHODS.add(file))
        return names[-1]

    yield make
    for name in names:
        forget(name)


def test_a_check_that_does_not_end_fails(make: Callable[..., str]) -> None:
    name = make(BALANCER, body="while True:\n    try: pass\n    except Exception: pass")
    (check,) = (
        c for _, c in Subject((name,), name).checks() if c.__name__ == "one_task_keeps_weight_1"
    )
    result = attempt(name, check, 0.5)
    assert result.ok is False
    assert result.says.startswith("it takes longer than 0 s; end every loop")
    assert attempt(name, lambda part: None, 0.5).ok is True


def forget(name: str) -> None:
    METHODS.remove(name)


def outcome(name: str, check: str) -> Result:
    """Run a check by its name and return its one line about a method."""
    (planned,) = (pair for pair in Subject((name,), name).checks() if pair[1].__name__ == check)
    result = attempt(*planned)
    assert "\n" not in result.says
    assert result.check == check.replace("_", " ")
    return result


BALANCERS = {
    "a weight too many": (
        "weights_are_finite_and_one_per_task",
        {"body": "weights = torch.cat([weights, weights[:1]])"},
        "for T = 1 and random gradients weights() gave the shape [2]; return 1 finite float64",
    ),
    "not a number": (
        "weights_are_finite_and_one_per_task",
        {"body": "weights = weights * signals.gramian[0, 0] / signals.gramian[0, 0]"},
        "for T = 1 and zero gradients weights() gave [nan]",
    ),
    "single precision": (
        "weights_are_finite_and_one_per_task",
        {"body": "weights = weights.float()"},
        "gave numbers of type float32",
    ),
    "a list": (
        "weights_are_finite_and_one_per_task",
        {"body": "weights = weights.tolist()"},
        "gave a list; return 1 finite float64 numbers as a tensor [T] without a graph.",
    ),
    "a graph": (
        "weights_are_finite_and_one_per_task",
        {"body": "weights = weights.requires_grad_()"},
        "gave weights with a graph",
    ),
    "an exception": (
        "weights_are_finite_and_one_per_task",
        {"body": "raise LookupError('a rule of its own')"},
        ".py, line 58: LookupError: a rule of its own",
    ),
    "half of everything": (
        "one_task_keeps_weight_1",
        {"body": "weights = weights / 2"},
        "without auxiliaries, T = 1, the weight is 0.5; return 1",
    ),
    "a global draw of torch": (
        "the_global_random_state_is_left_alone",
        {"body": "torch.rand(1)"},
        "the global random state of torch changed; draw from self.rng alone.",
    ),
    "a global draw of numpy": (
        "the_global_random_state_is_left_alone",
        {"body": "np.random.rand()"},
        "the global random state of numpy changed",
    ),
    "a global draw of Python": (
        "the_global_random_state_is_left_alone",
        {"body": "random.random()"},
        "the global random state of Python's random changed",
    ),
    "a forgotten number": (
        "its_state_comes_back",
        {"body": "self.seen += 1\nweights = weights / self.seen"},
        "after load_state_dict(state_dict()) the next weights are [",
    ),
    "a Gramian now and then": (
        "it_reads_what_it_read_on_its_first_batch",
        {"body": "self.seen += 1\nif self.seen > 3:\n    weights += 0 * signals.gramian[0]"},
        "on batch 4 weights() reads gramian, which it does not read on the first batch; read the",
    ),
    "the plain sum": (
        "it_differs_from_every_other_rule",
        {"body": "weights = ones"},
        "its weights and the network after 3 steps are bit-identical to those of 'sum'; use",
    ),
    "a look that is not reported": (
        "passes_are_reported",
        {
            "more": "def after(self, context):\n"
            "    phase, network = Plain(), context.network\n"
            "    phase.step = lambda b: {'x': len(network(b['train'].inputs))}\n"
            "    return [phase]"
        },
        "in 3 steps the network is called 6 times, and 3 passes are reported; compute losses with",
    ),
    "labels that are missed for good": (
        "batches_without_labels_do_no_lasting_harm",
        {"body": "self.seen += 1 / signals.losses.min().clamp(min=1e-8)\nweights /= self.seen"},
        "where 'segmentation' has no labels on the first 40 of 200 batches, so that its loss is 0,",
    ),
    "a counter between trainings": (
        "it_comes_out_the_same_twice",
        {"body": "CALLS.append(1)\nweights = weights / len(CALLS)"},
        "two trainings of three steps end differently",
    ),
    "a counter within a training": (
        "stopped_and_resumed_it_ends_in_the_same_bytes",
        {"body": "self.seen += 1\nweights = weights / self.seen"},
        "a training that was stopped after step 1 of 3 and resumed ends differently",
    ),
    "infinite weights": (
        "it_trains",
        {"body": "weights = weights * 1e40"},
        "training diverges within three steps: the loss of task 'segmentation' became nan",
    ),
    "one task that is not left alone": (
        "without_auxiliaries_it_is_the_single_task_training",
        {"body": "weights = weights / 2"},
        "does not end as in single-task training; with one task change nothing.",
    ),
    "a claim on a parameter of the network": (
        "it_trains",
        {
            "more": "def before(self, context):\n"
            "    phase = Plain()\n"
            "    phase.claimed = list(context.parameters.values())[:1]\n"
            "    return [phase]"
        },
        "is claimed by 2 phases; let one phase claim it",
    ),
    "no source": (
        "it_names_its_source",
        {"source": "It has none."},
        "the module's docstring has no BibTeX entry; end it with one, such as @inproceedings{",
    ),
    "a source without a year": (
        "it_names_its_source",
        {"source": BIBTEX.replace("  year = {2020},\n", "")},
        "lacks year; write it as @inproceedings{",
    ),
    "a source without a link": (
        "it_names_its_source",
        {"source": BIBTEX.replace("url", "note")},
        "lacks url; write it as @inproceedings{",
    ),
    "a name for a sentence": (
        "it_says_in_a_sentence_what_it_is",
        {"summary": "A rule"},
        "the module's docstring begins with 'A rule', which is 6 characters long; begin it with",
    ),
    "a family of its own": (
        "it_belongs_to_a_known_family",
        {"more": "family = 'mine'"},
        "the family is 'mine'; set the class attribute family to one of architecture, auxiliary",
    ),
    "an option without a type": (
        "its_options_have_types_and_defaults",
        {"options": ", *, alpha=1.0"},
        "option 'alpha' has no type; annotate the parameter, as in alpha: float = 1.0.",
    ),
    "an option without a default": (
        "its_options_have_types_and_defaults",
        {"options": ", *, alpha: float"},
        "option 'alpha' has no default; give one",
    ),
    "a default of another type": (
        "its_options_have_types_and_defaults",
        {"options": ", *, alpha: int = 0.5"},
        "the default of option 'alpha' is refused: option 'alpha' is '0.5', which is not a whole",
    ),
    "a default that cannot be typed": (
        "its_options_have_types_and_defaults",
        {"options": ", *, alpha: tuple = (1, 2)"},
        "the default of option 'alpha' is (1, 2), which cannot be typed",
    ),
    "an option that every entry has": (
        "its_options_are_not_those_of_training",
        {"options": ", *, lr: float = 0.5"},
        "option 'lr' is read as an option of training, since every entry has lr, weight_decay,",
    ),
    "an option without help": (
        "its_options_are_explained",
        {"options": ", *, alpha: float = 0.5"},
        "the help of option 'alpha' is '', which is 0 characters long; annotate the parameter as ",
    ),
    "an option with half a paragraph": (
        "its_options_are_explained",
        {"options": f", *, alpha: Annotated[float, Help('{'long ' * 40}')] = 0.5"},
        "the help of option 'alpha' is 'long long long",
    ),
    "an example that fails": (
        "its_examples_run",
        {"example": "tasks\n    ('a',)"},
        "fails: Rule([\"a\", \"b\"], torch.Generator()).tasks Expected: ('a',) Got: ('a', 'b')",
    ),
}
ARCHITECTURES = {
    "a task without a prediction": (
        "every_task_gets_a_prediction_of_its_shape",
        {"body": "predictions.pop('depth')"},
        "on test_resnet forward() predicts ['scene', 'segmentation']; the trained tasks are",
    ),
    "a prediction of another shape": (
        "every_task_gets_a_prediction_of_its_shape",
        {"body": "predictions['scene'] = predictions['scene'][:, :-1]"},
        "on test_resnet the prediction for 'scene' has the shape [2, ",
    ),
    "a copy that is deployed": (
        "the_deployed_network_is_the_primarys_alone",
        {"deployed": "deepcopy(self.network)"},
        "has parameters that are not trained, such as 'backbone.",
    ),
    "a deployed network that looks at values": (
        "the_deployed_network_can_be_exported",
        {
            "deployed": "nn.Sequential(self.network, self.Last())",
            "more": "class Last(nn.Module):\n"
            "    def forward(self, x):\n"
            "        return x if x.sum() > 0 else x + 1",
        },
        "on test_resnet the network cannot be exported (",
    ),
    "a deployed network for one batch size": (
        "the_deployed_network_can_be_exported",
        {
            "deployed": "nn.Sequential(self.network, self.Last())",
            "more": "class Last(nn.Module):\n"
            "    def forward(self, x):\n"
            "        return x.reshape(len(x), *x.shape[1:])",
        },
        "takes one batch size only when it is exported; write x.shape[0] in place of len(x)",
    ),
    "a primary of its own": (
        "the_primary_starts_as_everywhere",
        {
            "built": "with builder.seeds.seeded('mine'):\n"
            "    for p in self.network.head.parameters():\n"
            "        nn.init.normal_(p)",
        },
        "nothing starts like 'head.",
    ),
    "a deployed network that says something else": (
        "the_primary_starts_as_everywhere",
        {"deployed": "nn.Sequential(self.network, nn.Softmax(dim=1))"},
        "has the parameters of the single-task network but predicts something else",
    ),
    "a parameter that is ignored": (
        "every_parameter_is_reached",
        {"built": "self.spare = nn.Parameter(torch.ones(3))"},
        "on test_resnet no prediction depends on the parameter 'spare'; use it in forward()",
    ),
    "a parameter that never moves": (
        "every_weight_moves",
        {
            "built": "self.still = nn.Parameter(torch.zeros(1))",
            "body": "predictions['depth'] = predictions['depth'] + 0 * self.still",
        },
        "three steps of training leave the parameter 'still' as it was",
    ),
    "a global draw": (
        "the_global_random_state_is_left_alone",
        {"built": "self.extra = nn.Linear(2, 2)"},
        "the global random state of torch changed; initialise what is your own inside builder.see",
    ),
    "nowhere at home": (
        "it_can_be_built",
        {"built": "raise UsageError('no.')"},
        "it refuses test_resnet, test_vit, test_convnext, with these words",
    ),
    "a search that is not reported": (
        "passes_are_reported",
        {
            "more": "def phases(self, context):\n"
            "    phase = Plain()\n"
            "    phase.step = lambda b: {'x': len(self(b['train'].inputs))}\n"
            "    return [phase]"
        },
        "in 3 steps the network is called 6 times, and 3 passes are reported",
    ),
    "a parameter of two phases": (
        "it_trains",
        {
            "more": "def phases(self, context):\n"
            "    one, other = Plain(), Plain()\n"
            "    one.claimed = other.claimed = list(self.heads.parameters())\n"
            "    return [one, other]"
        },
        "the parameter 'heads.depth.",
    ),
    "a louder primary": (
        "without_auxiliaries_it_is_the_single_task_training",
        {"body": "predictions[self.primary.name] = 2 * predictions[self.primary.name]"},
        "does not end as in single-task training",
    ),
}


@pytest.mark.parametrize("fault", BALANCERS)
def test_a_broken_balancer_is_caught(fault: str, make: Callable[..., str]) -> None:
    check, words, says = BALANCERS[fault]
    result = outcome(make(BALANCER, **words), check)
    assert result.ok is False
    assert says in result.says


@pytest.mark.parametrize("fault", ARCHITECTURES)
def test_a_broken_architecture_is_caught(fault: str, make: Callable[..., str]) -> None:
    check, words, says = ARCHITECTURES[fault]
    result = outcome(make(ARCHITECTURE, **words), check)
    assert result.ok is False
    assert says in result.says


@pytest.mark.parametrize("template", [BALANCER, ARCHITECTURE], ids=["balancer", "architecture"])
def test_nothing_else_is_wrong_with_what_is_broken(template: str, make: Callable[..., str]) -> None:
    subject = Subject.find(make(template))
    results = [attempt(part, check) for part, check in subject.checks()]
    assert [result for result in results if result.ok is not True] == []
    assert render([table(subject, results)], "text").count(" yes ") == len(results)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import torch", "registers no method; decorate its class with @METHODS.register."),
        ("import torch\n\n1 / 0", "does not import (ZeroDivisionError: division by zero, line 3)"),
        ("class (", "does not import (SyntaxError: "),
        ("import no_such_package", "does not import (ModuleNotFoundError: No module named 'no_"),
        (
            "from auxbench import METHODS\n\n@METHODS.register\nclass Other: ...",
            "does not import (TypeError: 'Other' is not a subclass of Architecture or Balancer);",
        ),
    ],
)
def test_a_file_without_a_method_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "stranger.py"
    file.write_text(text, encoding="utf-8")
    for _ in range(2):  # nothing of it stays behind
        with pytest.raises(UsageError) as caught:
            Subject.find(str(file))
        assert says in str(caught.value)
        assert "\n" not in str(caught.value)
        assert "stranger" not in METHODS


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("pc_grad", "no method is called 'pc_grad'; did you mean 'pcgrad'?"),
        ("hps+auxnas", "names two architectures"),
        ("pcgrad:beta=1", "'pcgrad' has no option 'beta'; choose one of every."),
        ("./none.py", "file 'none.py' is not there; name one that is."),
        ("{folder}/pcgrad.py", "has the name of another method, 'pcgrad'; rename the file."),
        ("{folder}/My Method.py", "has a name that no method can have; rename it to lower-case"),
        ("forkmerge+oracle-subset", "trains several states of the network twice"),
    ],
)
def test_what_cannot_be_checked_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    for name in ("pcgrad.py", "My Method.py"):
        (tmp_path / name).write_text("", encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        Subject.find(text.format(folder=tmp_path))
    assert says in str(caught.value)


def test_a_files_path_and_its_name_are_one_method(make: Callable[..., str]) -> None:
    name = make(BALANCER)
    file = METHODS.file_of(name)
    subject = Subject.find(f"auxnas:links=stage+{file}+gcs:weighted=yes")
    assert subject.parts == ("auxnas:links=stage", name, "gcs:weighted=yes")
    assert subject.whole == f"auxnas:links=stage+{name}+gcs:weighted=yes"
    builtin = Path(sys.modules[METHODS["pcgrad"].__module__].__file__ or "")
    assert Subject.find(str(builtin)).parts == ("pcgrad",)


def test_a_part_has_its_checks_and_the_chain_those_of_training() -> None:
    subject = Subject.find("auxnas+gcs:weighted=yes")
    found = [(part, check.__name__) for part, check in subject.checks()]
    assert ("auxnas", "the_primary_starts_as_everywhere") in found
    assert ("gcs:weighted=yes", "its_state_comes_back") in found
    assert ("auxnas+gcs:weighted=yes", "it_trains") in found
    assert ("auxnas", "it_trains") not in found
    assert Subject.find("sum").parts == ("sum",)  # which goes without saying in a method


def test_options_decide_what_is_found() -> None:
    """The deployed network keeps what the options put on it, and passes are what they say."""
    for method in (
        "auxnas:norm=batch:act=relu",
        "gcs:weighted=yes",
        "arml:every=3",
        "static:depth=2",
    ):
        subject = Subject.find(method)
        results = [attempt(part, check) for part, check in subject.checks()]
        assert [result for result in results if result.ok is False] == []


def test_what_is_not_asked_says_why() -> None:
    (planned,) = (
        pair
        for pair in Subject.find("sum-copy").checks()
        if pair[1].__name__ == "it_differs_from_every_other_rule"
    )
    result = attempt(*planned)
    assert (result.ok, result.says[:12]) == (None, "it is a cont")


@pytest.mark.parametrize("kind", ["method", "architecture"])
@pytest.mark.parametrize("name", ["my-first-{}", "{}"])
def test_a_draft_keeps_the_contract(tmp_path: Path, kind: str, name: str) -> None:
    # the second one makes a class that is called like its base
    name = name.format({"method": "balancer"}.get(kind, kind))
    source = 'A. Author, B. C. Author, "Title", ICML 2026, https://arxiv.org/abs/2601.00000'
    lines = write(name, kind, tmp_path, source if name == kind else None)
    file = tmp_path / f"{name.replace('-', '_')}.py"
    assert f"  auxbench check {file}" in lines
    try:
        subject = Subject.find(str(file))
        results = [attempt(part, check) for part, check in subject.checks()]
        assert [result for result in results if result.ok is False] == []
    finally:
        forget(name)
    before = file.read_bytes()
    with pytest.raises(UsageError, match="exists already; choose another name or folder"):
        write(name, kind, tmp_path)
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("pcgrad", "name 'pcgrad' is taken by another method; choose another."),
        ("My_Method", "name 'My_Method' cannot be a method's; use lower-case letters"),
        ("../there", "cannot be a method's"),
        ("a--b", "cannot be a method's"),
        ("lambda", "cannot be a method's"),
        ("7up", "cannot be a method's"),
    ],
)
def test_names_that_no_draft_can_have(tmp_path: Path, name: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        write(name, "method", tmp_path)
    assert says in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_authors_of_a_draft_are_those_of_its_source(tmp_path: Path) -> None:
    source = 'J.-H. A. De Palma, B. Li, OpenTeam, "Title", 2026, https://a.b'
    write("mine", "method", tmp_path, source)
    written = (tmp_path / "mine.py").read_text(encoding="utf-8")
    assert "  author = {De Palma, J.-H. A. and Li, B. and OpenTeam},\n" in written


def test_drafts_are_refused_for_sources_and_folders_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="source 'a paper' cannot be read; write it as"):
        write("mine", "method", tmp_path, "a paper")
    with pytest.raises(UsageError, match="does not exist; make it or name another by --folder"):
        write("mine", "method", tmp_path / "none")


def call(folder: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    root = str(Path(auxbench.__file__).parents[1])
    paths = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "auxbench", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done


@pytest.mark.slow
def test_on_the_command_line(tmp_path: Path) -> None:
    told = call(tmp_path, "new", "method", "my-rule", "--folder", ".").stdout
    assert "auxbench check ./my_rule.py" in told
    done = call(tmp_path, "check", "./my_rule.py", "--format", "json")
    rows = json.loads(done.stdout)
    assert {row["ok"] for row in rows} == {True}
    assert {row["part"] for row in rows} == {"my-rule"}
    assert f"checking my-rule: {len(rows)} " in done.stderr
    text = (tmp_path / "my_rule.py").read_text(encoding="utf-8")
    broken = text.replace("weights[0] = 1.0", "weights[0] = 0.5")
    (tmp_path / "my_rule.py").write_text(broken, encoding="utf-8")
    done = call(tmp_path, "check", "./my_rule.py", code=1)
    assert "without auxiliaries, T = 1, the weight is 0.5; return 1" in done.stdout
    assert re.search(r"\d+ of \d+ checks failed\.", done.stdout)
