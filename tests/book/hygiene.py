"""What a notebook must be before it may stand in the repository."""

import re
from collections.abc import Iterator

from nbformat import NotebookNode

from tools import notebooks

MACHINE_PATH = re.compile(r"(?<![\w.:/])(?:/(?:home|root|Users|tmp|work|mnt|opt)/|[A-Z]:\\)[\w.-]+")
WARNING = re.compile(r"\b\w*Warning\b:")
FIGURE_OUTPUT = re.compile(r"<Figure size")


def problems(notebook: NotebookNode) -> list[str]:
    """Return one sentence for each rule that a notebook breaks."""
    found = []
    for number, cell in enumerate(notebooks.code_cells(notebook), start=1):
        found += [f"code cell {number}: {text}" for text in _cell_problems(number, cell)]
    for cell in notebook.cells:
        if match := MACHINE_PATH.search(cell.source):
            found.append(f"a path of a machine: {match[0]}")
    return found


def _cell_problems(number: int, cell: NotebookNode) -> Iterator[str]:
    tags = cell.metadata.get("tags", [])
    if cell.execution_count is None:
        yield "never executed"
    elif cell.execution_count != number:
        yield f"executed out of order, as number {cell.execution_count}"
    if any(out.output_type == "error" for out in cell.outputs) and "raises-exception" not in tags:
        yield "an error output without the tag raises-exception"
    if any(out.get("name") == "stderr" for out in cell.outputs):
        yield "something on standard error"
    texts = [_text(out) for out in cell.outputs]
    if any(MACHINE_PATH.search(text) for text in texts):
        yield "a path of a machine in an output"
    if any(WARNING.search(text) for text in texts):
        yield "a warning in an output"
    if any(key.startswith("image/") for out in cell.outputs for key in out.get("data", {})):
        yield "a stored image"
    if any(FIGURE_OUTPUT.search(text) for text in texts):
        yield from _figure_problems(cell)


def _text(output: NotebookNode) -> str:
    return str(output.get("text", "")) + str(output.get("data", {}).get("text/plain", ""))


def _figure_problems(cell: NotebookNode) -> Iterator[str]:
    settings = cell.metadata.get("mystnb", {})
    alt = settings.get("image", {}).get("alt", "")
    if len(alt.split()) < 5:
        yield "a figure without alternative text (metadata mystnb.image.alt)"
    for key in ("name", "caption"):
        if not settings.get("figure", {}).get(key):
            yield f"a figure without a {key} (metadata mystnb.figure.{key})"
