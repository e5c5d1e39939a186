"""Every notebook in the repository is executed, in order, clean, and in normal form."""

import copy

import nbformat
import pytest

from tests.book.hygiene import problems
from tools import notebooks

PATHS = notebooks.notebook_paths()


def test_there_are_notebooks():
    """The parametrised tests below must not pass by finding nothing."""
    assert PATHS


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.relative_to(notebooks.ROOT).as_posix())
def test_notebook_is_clean(path):
    """No rule of hygiene is broken."""
    assert problems(notebooks.read(path)) == []


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.relative_to(notebooks.ROOT).as_posix())
def test_notebook_is_in_normal_form(path):
    """`make notebooks` would change neither metadata nor ids."""
    assert notebooks.dumps(notebooks.normalise(notebooks.read(path))) == path.read_text("utf-8")


@pytest.fixture
def clean():
    """A small notebook that breaks no rule: one printing cell and one figure."""
    text = nbformat.v4.new_output("stream", name="stdout", text="0.659\n")
    figure = nbformat.v4.new_output("display_data", {"text/plain": "<Figure size 640x480>"})
    settings = {
        "figure": {"name": "fig-one", "caption": "One."},
        "image": {"alt": "A line that rises from left to right."},
    }
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell("# Title"),
            nbformat.v4.new_code_cell("print(0.659)", execution_count=1, outputs=[text]),
            nbformat.v4.new_code_cell("plt.show()", execution_count=2, outputs=[figure]),
        ]
    )
    notebook.cells[2].metadata["mystnb"] = settings
    return notebook


def test_a_clean_notebook_has_no_problems(clean):
    """The rules accept what they should accept."""
    assert problems(clean) == []


def _plant(cell, **changes):
    def change(notebook):
        notebook.cells[cell].update(changes)

    return change


def _output(kind, **fields):
    return {"outputs": [nbformat.v4.new_output(kind, **fields)]}


FAULTS = {
    "never executed": _plant(1, execution_count=None),
    "executed out of order": _plant(1, execution_count=7),
    "without the tag raises-exception": _plant(
        1, **_output("error", ename="E", evalue="", traceback=[])
    ),
    "on standard error": _plant(1, **_output("stream", name="stderr", text="boo")),
    "a path of a machine in an output": _plant(
        1, **_output("stream", name="stdout", text="/home/" + "me/x.csv")
    ),
    "a path of a machine: ": _plant(0, source="see /home/" + "me/x.csv"),
    "a warning in an output": _plant(
        1, **_output("stream", name="stdout", text="RuntimeWarning: overflow")
    ),
    "a stored image": _plant(1, **_output("display_data", data={"image/png": "aGk="})),
    "without alternative text": _plant(
        2, metadata=nbformat.from_dict({"mystnb": {"figure": {"name": "f", "caption": "c"}}})
    ),
    "without a caption": _plant(
        2,
        metadata=nbformat.from_dict(
            {"mystnb": {"figure": {"name": "f"}, "image": {"alt": "A line that rises slowly."}}}
        ),
    ),
}


@pytest.mark.parametrize("sentence", FAULTS)
def test_each_planted_fault_is_found(clean, sentence):
    """A fault of each kind in the clean notebook is named, and nothing else is."""
    FAULTS[sentence](clean)
    found = problems(clean)
    assert len(found) == 1
    assert sentence in found[0]


def test_normal_form_drops_what_a_machine_adds(clean):
    """Timestamps, images, random ids and cuts in a stream go; prose, code and text stay."""
    expected = notebooks.dumps(notebooks.normalise(copy.deepcopy(clean)))
    clean.metadata["kernelspec"] = {"name": "elsewhere", "display_name": "Elsewhere"}
    clean.cells[1].metadata["execution"] = {"iopub.status.busy": "2020-01-01T00:00:00Z"}
    clean.cells[1].id = "random-id"
    pieces = ("0.6", "59\n")
    clean.cells[1].outputs = [
        nbformat.v4.new_output("stream", name="stdout", text=piece) for piece in pieces
    ]
    clean.cells[2].outputs[0].data["image/png"] = "aGk="
    assert notebooks.dumps(notebooks.normalise(clean)) == expected
