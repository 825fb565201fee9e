"""Templates: the file of a new part, which passes the contract as it is."""

from __future__ import annotations

import datetime
import keyword
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auxbench.contract import templates
from auxbench.errors import UsageError
from auxbench.networks.backbone import is_backbone
from auxbench.spec.registry import BACKBONES, DATASETS, METHODS, NAME, Registry

SOURCE = re.compile(
    r'(?P<authors>[^"]+), "(?P<title>[^"]+)", (?:(?P<venue>[^",]+) )?(?P<year>\d{4}), '
    r"(?P<url>https://\S+)"
)


@dataclass(frozen=True)
class Template:
    """The file of a new part: its text, the registry that it is for, and what to do next."""

    text: str
    registry: Registry[Any]
    then: tuple[str, ...]


TRY = "auxbench run --methods single,{file} --dataset toy --budget demo"
KINDS = {
    "method": Template(templates.METHOD, METHODS, (TRY,)),
    "architecture": Template(templates.ARCHITECTURE, METHODS, (TRY,)),
    "dataset": Template(
        templates.DATASET,
        DATASETS,
        (
            "auxbench data show {file} --side 32",
            "auxbench run --methods single,hps --dataset {file} --budget demo",
        ),
    ),
    "backbone": Template(
        templates.BACKBONE,
        BACKBONES,
        ("auxbench run --methods single,hps --dataset rooms --backbone {file} --budget demo",),
    ),
}


def write(name: str, kind: str, folder: Path | None = None, source: str | None = None) -> list[str]:
    """Write the file of a new part of a kind in `KINDS`, and say in lines what to do next.

    The default folder is the current one. Errors: `UsageError` for a name that cannot be used or is
    taken, and for a source of what is no method; no file is ever overwritten.
    """
    template = KINDS[kind]
    registry, folder = template.registry, folder or Path()
    if not NAME.fullmatch(name) or keyword.iskeyword(name):
        raise UsageError(
            f"name '{name}' cannot be a {registry.kind}'s; use lower-case letters, digits and "
            "single dashes, such as 'my-part'."
        )
    file = folder / f"{name.replace('-', '_')}.py"
    if file.exists():
        raise UsageError(f"file '{file}' exists already; choose another name or folder.")
    if name in registry or (registry is BACKBONES and is_backbone(name)):
        raise UsageError(f"name '{name}' is taken by another {registry.kind}; choose another.")
    if source is not None and registry is not METHODS:
        raise UsageError(f"source does not go with a {registry.kind}; leave it out.")
    if not folder.is_dir():
        raise UsageError(f"folder '{folder}' does not exist; make it or name another by --folder.")
    title = "".join(word.capitalize() for word in name.split("-"))
    if re.search(rf"\b{title}\b", template.text):  # such as Balancer, which it imports
        title += registry.kind.title().replace(" ", "")
    year = datetime.date.today().year
    source = source or f'A. Author, "{title}, a draft", {year}, https://example.org/put-a-link'
    text = template.text.format(title=title, source=_bibtex(source, name))
    try:
        with file.open("x", encoding="utf-8") as stream:  # which fails for a file that is there
            stream.write(text)
    except FileExistsError:
        raise UsageError(f"file '{file}' exists already; choose another name or folder.") from None
    typed = shlex.quote(str(file) if file.is_absolute() else f"./{file}")
    then = ("auxbench check {file}", *template.then)
    return [
        f"{file} is written; next:",
        *(f"  {line.format(file=typed)}" for line in then),
    ]


def _bibtex(source: str, name: str) -> str:
    """The BibTeX entry of a source; errors: `UsageError` for other text."""
    found = SOURCE.fullmatch(source)
    if found is None or "\\" in source:
        raise UsageError(
            f"source '{source}' cannot be read; write it as 'A. Author, B. Author, \"Title\", "
            "ICML 2026, https://...'."
        )
    # The family name is what follows the initials: "De Palma, A." for A. De Palma.
    authors = [
        re.sub(r"^((?:\S+\. )+)(.+)$", lambda name: f"{name[2]}, {name[1].strip()}", author)
        for author in found["authors"].split(", ")
    ]
    fields = {
        "author": " and ".join(authors),
        "title": f"{{{found['title']}}}",
        **({"booktitle": found["venue"]} if found["venue"] else {}),
        "year": found["year"],
        "url": found["url"],
    }
    lines = [f"  {key} = {{{value}}}," for key, value in fields.items()]
    kind = "inproceedings" if found["venue"] else "misc"
    return "\n".join([f"@{kind}{{{name.replace('-', '')}{found['year']},", *lines, "}"])
