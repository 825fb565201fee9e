"""The documents are scripts: every command in README.md and docs/ is run as a reader would run it.

A page is read from top to bottom in a folder of its own. Blocks with a title are files, Python that
imports auxbench is executed, and shell blocks are run line by line. Training is shortened to two
steps and a few rooms; all else stays as it is written. `UNRUN` lists the commands that need what a
test does not have, and of these at least the words are parsed.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from auxbench.cli.main import auxbench
from auxbench.execution.study import Study
from tests.unit._records import study_words

ROOT = Path(__file__).parents[1]
PAGES = {path.name: path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
BLOCK = re.compile(r"^```(\w*)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Pages whose examples are run by a test of their own, which names the page.
ELSEWHERE = {
    "advise.md": "tests/unit/test_advice.py",
    "own-parts.md": "tests/unit/test_own_package.py",
    "balancers.md": "tests/test_documents.py",
    "own-data.md": "tests/unit/test_own_page.py",
    "own-network.md": "tests/unit/test_branches.py",
}
HERE = {name: path for name, path in PAGES.items() if name not in ELSEWHERE}
SHORT = {"--steps": "2", "--batch": "2", "--seeds": "2", "--jobs": "1", "--threads": "1"}
# How Python begins that is a file, or a part of one: it is shown, and whole on another page.
FRAGMENTS = ("from __future__", "@METHODS", 'balance = auxbench.Balance("gradnorm+pcgrad"')
ROOMS = "rooms:train=16:validation=8:test=8"
# Why a command is not carried out here, by how it begins.
UNRUN = {
    "pip install": "it installs what is installed",
    "python3 -m venv": "the tests have an environment",
    ". .venv/bin/activate": "the tests are run in it",
    "make ": "the tests themselves run under make",
    "ray start": "tests/unit/test_ray.py has a cluster",
    "torchrun": "tests/unit/test_group.py starts two processes",
    "auxbench plan --config studies/": "it is long; tests/unit/test_studies.py reads all",
    "auxbench status": "nothing is under way",
    "auxbench retry": "nothing has failed",
    "auxbench cancel": "no job was submitted",
    "auxbench data check DIR": "DIR is the reader's",
    "auxbench data prepare": "DIR is the reader's",
    "auxbench data show nyuv2": "its pictures are the reader's",
    "auxbench deploy RUN": "RUN is the reader's; tests/unit/test_deploy.py deploys one",
    "auxbench results merge part1": "parts are the reader's; tests/unit/test_upkeep.py merges some",
}
# Words of commands that need a cluster, or machines that share a disk.
CLUSTER = ("--executor", "--shard", "/shared/")


def blocks(page: Path) -> Iterator[tuple[str, str, str]]:
    """The language, title and text of the fenced blocks of a page."""
    yield from BLOCK.findall(page.read_text(encoding="utf-8"))


def commands(page: Path) -> list[str]:
    """The lines of a page's shell blocks, without comments."""
    shell = [text for language, title, text in blocks(page) if language in {"sh", ""} and not title]
    return [line for text in shell for line in lines_of(text)]


def lines_of(text: str) -> list[str]:
    """The commands of a shell block, without comments; a backslash continues a line."""
    whole = text.replace("\\\n", " ")
    lines = [line.partition("  #")[0].strip() for line in whole.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def prepared(folder: Path) -> Path:
    """A folder with what readers have: published results, studies, and a study of their own."""
    shutil.copytree(ROOT / "results", folder / "results", ignore=shutil.ignore_patterns("local"))
    shutil.copytree(ROOT / "studies", folder / "studies")
    files = {title: text for _, title, text in blocks(PAGES["concepts.md"]) if title}
    (folder / "study.toml").write_text(files["study.toml"], encoding="utf-8")
    return folder


def unrun(line: str) -> bool:
    """Whether a command is only parsed."""
    return line.startswith(tuple(UNRUN)) or any(word in line for word in CLUSTER)


def shortened(line: str) -> list[str]:
    """The words of a command after `auxbench`, for a training of two steps."""
    name, *words = shlex.split(line)[1:]
    if name not in {"run", "tune"}:
        return [name, *words]
    line = re.sub(r"--dataset rooms\b", f"--dataset {ROOMS}", line)
    name, *words = shlex.split(line.replace("resnet18", "test_resnet"))[1:]
    short = dict(SHORT) | ({"--backbone": "test_resnet"} if ROOMS in words else {})
    if "--until" in words:
        del short["--seeds"]
        short["--max-seeds"] = "5"
    if name == "tune":
        short |= {"--trials": "2", "--tuning-seeds": "1"}
    return [name, *words, *(part for pair in short.items() for part in pair)]


def test_every_page_is_told_where_it_is_run() -> None:
    for name in {*ELSEWHERE} & {*PAGES}:
        file = ELSEWHERE[name]
        assert name in (ROOT / file).read_text(encoding="utf-8"), f"{file} does not read {name}"


def test_what_is_not_run_is_written_somewhere() -> None:
    lines = [line for page in PAGES.values() for line in commands(page)]
    for start in UNRUN:
        assert any(line.startswith(start) for line in lines), start


@pytest.mark.parametrize("page", HERE.values(), ids=HERE)
def test_commands_have_words_that_exist(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(prepared(tmp_path / "here"))
    for line in commands(page):
        if not line.startswith("auxbench "):
            assert unrun(line), f"'{line}' is no command of auxbench, and not in UNRUN"
            continue
        command: click.Command = auxbench
        name, words = "auxbench", shlex.split(line)[1:]
        while isinstance(command, click.Group):
            name = words.pop(0)
            command = command.commands[name]
        context = command.make_context(name, words)
        if name in {"run", "plan"} and unrun(line):
            assert Study.of(**study_words(context.params)).runs


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_commands_within_sentences_exist(page: Path) -> None:
    """Of what no block shows, the names of commands, options and files."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for said in re.findall(r"`((?:auxbench|python) [^`]+)`", text):
        program, *words = said.split()
        if program == "python":
            assert words[0] == "-m" or (ROOT / words[0]).exists(), said
            continue
        command: click.Command = auxbench
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            assert words[0] in command.commands, said
            command = command.commands[words.pop(0)]
        known = {"--help", *(name for param in command.params for name in param.opts)}
        for word in words:
            assert not word.startswith("--") or word in known, said


@pytest.mark.slow
@pytest.mark.parametrize("name", HERE)
def test_a_page_can_be_followed(name: str, tmp_path: Path) -> None:
    folder = prepared(tmp_path / "here")
    for language, title, text in blocks(PAGES[name]):
        if title:
            (folder / title).write_text(text, encoding="utf-8")
        elif language in {"sh", ""}:
            for line in lines_of(text):
                if not unrun(line):
                    follow(["-m", "auxbench", *shortened(line)], folder)
    if script := session(PAGES[name]):
        follow(["-c", script], folder)


def session(page: Path) -> str:
    """The Python of a page as one session, in which studies are as short as those of the shell."""
    code = [text for language, title, text in blocks(page) if language == "python" and not title]
    text = "".join(one for one in code if not one.startswith(FRAGMENTS))
    text = text.replace('"rooms"', f'"{ROOMS}", backbone="test_resnet"')
    return re.sub(r"\bseeds=\d+", "seeds=2, steps=2, jobs=1, quiet=True", text)


def follow(words: list[str], folder: Path) -> None:
    """Carry a command out in a folder, as a reader would."""
    cache = {"AUXBENCH_CACHE": str(folder.parent / "cache"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, **cache, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
