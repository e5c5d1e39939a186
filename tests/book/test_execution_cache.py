"""The execution cache re-runs what changed, and nothing else."""

import nbformat
import pytest

from book._ext import execution_cache
from tools import notebooks

PINS = "numpy==2.4.6\n"
CODE = "from softmax_ref import softmax\nprint(softmax([0.0, 0.0]))"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of two packages, where the notebook's code imports only softmax_ref."""
    monkeypatch.setattr(notebooks, "ROOT", tmp_path)
    notebooks._read_bytes.cache_clear()
    for name, text in {
        "requirements.txt": PINS,
        "softmax_ref/__init__.py": "from softmax_ref.stable import softmax\n",
        "softmax_ref/stable.py": "from . import formats\n\ndef softmax(x): ...\n",
        "softmax_ref/formats.py": "HALF = 0.5\n",
        "softmax_ref/unused.py": "",
        "experiments/__init__.py": "",
        "experiments/figures.py": "",
        "experiments/figures.mplstyle": "font.size: 12\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    yield tmp_path
    notebooks._read_bytes.cache_clear()


def _notebook(code=CODE, prose="# Page", tags=()):
    cells = [nbformat.v4.new_markdown_cell(prose), nbformat.v4.new_code_cell(code)]
    cells[1].metadata["tags"] = list(tags)
    return nbformat.v4.new_notebook(cells=cells)


def _key(**changes):
    notebooks._read_bytes.cache_clear()
    return notebooks.execution_key(_notebook(**changes))


@pytest.mark.parametrize(
    "changed",
    [
        "requirements.txt",
        "softmax_ref/__init__.py",
        "softmax_ref/stable.py",
        "softmax_ref/formats.py",
    ],
)
def test_an_edit_in_what_the_code_imports_changes_the_key(project, changed):
    """The pins, a module imported by name and a module imported by that module."""
    before = _key()
    (project / changed).write_text("# edited\n" + (project / changed).read_text())
    assert _key() != before


@pytest.mark.parametrize("changed", ["softmax_ref/unused.py", "experiments/figures.py"])
def test_an_edit_elsewhere_does_not(project, changed):
    """A module that the code does not reach, in the same package or another."""
    before = _key()
    (project / changed).write_text("# edited\n")
    assert _key() == before


def test_data_beside_an_imported_module_counts(project):
    """The figure style decides how figures look."""
    code = "from experiments.figures import use_style"
    before = _key(code=code)
    (project / "experiments/figures.mplstyle").write_text("font.size: 13\n")
    assert _key(code=code) != before


def test_code_counts(project):
    """Another line of code is another execution."""
    assert _key(code=CODE + "\n1 + 1") != _key()


def test_prose_and_display_tags_do_not_count(project):
    """Words and `hide-input` change the page, not the run."""
    assert _key(prose="# Another title", tags=["hide-input"]) == _key()


def test_magics_do_not_break_the_reading_of_imports(project):
    """IPython's own lines are no Python."""
    assert _key(code="%matplotlib inline\n" + CODE) != _key()


def test_outputs_are_given_to_the_source_as_it_stands(tmp_path, monkeypatch):
    """The reader takes prose and tags from the source, outputs from the stored execution."""
    monkeypatch.setattr(execution_cache, "STORE", tmp_path)
    page = tmp_path / "page.ipynb"
    nbformat.write(_notebook(code="print(6 * 7)", prose="# Before"), page)
    execution_cache.main(page)
    source = _notebook(code="print(6 * 7)", prose="# After", tags=["hide-input"])
    read = execution_cache.read_with_outputs(nbformat.writes(source))
    assert read.cells[0].source == "# After"
    assert read.cells[1].metadata["tags"] == ["hide-input"]
    assert read.cells[1].outputs[0].text == "42\n"


def test_a_failed_execution_stores_nothing(tmp_path, monkeypatch):
    """What does not run leaves no result behind."""
    monkeypatch.setattr(execution_cache, "STORE", tmp_path / "store")
    (tmp_path / "store").mkdir()
    page = tmp_path / "page.ipynb"
    nbformat.write(_notebook(code="1 / 0"), page)
    with pytest.raises(Exception, match="ZeroDivisionError"):
        execution_cache.main(page)
    assert list((tmp_path / "store").iterdir()) == []
