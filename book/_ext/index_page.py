"""List the index of terms in the back matter: `_toc.yml` itself takes files and addresses only."""

from docutils import nodes
from sphinx.addnodes import toctree
from sphinx.application import Sphinx

TITLE, PAGE = "Index", "genindex"  # Sphinx makes this page


def list_index(app: Sphinx, doctree: nodes.document) -> None:
    """Append the index to the last part of the table of contents."""
    parts = list(doctree.findall(toctree))
    if app.env.docname == app.config.root_doc and parts:
        parts[-1]["entries"].append((TITLE, PAGE))


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to the reading of the first page, which holds the table of contents."""
    app.connect("doctree-read", list_index, priority=400)  # before the contents are collected
    return {"parallel_read_safe": True, "parallel_write_safe": True}
