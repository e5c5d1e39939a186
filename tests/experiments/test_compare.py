"""Status, compare, report and record, on runs that are written here."""

import json
from dataclasses import asdict

import pytest

from experiments.suite import catalogue, cli, compare, provenance, recorded, records, report, run
from experiments.suite.conclusions import Conclusion, Conclusions, Quantity, to_text
from experiments.suite.errors import UserError
from experiments.suite.storage import FolderStore
from experiments.timing import Estimate
from tests.experiments.tiny import write_notebook

MACHINE = {
    "system": "Linux",
    "architecture": "x86_64",
    "cpu": "Some(R) CPU @ 2.20GHz",
    "simd": ["AVX2"],
    "cores": 1,
    "threads": 2,
    "thread_limits": {},
    "memory_gib": 8.0,
    "gpu": None,
    "timer_resolution_s": 1e-9,
    "load_1_min": 0.1,
}


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Return a tiny experiment in a world of its own: no other, and nothing recorded."""
    monkeypatch.setattr(catalogue, "FOLDER", tmp_path)
    monkeypatch.setattr(records, "RECORDED", tmp_path / "recorded")
    return write_notebook(tmp_path / "tiny.ipynb")


@pytest.fixture
def store(tmp_path):
    return FolderStore(tmp_path / "runs")


def conclusion(id="c", verdict="holds", quantity=None):
    return Conclusion(id, f"Statement {id}.", verdict, "seen", quantity)


def keep(store, experiment, items, settings=(), **changes):
    """Put a run into a store as if it had been executed; return its record."""
    determined = provenance.determinants(experiment, experiment.settings(dict(settings)))
    determined |= {k: v for k, v in changes.items() if k in determined}
    name = provenance.run_name(determined)
    record = determined | {"run": name, "given": dict(settings), "git": None, "machine": MACHINE}
    record |= {"started": "2026-01-01T00:00:00+00:00", "seconds": 1.0}
    record |= {"exit_status": 0, "error": None} | changes
    store.prepare()
    with store.workspace() as folder:
        (folder / "measurements.csv").write_text("n\n3\n")
        (folder / run.PROVENANCE).write_text(json.dumps(record))
        (folder / "conclusions.json").write_text(to_text(items))
        (folder / "notebook.ipynb").write_text("{}")
        store.publish(folder, name + (".failed" if record["error"] else ""))
    return None if record["error"] else records.load(store, name)


# --- conclusions with quantities ------------------------------------------------------------


def test_a_quantity_survives_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("SOFTMAX_CHECKED_RUN_FOLDER", str(tmp_path))
    table = Conclusions()
    table.add("fast", "It is fast.", True, "2 GB/s", Estimate(2.0, 1.5, 2.5), "GB/s")
    table.add("right", "It is right.", True, "yes")
    (fast, right) = records.conclusions.read(tmp_path)
    assert fast.quantity == Quantity(2.0, 1.5, 2.5, "GB/s")
    assert right.quantity is None
    assert '"quantity": null' not in (tmp_path / "conclusions.json").read_text()


# --- compare --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("here", "there", "result"),
    [
        ("holds", "holds", "same verdict"),
        ("fails", "fails", "same verdict"),
        ("holds", "fails", "different"),
        ("fails", "holds", "different"),
        ("not testable here", "holds", "not testable here"),
        ("fails", "not testable here", "not testable here"),
    ],
)
def test_each_conclusion_is_compared(tiny, store, here, there, result):
    ours = keep(store, tiny, [conclusion(verdict=here)])
    theirs = keep(store, tiny, [conclusion(verdict=there)], softmax_ref="0" * 64)
    (line,) = compare.compare(ours, theirs).lines
    assert (line.result, line.here, line.there) == (result, here, there)


def test_what_only_one_run_reached_cannot_be_compared(tiny, store):
    ours = keep(store, tiny, [conclusion("a")])
    theirs = keep(store, tiny, [conclusion("b")], softmax_ref="0" * 64)
    lines = compare.compare(ours, theirs).lines
    assert [(line.id, line.result, line.here, line.there) for line in lines] == [
        ("b", "not testable here", "not reached", "holds"),
        ("a", "not testable here", "holds", "not reached"),
    ]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (Quantity(1.2, 1.1, 1.3, "s"), "overlap"),
        (Quantity(2.0, 1.9, 2.1, "s"), "do not overlap"),
        (Quantity(1.0, 0.9, 1.1, "ms"), "other units"),
    ],
)
def test_intervals_are_compared(tiny, store, other, words):
    ours = keep(store, tiny, [conclusion(quantity=Quantity(1.0, 0.9, 1.15, "s"))])
    theirs = keep(store, tiny, [conclusion(quantity=other)], softmax_ref="0" * 64)
    (line,) = compare.compare(ours, theirs).lines
    assert words in line.quantities
    assert ("not" in line.quantities) == ("not" in words)
    assert "1 (0.9 to 1.15) s" in line.quantities


def test_runs_of_two_experiments_are_refused(tiny, store, tmp_path):
    other = write_notebook(tmp_path / "other.ipynb")
    with pytest.raises(UserError, match=r"one is a run of tiny, the other of other\."):
        compare.compare(keep(store, tiny, []), keep(store, other, []))


def test_the_command_line_compares_two_settings(tiny, store, capsys):
    ours = keep(store, tiny, [conclusion()])
    theirs = keep(store, tiny, [conclusion(verdict="fails")], {"n": 9})
    line = ["compare", ours.location, theirs.name, "--out", store.url]
    assert cli.main(line) == 1
    out = capsys.readouterr().out
    for words in ("n: 3 against 9", "different", "holds", "fails", "Statement c."):
        assert words in out
    assert cli.main([*line, "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)
    assert found["other_parameters"] == {"n": [3, 9]}
    assert found["lines"][0]["result"] == "different"


def test_without_names_every_run_meets_its_record(tiny, store, capsys):
    first, second = keep(store, tiny, [conclusion()]), keep(store, tiny, [conclusion()], {"n": 9})
    recorded.record(first, "my-machine")
    assert cli.main(["compare", "--out", store.url]) == 0
    out = capsys.readouterr().out
    assert f"{first.name} against my-machine/{first.name}" in out.replace("\n", " ")
    assert second.name not in out
    assert cli.main(["compare", second.name, "--out", store.url]) == 2
    assert capsys.readouterr().err.startswith("There is nothing to compare: no recorded run has ")
    line = ["compare", second.name, f"my-machine/{first.name}", "--out", store.url]
    assert cli.main(line) == 0


# --- status ---------------------------------------------------------------------------------


def test_status_tells_complete_stale_failed_and_missing(tiny, store, tmp_path, capsys):
    old = provenance.versions() | {"numpy": "1.0"}
    keep(store, tiny, [])
    keep(store, tiny, [], {"n": 4}, versions=old, softmax_ref="0" * 64)
    keep(store, tiny, [], {"n": 5}, error="ValueError: no")
    path = tmp_path / "s.yml"
    path.write_text("runs: [{experiment: tiny, grid: {n: [3, 4, 5, 6]}}]")
    assert cli.main(["status", str(path), "--out", store.url, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out).values()
    assert [one["state"] for one in found] == ["complete", "stale", "failed", "missing"]
    now = provenance.versions()["numpy"]
    assert found[1]["reason"] == f"changed since: numpy 1.0 to {now}, softmax_ref"
    assert found[2]["reason"] == "ValueError: no"
    assert cli.main(["status", str(path), "--out", store.url]) == 0
    assert "tiny n=4" in capsys.readouterr().out


def test_status_without_a_name_counts_every_sweep(store, capsys):
    assert cli.main(["status", "--out", store.url]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "sweep",
        "full",
        "quick",
    ]


# --- report ---------------------------------------------------------------------------------


def test_the_report_is_a_markdown_table(tiny, store, capsys):
    keep(store, tiny, [conclusion("a|b"), conclusion("c", "fails")])
    keep(store, tiny, [conclusion("c", "not testable here")], {"n": 9})
    assert cli.main(["report", "--out", store.url]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "## tiny"
    assert "n = 3" in lines[2]
    assert "n = 9" in lines[2]
    assert lines[3] == "| --- | --- | --- |"
    rows = {row.strip("| ").split(" | ")[0]: row for row in lines[4:6]}
    assert rows.keys() == {r"Statement a\|b.", "Statement c."}
    assert "fails" in rows["Statement c."]
    assert "not testable here" in rows["Statement c."]
    assert lines[-2] == "2 runs: 1 holds, 1 fails, 1 not testable here."


def test_the_report_as_json_and_with_records(tiny, store, capsys):
    recorded.record(keep(store, tiny, [conclusion()]), "mine")
    line = ["report", "--out", store.url, "--recorded"]
    assert cli.main(line) == 0
    assert "| Statement | here | mine |" in capsys.readouterr().out
    assert cli.main([*line, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 2


def test_a_statement_that_differs_gives_way_to_the_id(tiny, store):
    runs = [
        keep(store, tiny, [Conclusion("c", f"It starts at {n}.", "holds", "")], {"n": n})
        for n in (3, 9)
    ]
    assert report.markdown(runs).splitlines()[4] == "| `c` | holds | holds |"


def test_of_equal_runs_the_latest_is_reported(tiny, store):
    later = {"softmax_ref": "0" * 64, "started": "2026-02-01T00:00:00+00:00"}
    runs = [keep(store, tiny, []), keep(store, tiny, [], **later), keep(store, tiny, [], {"n": 9})]
    assert set(map(id, records.latest(runs))) == set(map(id, runs[1:]))


# --- record ---------------------------------------------------------------------------------


def test_a_record_is_small_and_named_after_the_machine(tiny, store, capsys):
    done = keep(store, tiny, [conclusion(quantity=Quantity(1.0, 0.5, 2.0))])
    assert cli.main(["record", done.name, "--out", store.url]) == 0
    (record,) = records.recorded()
    assert record.machine == "some-cpu-2-20ghz-2-threads"
    assert record.conclusions == done.conclusions
    folder = records.RECORDED / record.machine / record.name
    assert {path.name for path in folder.iterdir()} == {*recorded.REQUIRED}
    shown = f"recorded/{record.label}; all records take 0.00 MB of 10."
    assert shown in capsys.readouterr().out


def test_a_later_record_of_the_same_replaces_the_earlier(tiny, store):
    recorded.record(keep(store, tiny, [conclusion()]), "m")
    later = keep(store, tiny, [conclusion(verdict="fails")], softmax_ref="0" * 64)
    recorded.record(later, "m")
    assert [record.name for record in records.recorded()] == [later.name]
    recorded.record(later, "other")
    assert len(records.recorded()) == 2


def test_too_much_is_not_recorded(tiny, store, monkeypatch):
    done = keep(store, tiny, [conclusion()])
    monkeypatch.setattr(recorded, "LIMIT", 1_000)
    with pytest.raises(UserError, match=r"The recorded runs would take 0\.0 MB of the 0 allowed"):
        recorded.record(done, "m")
    assert not records.RECORDED.exists()


def test_a_machine_needs_a_name_for_a_folder(tiny, store, capsys):
    done = keep(store, tiny, [])
    assert cli.main(["record", done.name, "--machine", "My PC", "--out", store.url]) == 2
    assert capsys.readouterr().err == (
        "A machine cannot be named 'My PC': use small letters, digits and hyphens, "
        "such as 'my-pc'.\n"
    )


@pytest.mark.parametrize(
    ("file", "path", "value", "words"),
    [
        ("provenance.json", "machine", {"cpu": "x"}, "machine.system: field required"),
        ("provenance.json", "softmax_ref", "xyz", "softmax_ref: string should match pattern"),
        ("provenance.json", "user", "me", "user: extra inputs are not permitted"),
        ("provenance.json", "exit_status", 1, "exit_status: input should be 0"),
        ("conclusions.json", "verdict", "maybe", "0.verdict: input should be 'holds', 'fails'"),
        ("conclusions.json", "statement", "", "0.statement: string should have at least 1"),
    ],
)
def test_what_does_not_fit_the_schema_is_not_recorded(tiny, store, file, path, value, words):
    done = keep(store, tiny, [conclusion()])
    place = store.root / done.name / file
    content = json.loads(place.read_text())
    (content if isinstance(content, dict) else content[0])[path] = value
    place.write_text(json.dumps(content))
    with pytest.raises(UserError) as caught:
        recorded.record(done, "m")
    assert f"{file} does not fit: {words}" in str(caught.value)


def test_a_run_without_measurements_is_not_recorded(tiny, store):
    done = keep(store, tiny, [])
    (store.root / done.name / "measurements.csv").unlink()
    with pytest.raises(UserError, match=r"has no measurements\.csv\."):
        recorded.record(done, "m")


def test_a_comparison_is_json_values(tiny, store):
    done = keep(store, tiny, [conclusion()])
    found = compare.compare(done, done)
    assert json.loads(json.dumps(found.as_json()))["lines"][0] == asdict(found.lines[0])
