"""The page that sets runs made here beside recorded ones."""

import json

import pytest

from book._ext import sweep_results
from experiments.suite import catalogue, records
from experiments.suite.conclusions import Conclusion, Quantity, to_text
from tests.experiments.tiny import write_notebook


def conclusion(id, verdict="holds", quantity=None):
    return Conclusion(id, f"Statement |{id}|.", verdict, "seen", quantity)


def ratio(value):
    return Quantity(value, value - 0.1, value + 0.1)


@pytest.fixture
def keep(tmp_path, monkeypatch):
    """Return a function that writes a run into a folder."""
    monkeypatch.setattr(records, "RECORDED", tmp_path / "recorded")

    def keep(place, items, name="tiny-1", **parameters):
        folder = tmp_path / place / name
        folder.mkdir(parents=True)
        (folder / "conclusions.json").write_text(to_text(items))
        provenance = {"experiment": "tiny", "parameters": parameters, "seconds": 2.0}
        provenance |= {"started": "2026-01-01T00:00:00+00:00", "versions": {"numpy": "2"}}
        provenance["versions"]["python"] = "3"
        provenance["machine"] = {"cpu": "a processor", "cores": 2}
        (folder / "provenance.json").write_text(json.dumps(provenance))
        return folder

    return keep


def test_same_and_different_verdicts_are_counted_and_shown(keep):
    keep("recorded/old", [conclusion("a"), conclusion("b"), conclusion("c", quantity=ratio(1))])
    here = [conclusion("a"), conclusion("b", "fails"), conclusion("c", quantity=ratio(2))]
    text = sweep_results.reproduction([("Tiny", keep("runs", here))])
    assert "Of 3 conclusions: same verdict 2, different 1, not testable here 0." in text
    assert "Intervals: 0 of 1 overlap." in text
    assert "| Tiny | 2 | 1 | 0 | 0 of 1 overlap |" in text
    assert "{dropdown} Tiny, against old" in text
    assert "Recorded on 2026-01-01 in 2 s on a processor (2 cores)" in text
    rows = [line for line in text.splitlines() if line.startswith("| Statement \\|")]
    assert rows[0].startswith(r"| Statement \|b\|. | different | fails | holds |")
    assert "do not overlap" in rows[2]


def test_intervals_that_overlap_are_counted(keep):
    keep("recorded/old", [conclusion("a", quantity=ratio(1))])
    here = keep("runs", [conclusion("a", quantity=ratio(1.1))])
    assert "1 of 1 overlap" in sweep_results.reproduction([("Tiny", here)])


def test_what_is_missing_is_named(keep, tmp_path):
    keep("recorded/old", [conclusion("a")], n=3)
    other = keep("runs", [conclusion("a")], n=4)
    text = sweep_results.reproduction([("Tiny", other), ("None", tmp_path / "nowhere")])
    assert text.splitlines() == [
        "**Tiny**: no run with these parameters is recorded.",
        "",
        "**None**: not run on this machine yet; `make book` runs it.",
    ]


def test_recorded_verdicts_are_counted_by_statement(keep, monkeypatch, tmp_path):
    monkeypatch.setattr(catalogue, "FOLDER", tmp_path)
    tiny = write_notebook(tmp_path / "tiny.ipynb")
    asked = [(tiny, {"n": n, "dtype": dtype}) for n in (3, 4) for dtype in ("float16", "float32")]
    for number, (_, given) in enumerate(asked[:3]):
        fails = given["dtype"] == "float32"
        items = [conclusion("a", "fails" if fails else "holds"), conclusion("b", "fails")]
        keep("recorded/old", items, name=f"tiny-{number}", **tiny.settings(given))
    keep("recorded/old", [conclusion("a")], name="tiny-9", **tiny.settings({"n": 5}))
    text = sweep_results.recorded_conclusions(asked)
    assert "**old**: 3 of the 4 runs are recorded." in text
    assert "holds 2, fails 4, not testable here 0." in text
    assert "{dropdown} Counting: 3 runs" in text
    assert text.splitlines()[-3:-1] == [
        r"| Statement \|a\|. | 2 | 1 | 0 | dtype float32 |",
        r"| Statement \|b\|. | 0 | 3 | 0 |  |",
    ]
