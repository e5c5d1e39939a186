"""The index of terms: each chapter has entries in it, and they are written alike.

An entry is written above the paragraph or the statement that it leads to:

    ```{index} temperature, softmax; at high temperature
    ```
"""

import re

import pytest

from tools import notebooks

ENTRIES = re.compile(r"^```\{index\}(.*)\n```$", re.MULTILINE)
ANY_ENTRY = re.compile(r"\{index\}")
LISTED = re.findall(r"file: (\S+)", (notebooks.ROOT / "_toc.yml").read_text(encoding="utf-8"))
PAGES = [path for name in LISTED if (path := notebooks.ROOT / f"{name}.ipynb").exists()]
CHAPTERS = [path for path in PAGES if path.parent.parent.name == "book"]
FEWEST, TERMS = 5, 100


def prose(path):
    """Return the Markdown of a notebook."""
    cells = notebooks.read(path).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def entries(text):
    """Return the entries of a text, each `term` or `term; detail`."""
    return [entry.strip() for line in ENTRIES.findall(text) for entry in line.split(",")]


def faults(text):
    """Return what is wrong with how the entries of a text are written."""
    found = entries(text)
    wrong = [e for e in found if not re.fullmatch(r"[^;]*[^;\s](; \S[^;]*)?", e)]
    if len(ENTRIES.findall(text)) != len(ANY_ENTRY.findall(text)):
        wrong.append("an entry is not a fence of its own")
    return wrong


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda p: p.stem)
def test_a_chapter_has_entries(path):
    """A reader who looks a term up finds the chapter."""
    assert len(entries(prose(path))) >= FEWEST, "add {index} entries, as this file shows"


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.stem)
def test_entries_are_well_written(path):
    """Terms and details are not empty, and at most one semicolon parts them."""
    assert faults(prose(path)) == []


def test_the_index_is_long_enough_and_spells_a_term_in_one_way():
    """No term stands there twice, once with a capital and once without."""
    terms = {e.split(";")[0] for path in PAGES for e in entries(prose(path))}
    assert len(terms) >= TERMS
    assert len({term.lower() for term in terms}) == len(terms)


@pytest.mark.parametrize(
    "text", ["```{index} a; b; c\n```", "```{index} a,, b\n```", "```{index}\n```", "{index}`a`"]
)
def test_planted_faults_are_found(text):
    """Too many details, an empty term, no term, and a role in the middle of a line."""
    assert faults(text)
