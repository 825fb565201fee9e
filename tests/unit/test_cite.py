"""Citations: read from docstrings, printed as BibTeX."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from auxbench.errors import UsageError
from auxbench.report.cite import Citation, bibliography, citations
from auxbench.spec.description import Description
from auxbench.spec.registry import METHODS

ENTRY = re.compile(r"@(inproceedings|article|misc)\{([a-z]+\d{4}[\w-]+),\n((?: +.+\n)+)\}")


def fields(entry: str) -> dict[str, str]:
    found = ENTRY.fullmatch(entry.strip())
    assert found, entry
    return {"kind": found[1], "key": found[2], **Citation.parse(entry).fields}


def citations_of(name: str) -> list[Citation]:
    return citations(METHODS.describe(name))


@pytest.mark.parametrize("name", METHODS.names())
def test_every_method_has_entries_that_parse(name: str) -> None:
    for entry in bibliography(name).strip().split("\n\n"):
        values = fields(entry)
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
                "booktitle": "Advances in Neural Information Processing Systems (NeurIPS)",
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
    urls = {paper.url for name in METHODS.names() for paper in citations_of(name)}
    entries = bibliography("all").strip().split("\n\n")
    assert {fields(entry)["url"] for entry in entries} == urls
    assert len(entries) == len(urls) == len({fields(entry)["key"] for entry in entries})


def test_a_paper_has_one_entry_in_all_methods() -> None:
    entries = {
        (paper.url, paper.bibtex) for name in METHODS.names() for paper in citations_of(name)
    }
    assert len(entries) == len({url for url, _ in entries})


def test_an_unknown_name_comes_with_the_likely_one() -> None:
    with pytest.raises(UsageError, match=r"no method is called 'pc_grad'; did you mean 'pcgrad'\?"):
        bibliography("sum,pc_grad")


def test_a_paper_in_short_and_in_full() -> None:
    (paper,) = citations_of("slgrad")
    assert paper.short == "Gregoire arXiv 2023"
    assert paper.full.startswith("E. Gregoire, H. Chaudhary, S. Verboven. Sample-Level Weighting")
    (paper,) = citations_of("hps")
    assert paper.short == "Caruana Machine Learning 1997"


ENTRIES = {
    "a line per field": "@misc{ng,\n  author = {Ng, A.},\n  title = {{On Tasks}},\n"
    "  year = {2020},\n}",
    "without spaces": "@misc{ng,\n  author={Ng, A.},\n  title={{On Tasks}},\n  year={2020}\n}",
    "on one line": "@misc{ng, author = {Ng, A.}, title = {{On Tasks}}, year = {2020}}",
    "quoted": '@misc{ng,\n  author = "Ng, A.",\n  title = "{On Tasks}",\n  year = 2020\n}',
    "over two lines": "@misc{ng,\n  author = {Ng,\n    A.},\n"
    "  title = {{On\n    Tasks}},\n  year = 2020,\n}",
}


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
def test_entries_are_read_as_others_write_them(entry: str) -> None:
    about = Description("x", f"A part.\n\nIt does.\n\n{entry}\n\n{entry}\n{entry}\n")
    assert about.bibtex == [entry] * 3
    assert about.description == ["It does."]
    (paper, *_) = citations(about)
    assert paper.fields == {"author": "Ng, A.", "title": "{On Tasks}", "year": "2020"}
    assert paper.full == "A. Ng. On Tasks. 2020."


@pytest.mark.parametrize(
    ("family", "short"),
    [
        (r"De Palma", "De Palma"),
        (r"{\c C}elik", "Celik"),
        (r"{\O}rsted", "Orsted"),
        (r"Wei{\ss}", "Weiss"),
    ],
)
def test_names_are_read_without_markup(family: str, short: str) -> None:
    paper = Citation.parse(rf"@misc{{x, author = {{{family}, A. and Ng, B.}}, year = {{2020}}}}")
    assert paper.short == f"{short} 2020"


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
