"""The house: rooms import one way, and no files of a room import each other in a circle.

`python -m tests.test_house` prints the graph.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# A room imports only from rooms that stand after it, and the two folders of parts from `PARTS_USE`.
ROOMS = (
    "cli",
    "contract",
    "deployment",
    "report",
    "stats",
    "execution",
    "records",
    "training",
    "cost",
    "networks",
    "data",
    "spec",
)
PARTS_USE = ("training", "networks", "data", "spec")
WITHOUT_TORCH = ("stats", "report", "records", "spec")
LONGEST = 300  # lines of a file, unless its docstring says why it is longer


def modules() -> dict[str, Path]:
    """All modules of the house by their dotted names."""
    found = {}
    for folder in ("auxbench", "methods", "tasks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            if parts[-1] == "__init__":
                parts = parts[:-1]
            name = ".".join(parts if folder == "auxbench" else ("auxbench", *parts))
            found[name] = path
    return found


MODULES = modules()


def imports(name: str) -> Iterator[str]:
    """Return the modules of the house that a module imports anywhere, types included."""
    path = MODULES[name]
    package = name if path.stem == "__init__" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom):
            continue
        parts = package.split(".")
        base = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
        module = ".".join(filter(None, [base, node.module]))
        for alias in node.names:
            both = (f"{module}.{alias.name}", module)
            yield from [found for found in both if found in MODULES][:1]


def room(name: str) -> str:
    """The room of a module; empty for the files at the door."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and (ROOT / "auxbench" / parts[1]).is_dir() else ""


def test_the_front_door_holds_rooms_and_at_most_three_files() -> None:
    files = [path.name for path in (ROOT / "auxbench").glob("*.py")]
    folders = {path.name for path in (ROOT / "auxbench").iterdir() if path.is_dir()}
    assert len(files) <= 3, files
    assert folders - {"__pycache__"} == set(ROOMS)


@pytest.mark.parametrize("name", [name for name in MODULES if room(name)])
def test_rooms_import_one_way(name: str) -> None:
    below = ROOMS[ROOMS.index(room(name)) :]
    back = [other for other in imports(name) if room(other) and room(other) not in below]
    assert not back, f"{name} imports {', '.join(back)} from a room above its own"


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("auxbench.methods.")])
def test_methods_use_the_rooms_that_methods_are_made_of(name: str) -> None:
    others = [other for other in imports(name) if room(other) and room(other) not in PARTS_USE]
    assert not others, f"{name} imports {', '.join(others)}"


def test_no_circle() -> None:
    graph = {name: set(imports(name)) - {name, "auxbench"} for name in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(f"a circle: {' <- '.join(error.args[1])}") from None


@pytest.mark.parametrize("name", [name for name in MODULES if room(name) in WITHOUT_TORCH])
def test_rooms_of_words_and_numbers_do_without_torch(name: str) -> None:
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        named = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        named += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not any(one.partition(".")[0] == "torch" for one in named), name


@pytest.mark.parametrize("name", list(MODULES))
def test_a_file_is_short_or_says_why_not(name: str) -> None:
    text = MODULES[name].read_text(encoding="utf-8")
    lines = text.count("\n")
    said = ast.get_docstring(ast.parse(text)) or ""
    assert lines <= LONGEST or "Long because" in said, f"{name} has {lines} lines"


def test_every_room_says_what_it_is_for() -> None:
    for name, path in MODULES.items():
        if path.stem == "__init__":
            assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), name


if __name__ == "__main__":
    for one in ROOMS:
        used = {room(other) for name in MODULES if room(name) == one for other in imports(name)}
        print(f"{one:10} -> {' '.join(other for other in ROOMS if other in used and other != one)}")
