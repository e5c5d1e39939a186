"""What is committed under experiments/recorded: small, whole, and reached again from samples."""

import pytest

from experiments.suite import catalogue, recorded, records
from experiments.suite.notebook import REPLAY, SAMPLES
from experiments.suite.storage import FolderStore
from tests.experiments import running

RUNS = {record.label: record for record in records.recorded()}
each = pytest.mark.parametrize("record", RUNS.values(), ids=RUNS)
SECONDS = 5  # a run without samples that took longer is not computed again in a test


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


@each
def test_its_verdicts_are_reached_again(record, monkeypatch):
    """From its raw samples; or, where there are none, by computing again what took few seconds."""
    folder = records.RECORDED / record.label
    if not (folder / SAMPLES).exists() and record.provenance["seconds"] > SECONDS:
        pytest.skip("it has no samples and took long")
    monkeypatch.setenv(REPLAY, str(folder))
    verdicts, _ = running.run(monkeypatch, record.experiment, **record.parameters)
    assert verdicts == {item.id: item.verdict for item in record.conclusions}
