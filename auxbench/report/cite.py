"""Citations: the BibTeX entries that methods carry in their docstrings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from auxbench.spec.description import Description
from auxbench.spec.grammar import Choice, split_list
from auxbench.spec.registry import METHODS

# A value ends where the next field begins, or with the entry.
FIELD = re.compile(
    r"""(?<=[,\s])(\w+)\s*=\s*([{"\d].*?)\s*,?\s*(?=[,\s]\s*\w+\s*=\s*[{"\d]|\}\s*\Z)""", re.DOTALL
)
LETTERS = re.compile(r"\\(ss|ae|AE|oe|OE|aa|AA|[oOlLij])(?![a-zA-Z]) ?")
MARKUP = re.compile(r"\\[a-zA-Z]+ ?|\\.|[{}]")  # accents and braces, to be dropped


@dataclass(frozen=True)
class Citation:
    """A BibTeX entry: its text and its fields.

    >>> entry = "@misc{ng2020,\\n  author = {Ng, A. and Li, B.},\\n  year = {2020},\\n}"
    >>> Citation.parse(entry).short
    'Ng 2020'
    """

    bibtex: str
    fields: Mapping[str, str]

    @classmethod
    def parse(cls, bibtex: str) -> Citation:
        """Parse an entry whose values are in braces, in quotation marks, or plain numbers."""
        fields = {}
        for key, value in FIELD.findall(bibtex):
            bare = value if value.isdigit() else value[1:-1]
            fields[key.lower()] = " ".join(bare.split())
        return cls(bibtex, fields)

    @property
    def url(self) -> str:
        """The address of the paper."""
        return self.fields.get("url", "")

    @property
    def venue(self) -> str:
        """The short name of the venue: the parenthesis that ends it, or else the full name."""
        name = self.fields.get("booktitle") or self.fields.get("journal") or ""
        preprint = self.fields.get("archiveprefix", "")
        short = re.search(r"\(([^()]+)\)$", name)
        return short[1] if short else name or preprint

    @property
    def short(self) -> str:
        """The first author's family name, the venue and the year."""
        family = self.fields.get("author", "").partition(" and ")[0].partition(",")[0]
        return " ".join(filter(None, [_plain(family), self.venue, self.fields.get("year")]))

    @property
    def full(self) -> str:
        """Authors, title, venue and year."""
        authors = [" ".join(reversed(one.split(", "))) for one in self._authors]
        title = _plain(self.fields.get("title", ""))
        stop = "" if title.endswith(("?", "!")) else "."
        where = f"{self.venue} {self.fields.get('year', '')}".strip()
        return f"{_plain(', '.join(authors))}. {title}{stop} {where}."

    @property
    def _authors(self) -> list[str]:
        return self.fields.get("author", "").split(" and ")


def citations(about: Description) -> list[Citation]:
    """The papers that a method's docstring cites."""
    return [Citation.parse(entry) for entry in about.bibtex]


def bibliography(text: str) -> str:
    """BibTeX of the papers behind some methods: a list such as `hps,auxnas+pcgrad`, or `all`.

    A paper behind several methods appears once. Errors: `UsageError` for a name that is not
    registered.

    >>> print(bibliography("pcgrad").splitlines()[0])
    @inproceedings{yu2020pcgrad,
    """
    names = METHODS.names() if text.strip() == "all" else list(_parts(text))
    entries: dict[str, str] = {}
    for name in names:
        papers = citations(METHODS.describe(name))
        for paper in papers:
            entries.setdefault(paper.url, paper.bibtex)
        if not papers:
            entries[name] = f"% {name}: its docstring has no BibTeX entry."
    return "\n\n".join(entries.values()) + "\n"


def _parts(text: str) -> Iterable[str]:
    for method in split_list(text):
        for part in method.split("+"):
            yield Choice.parse(part).name


def _plain(text: str) -> str:
    r"""Text without LaTeX markup and accents.

    >>> _plain(r"Gr{\'e}goire and {\O}rsted, {A \& B}")
    'Gregoire and Orsted, A & B'
    """
    text = LETTERS.sub(r"\1", text.replace(r"\&", "&").replace("--", "–"))
    return MARKUP.sub("", text)
