"""The pages of the site that are made from the code: a hook of mkdocs, which `make docs` runs.

A page per method is made from its docstring and from the catalogue behind `auxbench show method`,
the commands from their options, the reference from the public names of `auxbench`. Some Markdown
files elsewhere in the repository become pages too. torch is not imported.
"""

from __future__ import annotations

import ast
import html
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from auxbench.cli.main import auxbench
from auxbench.report.catalogue import Entry, entries
from auxbench.report.cite import citations
from auxbench.report.lists import methods as list_of_methods
from auxbench.report.method import tables
from auxbench.report.tables import Table
from auxbench.spec.description import ENTRY, FLAWS, Description
from auxbench.spec.registry import METHODS
from docs.typeset import grid, prose, symbols

ROOT = Path(__file__).parents[1]
# Pages that are files elsewhere in the repository, by their address.
ELSEWHERE = {
    "results.md": "results/README.md",
    "benchmarks.md": "benchmarks/README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changes.md": "CHANGELOG.md",
}
FAMILIES = {
    "architecture": ("Architectures", "How the tasks share a network."),
    "loss weighting": ("Loss weighting", "Weights that multiply the losses."),
    "gradient": ("Gradients", "Rules that combine the tasks' gradients."),
    "auxiliary": ("Auxiliary weighting", "Rules that treat the primary task differently."),
    "control": ("Controls", "Not methods to use, but what methods are held against."),
}
# Rules in formulas, of methods whose docstrings have none, and what their letters mean.
FORMULAS = tomllib.loads((ROOT / "docs" / "formulas.toml").read_text(encoding="utf-8"))["methods"]
LETTERS = (
    "L_i is the loss of task i, w_i its weight, g_i its gradient on the shared parameters, G the "
    "matrix of all inner products of the g_i, and d the combined gradient. Task 0 is the primary, "
    "and T the number of tasks."
)
# A heading of the docstring of `auxbench`, and the public names below it.
LISTED = re.compile(r"^(\S[^\n]*):\n\n((?:    \w[^\n]*\n)+)", re.MULTILINE)
INTRODUCTION = """
Parts are joined by `+`: an architecture, then rules in their order, as in `auxnas+gradnorm+pcgrad`.
An architecture alone is trained on the plain sum of the losses, and rules alone sit on `hps`.
Passes are forward and backward passes of a training step with three tasks; the plain sum takes one
of each.
[Which one should I try?](../which.md)
""".strip()


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List the methods by family."""
    for section in config.nav or ():
        for title, pages in section.items() if isinstance(section, dict) else ():
            if title == "Methods":
                pages += [
                    {heading: [f"methods/{name}.md" for name in of_family(family)]}
                    for family, (heading, _) in FAMILIES.items()
                ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made."""
    for address, text in made().items():
        files.append(File.generated(config, address, content=text))
    for address, source in ELSEWHERE.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, address, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links to files elsewhere lead to their pages, and put own figures into the page itself.

    A figure that is part of the page follows its colours, which an image cannot.
    """
    for address, source in ELSEWHERE.items():
        markdown = re.sub(rf"\]\((?:\.\./)?{re.escape(source)}", f"]({address}", markdown)
    markdown = re.sub(r"\]\((?:\.\./)?docs/", "](", markdown)
    if page.file.src_uri.count("/") == 0:  # what is outside docs/ and no page is named only
        markdown = re.sub(r"\[([^]]+)\]\(\.\./[^)]+\)", r"\1", markdown)
    return re.sub(r"^!\[(.*?)\]\((figures/concepts\.svg)\)$", _inlined, markdown, flags=re.M)


def _inlined(image: re.Match[str]) -> str:
    drawing = (ROOT / "docs" / image[2]).read_text(encoding="utf-8")
    lines = [line.strip() for line in drawing.splitlines() if line.strip()]
    said = html.escape(image[1])
    return f'<figure class="own" role="img" aria-label="{said}">{"".join(lines)}</figure>'


def made() -> dict[str, str]:
    """The pages that are made from the code, as Markdown by address."""
    pages = {"commands.md": commands(), "reference.md": reference()}
    pages["methods/index.md"] = methods()
    return pages | {f"methods/{name}.md": method(name) for name in METHODS.names()}


def of_family(family: str) -> list[str]:
    """The names of a family's methods."""
    return [name for name in METHODS.names() if entries()[name].family == family]


def methods() -> str:
    """All methods by family, with what a step costs."""
    rows = {row["name"]: row for row in list_of_methods().rows}
    parts = [
        f"# The {len(rows)} methods",
        INTRODUCTION,
    ]
    for family, (heading, sentence) in FAMILIES.items():
        body = [
            (
                f"[`{name}`]({name}.md)",
                prose(_after_name(row["summary"])),
                row["paper"],
                _passes(row),
            )
            for name in of_family(family)
            for row in [rows[name]]
        ]
        parts += [f"## {heading}", sentence]
        parts.append(grid(("method", "what it does", "source", "passes"), body, "lllr"))
    return "\n\n".join(parts) + "\n"


def _after_name(summary: str) -> str:
    """A first sentence without the method's name in front of it."""
    head, colon, rest = summary.partition(": ")
    return rest[:1].upper() + rest[1:] if colon and len(head) < 30 else summary


def _passes(row: Mapping[str, Any]) -> str:
    whole = f"{row['forward']} + {row['backward']}"
    partial = [f"{row['partial']} partial"] if row["partial"] else []
    return ", ".join([whole, *partial, *([f"{row['jvp']} jvp"] if row["jvp"] else [])])


def method(name: str) -> str:
    """The page of a method."""
    about, entry = METHODS.describe(name), entries()[name]
    facts, *rest = tables(name, entry)
    options = [table for table in rest if table.title == "Options"]
    flaws = about.flaws[:1].upper() + about.flaws[1:]
    parts = [
        f"---\ntitle: {name}\n---",
        f"# `{name}`",
        f"{prose(about.summary)}\n{{ .lede }}",
        _facts(facts, entry),
        "## Rule",
        *_formulas(name),
        *(_rule(about) if about.description else []),
        "## Passes of a training step",
        _table(rest[-1]),
        prose(rest[-1].notes[0]),
        "## Options",
        *([_table(options[0])] if options else ["It has no options."]),
        "## Known flaws",
        prose(flaws),
        "## Use it",
        _use(name, entry),
        "## Source",
        *(f"{prose(paper.full)} <{paper.url}>" for paper in citations(about)),
        *(f"```bibtex\n{entry}\n```" for entry in about.bibtex),
    ]
    return "\n\n".join(parts) + "\n"


def _facts(table: Table, entry: Entry) -> str:
    (row,) = table.rows
    said = {True: "yes", False: "no", None: "—"}
    body = [
        (column.title, said[value] if value in (True, False, None) else prose(str(value)))
        for column in table.columns
        if column.shown and column.key != "name"
        for value in [row[column.key]]
        if not (column.key == "deploys_single" and value is None)
    ]
    return grid(("in short", ""), body, "ll")


def _formulas(name: str) -> Iterator[str]:
    """The formulas of a method that are not in its docstring."""
    for formula in FORMULAS.get(name, ()):
        yield f'<div class="formula">{symbols(html.escape(formula))}</div>'
    if name in FORMULAS:
        yield f"{prose(LETTERS)}\n{{ .letters }}"


def _rule(about: Description) -> Iterator[str]:
    """The docstring after its first sentence, with its formulas, without flaws and BibTeX."""
    text = ENTRY.sub("", about.doc).strip()
    first, *blocks = text.split("\n\n")
    rest = " ".join(first.split()).removeprefix(about.summary).strip()
    for block in [rest, *blocks]:
        if block.startswith(FLAWS) or not block.strip():
            continue
        if block.startswith("    "):
            yield f'<div class="formula">{symbols(html.escape(" ".join(block.split())))}</div>'
        elif block.startswith("* "):
            yield "\n".join("* " + prose(item) for item in re.split(r"(?m)^\* ", block)[1:])
        else:
            yield prose(block)


def _use(name: str, entry: Entry) -> str:
    chain = name if entry.role == "architecture" else f"hps+{name}"
    both = f"{name}+pcgrad" if entry.role == "architecture" else f"auxnas+{name}"
    names = ",".join(
        dict.fromkeys(("single", chain, both) if name != "single" else ("single", "hps"))
    )
    lines = [f"```sh\nauxbench run --methods {names} --dataset rooms --seeds 5\n```"]
    if entry.role == "balancer":
        lines.append("In a training loop of your own: [the library](../own-loop.md).")
    return "\n\n".join(lines)


def commands() -> str:
    """Every command with its options, from the command line itself."""
    parts = [
        "# Commands",
        "Every table also comes as `--format json`, `csv`, `markdown` or `latex`. A mistake ends "
        "in one line and exit code 2.",
        *_commands(auxbench, ()),
    ]
    return "\n\n".join(parts) + "\n"


def _commands(group: click.Group, before: tuple[str, ...]) -> Iterator[str]:
    for name, command in sorted(group.commands.items()):
        words = (*before, name)
        yield f"{'##' if not before else '###'} auxbench {' '.join(words)}"
        yield prose(" ".join((command.help or "").split()))
        if isinstance(command, click.Group):
            yield from _commands(command, words)
            continue
        context = click.Context(command, info_name=" ".join(("auxbench", *words)))
        yield f"```text\n{command.get_usage(context).removeprefix('Usage: ')}\n```"
        rows = [
            (f"`{said[0]}`", prose(said[1]))
            for option in command.params
            if (said := option.get_help_record(context))
        ]
        if rows:
            yield grid(("option", ""), rows, "ll")


def reference() -> str:
    """The public names, in the order of the docstring of `auxbench` and under its headings."""
    tree = ast.parse((ROOT / "auxbench" / "__init__.py").read_text(encoding="utf-8"))
    homes = _homes(tree)
    parts = [
        "# Public names",
        "All of this is imported from `auxbench`, which loads each name when it is first asked "
        "for. `help(auxbench)` lists the names too. What other pages import from modules, such as "
        "`auxbench.spec.marks`, stays where it is; everything else may change between versions.",
    ]
    for heading, names in LISTED.findall(ast.get_docstring(tree) or ""):
        parts.append(f"## {heading}")
        parts += [f"::: {homes[name]}.{name}" for name in re.findall(r"^    (\w+)", names, re.M)]
    return "\n\n".join(parts) + "\n"


def _homes(tree: ast.Module) -> dict[str, str]:
    """The modules in which public names live, as their files lie in the repository."""
    found = {node.name: "auxbench" for node in tree.body if isinstance(node, ast.FunctionDef)}
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_HOMES":
            for name, home in ast.literal_eval(node.value).items():
                outside = home.startswith(("methods.", "tasks."))
                found[name] = home if outside else f"auxbench.{home}"
    return found


def _table(table: Table) -> str:
    columns = [column for column in table.columns if column.shown]
    body = [
        ["—" if row[column.key] is None else prose(str(row[column.key])) for column in columns]
        for row in table.rows
    ]
    if table.title != "Options":
        return grid([column.title for column in columns], body, "r" * len(columns))
    # An option's name is typed as it is: `alpha`, not the letter.
    named = [
        [f"`{row[columns[0].key]}`", *said[1:]] for row, said in zip(table.rows, body, strict=True)
    ]
    return grid([column.title for column in columns], named, "l" * len(columns))
