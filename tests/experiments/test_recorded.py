"""What is committed under experiments/recorded: small, whole, and reached again from samples."""

import pytest

from experiments import timing
from experiments.suite import catalogue, recorded, records, sweep
from experiments.suite.notebook import REPLAY, SAMPLES
from experiments.suite.storage import FolderStore
from tests.experiments import running

RUNS = {record.label: record for record in records.recorded()}
each = pytest.mark.parametrize("record", RUNS.values(), ids=RUNS)
QUICK = [(e.name, e.settings(given)) for e, given in sweep.read("quick")]


def reachable(record):
    """Say whether a test can afford to reach a run's verdicts again: quick, or with samples."""
    samples = records.RECORDED / record.label / SAMPLES
    return samples.exists() or (record.experiment, record.parameters) in QUICK


REACHABLE = {label: record for label, record in RUNS.items() if reachable(record)}


def test_every_experiment_has_a_run_whose_verdicts_can_be_reached_again():
    assert {record.experiment for record in REACHABLE.values()} == set(catalogue.experiments())


def test_every_run_of_the_quick_sweep_is_recorded():
    kept = [(record.experiment, record.parameters) for record in RUNS.values()]
    assert [each for each in QUICK if each not in kept] == []


def test_experiments_that_take_times_have_samples():
    timed = {name for name, found in catalogue.experiments().items() if found.timed}
    for record in RUNS.values():
        samples = records.RECORDED / record.label / SAMPLES
        assert samples.exists() == (record.experiment in timed), record.label


def test_all_of_it_is_under_ten_megabytes():
    assert recorded.size() <= recorded.LIMIT


@each
def test_it_fits_the_schema_and_has_no_more_than_it_needs(record):
    folder = records.RECORDED / record.machine
    recorded.check(FolderStore(folder), record.name)
    files = {path.name for path in (folder / record.name).iterdir()}
    assert set(recorded.REQUIRED) <= files <= {*recorded.REQUIRED, *recorded.OPTIONAL}


@each
def test_it_is_a_run_of_an_experiment_that_exists(record):
    experiment = catalogue.experiment(record.experiment)
    assert experiment.settings(record.parameters) == record.parameters


@pytest.mark.parametrize("record", REACHABLE.values(), ids=REACHABLE)
def test_its_verdicts_are_reached_again(record, monkeypatch):
    """From its raw samples; or, where there are none, by computing again what is quick."""
    monkeypatch.setenv(REPLAY, str(records.RECORDED / record.label))
    verdicts, _ = running.run(monkeypatch, record.experiment, **record.parameters)
    assert verdicts == {item.id: item.verdict for item in record.conclusions}


def test_other_samples_give_other_verdicts(tmp_path, monkeypatch):
    """The planted fault: swapped samples of two implementations turn a verdict over."""
    record = next(r for r in RUNS.values() if r.experiment == "device_timings")
    series, description = timing.read(records.RECORDED / record.label / SAMPLES)
    seconds = series["size 1"].seconds
    one, other = "cpu: torch eager", "cpu: package on NumPy"
    seconds[one], seconds[other] = seconds[other], seconds[one]
    timing.write(tmp_path / SAMPLES, series, description)
    monkeypatch.setenv(REPLAY, str(tmp_path))
    verdicts, _ = running.run(monkeypatch, record.experiment, **record.parameters)
    assert {item.id: item.verdict for item in record.conclusions}["one-row"] == "holds"
    assert verdicts["one-row"] == "fails"
