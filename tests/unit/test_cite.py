"""Citations: read from docstrings, printed as BibTeX."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from auxbench.errors import UsageError
from auxbench.report.cite import Citation, bibliography, citations
from auxbench.spec.registry import METHODS

ENTRY = re.compile(r"@(inproceedings|article|misc)\{([a-z]+\d{4}[\w-]+),\n((?:  .+,\n)+)\}")
FIELD = re.compile(r"  (\w+) = \{(.*)\},")


def fields(entry: str) -> dict[str, str]:
    found = ENTRY.fullmatch(entry.strip())
    assert found, entry
    lines = [FIELD.fullmatch(line) for line in found[3].splitlines()]
    assert all(lines)
    return {"kind": found[1], "key": found[2], **{m[1]: m[2] for m in lines if m}}


@pytest.mark.parametrize("name", METHODS.names())
def test_every_method_has_entries_that_parse(name: str) -> None:
    for entry in bibliography(name).strip().split("\n\n"):
        values = fields(entry)
        assert values["key"].endswith(name)
        assert values["author"]
        assert re.fullmatch(r"\{.+\}", values["title"])
        assert re.fullmatch(r"(19|20)\d\d", values["year"])
        assert values["url"].startswith("https://")
        assert entry.isascii()
        assert entry.count("{") == entry.count("}")
        assert {"inproceedings": "booktitle", "article": "journal"}.get(values["kind"], "url") in (
            values
        )
        for author in values["author"].split(" and "):
            assert re.fullmatch(r"[^,.]+, [^,]+\.", author), author


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "pcgrad",
            {
                "kind": "inproceedings",
                "key": "yu2020pcgrad",
                "author": "Yu, T. and Kumar, S. and Gupta, A. and Levine, S. and Hausman, K. "
                "and Finn, C.",
                "title": "{Gradient Surgery for Multi-Task Learning}",
                "booktitle": "Advances in Neural Information Processing Systems",
                "year": "2020",
                "url": "https://arxiv.org/abs/2001.06782",
            },
        ),
        (
            "hps",
            {
                "kind": "article",
                "key": "caruana1997hps",
                "author": "Caruana, R.",
                "title": "{Multitask Learning}",
                "journal": "Machine Learning",
                "year": "1997",
                "url": "https://doi.org/10.1023/A:1007379606734",
            },
        ),
        (
            "slgrad",
            {
                "kind": "misc",
                "key": "gregoire2023slgrad",
                "author": r"Gr{\'e}goire, E. and Chaudhary, H. and Verboven, S.",
                "title": "{Sample-Level Weighting for Multi-Task Learning with Auxiliary Tasks}",
                "eprint": "2306.04519",
                "archiveprefix": "arXiv",
                "year": "2023",
                "url": "https://arxiv.org/abs/2306.04519",
            },
        ),
    ],
)
def test_known_papers(name: str, expected: dict[str, str]) -> None:
    assert fields(bibliography(name)) == expected


def test_lists_chains_and_options_name_papers_once() -> None:
    keys = [match[2] for match in ENTRY.finditer(bibliography("sum,auxnas:l1=10+pcgrad, auxg"))]
    assert keys == ["kurin2022sum", "gao2024auxnas", "yu2020pcgrad"]


def test_all_is_every_paper_of_every_method() -> None:
    urls = {paper.url for name in METHODS.names() for paper in citations(METHODS.describe(name))}
    entries = bibliography("all").strip().split("\n\n")
    assert {fields(entry)["url"] for entry in entries} == urls
    assert len(entries) == len(urls) == len({fields(entry)["key"] for entry in entries})


def test_an_unknown_name_comes_with_the_likely_one() -> None:
    with pytest.raises(UsageError, match=r"no method is called 'pc_grad'; did you mean 'pcgrad'\?"):
        bibliography("sum,pc_grad")


@pytest.mark.parametrize(
    ("source", "author", "key"),
    [
        ('J.-H. De Palma, "T", ICML 2020, https://a.b', "De Palma, J.-H.", "depalma2020x"),
        ('Ş. Çelik, "T", ICML 2020, https://a.b', r"{\c C}elik, {\c S}.", "celik2020x"),
        ('Ł. Ørsted, "T", ICML 2020, https://a.b', r"{\O}rsted, {\L}.", "orsted2020x"),
        ('W. Weiß, "T", ICML 2020, https://a.b', r"Wei{\ss}, W.", "weiss2020x"),
        ('OpenTeam, "T", 2020, https://a.b', "OpenTeam", "openteam2020x"),
    ],
)
def test_names_with_accents_and_particles(source: str, author: str, key: str) -> None:
    values = fields(Citation.parse(source).bibtex("x"))
    assert (values["author"], values["key"]) == (author, key)


def test_what_is_special_in_latex_is_escaped() -> None:
    source = 'A. B, "50 % of A & B_1: 100 $", ICML 2020, https://a.b/x_y'
    values = fields(Citation.parse(source).bibtex("x"))
    assert values["title"] == r"{50 \% of A \& B\_1: 100 \$}"
    assert values["url"] == "https://a.b/x_y"


@pytest.mark.parametrize(
    "source", ["", "A. B, Title, ICML 2020, https://a.b", 'A. B, "T", ICML, https://a.b']
)
def test_what_is_no_source_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match="no authors, title, venue, year and link"):
        Citation.parse(source)


def call(*words: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "auxbench", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    return done.stderr if code else done.stdout


def test_the_command_prints_bibtex() -> None:
    assert call("list", "methods", "--cite", "pcgrad") == bibliography("pcgrad")
    assert "did you mean 'pcgrad'?" in call("list", "methods", "--cite", "pc_grad", code=2)
    assert "cite 'rooms' does not go with datasets" in call(
        "list", "datasets", "--cite", "rooms", code=2
    )
