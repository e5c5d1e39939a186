"""End every page that is a notebook with its file to download and a link that says how to run it.

The links need no network: the file is copied beside the pages, and the instructions are a page
of the book.
"""

from pathlib import Path

from docutils import nodes
from sphinx.addnodes import download_reference, pending_xref
from sphinx.application import Sphinx

CHAPTER, EXPERIMENT = "rerun-chapter", "rerun-experiment"  # labels on the page book/rerun


def add_line(app: Sphinx, doctree: nodes.document) -> None:
    """Append the line to the page if a notebook is its source."""
    page = app.env.docname
    source = Path(app.env.doc2path(page))
    if source.suffix != ".ipynb":
        return
    line = nodes.paragraph(classes=["rerun"])
    line += _download(page, source)
    line += nodes.Text(" · ")
    if page.startswith("experiments/"):
        line += _link(page, EXPERIMENT)
        line += nodes.Text(": ")
        line += nodes.literal("", f"python -m experiments run {source.stem}")
    else:
        line += _link(page, CHAPTER)
    next(doctree.findall(nodes.section)).append(line)


def _download(page: str, source: Path) -> nodes.Element:
    link = download_reference("", refdoc=page, reftarget=f"/{page}{source.suffix}", reftype="")
    link += nodes.inline("", "Download this page as a notebook")
    return link


def _link(page: str, label: str) -> nodes.Element:
    return pending_xref(
        "",
        nodes.inline("", "How to run it yourself"),
        refdoc=page,
        refdomain="std",
        reftype="ref",
        reftarget=label,
        refexplicit=True,
        refwarn=True,
    )


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to the reading of each page."""
    app.connect("doctree-read", add_line, priority=400)  # before downloads are collected
    return {"parallel_read_safe": True, "parallel_write_safe": True}
