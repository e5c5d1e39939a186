"""A page that is a notebook ends with its file and with how to run it; the index is listed."""

import os
import re
import subprocess
import sys

import nbformat
import pytest

from tools import notebooks

CONF = """
extensions = ["myst_nb", "book._ext.rerun_link", "book._ext.index_page"]
nb_execution_mode = "off"
"""
RERUN = """# Rerun

(rerun-experiment)=
## An experiment

(rerun-chapter)=
## A chapter
"""
INDEX = """# Front

```{index} temperature
```

```{toctree}
book/chapter
experiments/overflow
book/rerun
```
"""


def notebook(title):
    """Return a notebook with a title and a section."""
    return nbformat.writes(
        nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(f"# {title}\n\n## End")])
    )


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """Return a function that builds a small book and gives its folder and its warnings."""

    def build(rerun=RERUN):
        source = tmp_path_factory.mktemp("source")
        for folder in ("book", "experiments"):
            (source / folder).mkdir()
        (source / "index.md").write_text(INDEX)
        (source / "book" / "rerun.md").write_text(rerun)
        (source / "book" / "chapter.ipynb").write_text(notebook("Chapter"))
        (source / "experiments" / "overflow.ipynb").write_text(notebook("Overflow"))
        (source / "conf.py").write_text(CONF)
        html = tmp_path_factory.mktemp("html")
        run = subprocess.run(
            [sys.executable, "-m", "sphinx", "-q", source, html],
            env={**os.environ, "PYTHONPATH": str(notebooks.ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        return source, html, run.stderr

    return build


@pytest.fixture(scope="module")
def book(build):
    """Build it once, with the labels in place."""
    source, html, warnings = build()
    assert warnings == ""
    return source, html


def line(html, page):
    """Return the line at the foot of a page."""
    (found,) = re.findall(r'<p class="rerun">(.*?)</p>', (html / page).read_text(), re.DOTALL)
    return found


@pytest.mark.parametrize("page", ["book/chapter", "experiments/overflow"])
def test_the_notebook_can_be_downloaded(book, page):
    """The link leads to a copy of the notebook beside the pages, byte for byte."""
    source, html = book
    (href,) = re.findall(r'href="([^"]*\.ipynb)"', line(html, f"{page}.html"))
    copy = (html / page).parent / href
    assert copy.read_bytes() == (source / f"{page}.ipynb").read_bytes()


def test_a_chapter_leads_to_the_section_on_chapters(book):
    """The instructions for a chapter are those of the page on rerunning."""
    foot = line(book[1], "book/chapter.html")
    assert 'href="rerun.html#rerun-chapter"' in foot
    assert "python -m" not in foot


def test_an_experiment_says_its_command(book):
    """The command names this experiment."""
    foot = line(book[1], "experiments/overflow.html")
    assert 'href="../book/rerun.html#rerun-experiment"' in foot
    assert "python -m experiments run overflow" in re.sub(r"<[^>]*>", "", foot)


def test_a_page_of_prose_has_no_line(book):
    """Only notebooks can be run."""
    assert 'class="rerun"' not in (book[1] / "book" / "rerun.html").read_text()


def test_the_index_is_in_the_contents(book):
    """The last entry of the contents is the index, and the page behind it has the term."""
    html = book[1]
    links = re.findall(r'href="([^"#]*)"[^>]*>Index</a>', (html / "index.html").read_text())
    assert "genindex.html" in links
    assert "temperature" in (html / "genindex.html").read_text()


def test_missing_instructions_are_named(build):
    """Without the labels the build warns, once for each notebook."""
    *_, warnings = build(rerun="# Rerun\n")
    assert warnings.count("undefined label") == 2
