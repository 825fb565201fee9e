"""Citations: the papers behind methods, as their docstrings name them, and as BibTeX."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from auxbench.spec.description import Description
from auxbench.spec.grammar import Choice, split_list
from auxbench.spec.registry import METHODS

SOURCE = re.compile(
    r'(?P<authors>[^"]+), "(?P<title>[^"]+)", (?:(?P<venue>[^",]+) )?(?P<year>\d{4}), '
    r"(?P<url>https://\S+)"
)
PROCEEDINGS = {
    "AISTATS": "International Conference on Artificial Intelligence and Statistics",
    "CVPR": "IEEE/CVF Conference on Computer Vision and Pattern Recognition",
    "CVPR Workshops": "IEEE/CVF Conference on Computer Vision and Pattern Recognition Workshops",
    "ICLR": "International Conference on Learning Representations",
    "ICML": "International Conference on Machine Learning",
    "NeurIPS": "Advances in Neural Information Processing Systems",
    "WWW": "ACM Web Conference",
}
JOURNALS = {
    "JMLR": "Journal of Machine Learning Research",
    "Machine Learning": "Machine Learning",
    "TMLR": "Transactions on Machine Learning Research",
}
ACCENTS = {
    "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u",
    "\u0307": ".", "\u0308": '"', "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0327": "c",
    "\u0328": "k",
}  # fmt: skip
LETTERS = {
    "ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L",
    "ı": "i",
}  # fmt: skip


@dataclass(frozen=True)
class Citation:
    """A paper: authors as `A. B. Family`, title, venue in short, year, link.

    >>> source = 'A. Ng, B. Li, "On Tasks", ICML 2020, https://arxiv.org/abs/2001.00001'
    >>> Citation.parse(source).short
    'Ng ICML 2020'
    """

    authors: tuple[str, ...]
    title: str
    venue: str
    year: str
    url: str

    @classmethod
    def parse(cls, source: str) -> Citation:
        """Read `A. Author, B. Author, "Title", Venue Year, https://...`; errors: `ValueError`."""
        found = SOURCE.fullmatch(source)
        if found is None:
            raise ValueError(f"no authors, title, venue, year and link are in '{source}'.")
        authors = tuple(found["authors"].split(", "))
        return cls(authors, found["title"], found["venue"] or "", found["year"], found["url"])

    @property
    def short(self) -> str:
        """The first author's family name, the venue and the year."""
        return " ".join(filter(None, [_names(self.authors[0])[0], self.venue, self.year]))

    @property
    def full(self) -> str:
        """Authors, title, venue and year."""
        stop = "" if self.title.endswith(("?", "!")) else "."
        where = f"{self.venue} {self.year}".strip()
        return f"{', '.join(self.authors)}. {self.title}{stop} {where}."

    def key(self, name: str) -> str:
        """The key of a method's entry.

        >>> Citation(("Ł. Élan-Ørsted",), "On Tasks", "ICML", "2020", "https://a.b").key("mtl")
        'elanorsted2020mtl'
        """
        family = _plain(_names(self.authors[0])[0]).lower()
        return f"{re.sub('[^a-z]', '', family)}{self.year}{name}"

    def bibtex(self, name: str) -> str:
        """The entry under the key of a method, in ASCII."""
        authors = (", ".join(filter(None, _names(author))) for author in self.authors)
        fields = {
            "author": " and ".join(map(_tex, authors)),
            "title": f"{{{_tex(self.title)}}}",
            **self._where(),
            "year": self.year,
            "url": self.url,
        }
        lines = [f"  {field} = {{{value}}}," for field, value in fields.items()]
        return "\n".join([f"@{self._kind}{{{self.key(name)},", *lines, "}"])

    @property
    def _kind(self) -> str:
        if self.venue in JOURNALS:
            return "article"
        return "inproceedings" if self.venue and self.venue != "arXiv" else "misc"

    def _where(self) -> dict[str, str]:
        if self._kind == "article":
            return {"journal": JOURNALS[self.venue]}
        if self._kind == "inproceedings":
            return {"booktitle": _tex(PROCEEDINGS.get(self.venue, self.venue))}
        number = re.fullmatch(r"https://arxiv\.org/abs/(\S+)", self.url)
        return {"eprint": number[1], "archiveprefix": "arXiv"} if number else {}


def citations(about: Description) -> list[Citation]:
    """The papers that a method's docstring names; what cannot be read is left out."""
    found = []
    for source in about.sources:
        try:
            found.append(Citation.parse(source))
        except ValueError:
            continue
    return found


def bibliography(text: str) -> str:
    """BibTeX of the papers behind methods, a list such as `hps,auxnas+pcgrad`, or `all`.

    A paper that several methods come from stands there once, under the first one's name. Errors:
    `UsageError` for a name that is not registered.

    >>> print(bibliography("pcgrad").splitlines()[0])
    @inproceedings{yu2020pcgrad,
    """
    names = METHODS.names() if text.strip() == "all" else list(_parts(text))
    entries: dict[str, str] = {}
    for name in names:
        papers = citations(METHODS.describe(name))
        for paper in papers:
            entries.setdefault(paper.url, paper.bibtex(name))
        if not papers:
            entries[name] = f"% {name}: its docstring names no source."
    return "\n\n".join(entries.values()) + "\n"


def _parts(text: str) -> Iterable[str]:
    for method in split_list(text):
        for part in method.split("+"):
            yield Choice.parse(part).name


def _names(author: str) -> tuple[str, str]:
    """Family and given names: what follows the initials, and the initials.

    >>> _names("J.-H. De Palma")
    ('De Palma', 'J.-H.')
    """
    words = author.split()
    initials = 0
    while initials < len(words) - 1 and words[initials].endswith("."):
        initials += 1
    return " ".join(words[initials:]), " ".join(words[:initials])


def _tex(text: str) -> str:
    r"""Text in ASCII as BibTeX and LaTeX print it.

    >>> _tex("É. Brønsted & Şen")
    "{\\'E}. Br{\\o}nsted \\& {\\c S}en"
    """
    result = []
    for letter in unicodedata.normalize("NFC", text):
        base, *marks = list(unicodedata.normalize("NFD", letter))
        if letter in LETTERS:
            result.append(rf"{{\{'i' if letter == 'ı' else LETTERS[letter]}}}")
        elif letter in "&%$#_":
            result.append(f"\\{letter}")
        elif len(marks) == 1 and marks[0] in ACCENTS:
            accent = ACCENTS[marks[0]]
            result.append(rf"{{\{accent}{' ' if accent.isalpha() else ''}{base}}}")
        else:
            result.append({"–": "--", "’": "'"}.get(letter, letter))
    return "".join(result)


def _plain(text: str) -> str:
    letters = "".join(LETTERS.get(letter, letter) for letter in text)
    return unicodedata.normalize("NFKD", letters).encode("ascii", "ignore").decode()
