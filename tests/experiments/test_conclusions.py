"""Conclusions: verdicts, display, and the file in the run folder."""

import pytest

from experiments.suite import conclusions
from experiments.suite.conclusions import Conclusions, verdict


@pytest.mark.parametrize(
    ("holds", "word"), [(True, "holds"), (False, "fails"), (None, "not testable here")]
)
def test_verdicts(holds, word):
    assert verdict(holds) == word


def test_an_id_is_taken_once():
    table = Conclusions()
    table.add("a", "One is one.", True, "1 == 1")
    with pytest.raises(ValueError, match="'a' is already in the table"):
        table.add("a", "Two is two.", True, "2 == 2")


def test_the_table_escapes_what_html_would_read():
    table = Conclusions()
    table.add("a", "1 < 2", True, "x & y")
    page = table._repr_html_()
    assert "1 &lt; 2" in page
    assert "x &amp; y" in page


def test_each_addition_is_kept_in_the_run_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(conclusions.RUN_FOLDER, str(tmp_path))
    table = Conclusions()
    table.add("a", "0 is 0.", True, "it is")
    assert [item.id for item in conclusions.read(tmp_path)] == ["a"]
    table.add("b", "0 is 1.", False, "it is not")
    assert conclusions.read(tmp_path) == list(table)


def test_nothing_is_written_outside_of_a_run(tmp_path, monkeypatch):
    monkeypatch.delenv(conclusions.RUN_FOLDER, raising=False)
    monkeypatch.chdir(tmp_path)
    Conclusions().add("a", "0 is 0.", True, "it is")
    assert not list(tmp_path.iterdir())
