"""What a notebook asks of the suite: the check of its parameters, the keeping of measurements."""

import pandas as pd
import pytest

from experiments import timing
from experiments.suite import conclusions
from experiments.suite.errors import UserError
from experiments.suite.notebook import (
    REPLAY,
    SAMPLES,
    check_parameters,
    keep_measurements,
    timed,
)
from experiments.suite.parameters import ClassCount, FloatFormat
from experiments.timing import Timings

KINDS = {"n": ClassCount, "dtype": FloatFormat}
VALUES = {"__annotations__": KINDS, "n": 8, "dtype": "float16"}


def injected(*lines):
    """Return a history in which papermill has inserted a cell."""
    return ["", "import numpy", "n = 8", "\n".join(["# Parameters", *lines, ""]), "check()"]


def test_good_values_pass():
    check_parameters(VALUES)
    check_parameters(VALUES | {"In": injected("n = 8")})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"n": "eight"}, "Parameter n cannot be 'eight': give an integer from 2 to 100000."),
        ({"n": "8"}, "Parameter n cannot be '8': give an integer from 2 to 100000."),
        ({"n": 8.0}, "Parameter n cannot be 8.0: give an integer from 2 to 100000."),
        (
            {"In": injected("n = 8", "m = 3")},
            "Unknown parameter 'm': choose n or dtype.",
        ),
    ],
)
def test_bad_values_are_refused(change, sentence):
    with pytest.raises(UserError) as caught:
        check_parameters(VALUES | change)
    assert str(caught.value) == sentence


def test_measurements_are_kept_in_a_run_and_only_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(conclusions.RUN_FOLDER, raising=False)
    keep_measurements(pd.DataFrame({"x": [1]}))
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv(conclusions.RUN_FOLDER, str(tmp_path))
    keep_measurements(pd.DataFrame({"x": [1]}))
    assert (tmp_path / "measurements.csv").read_text() == "x\n1\n"


TAKEN = {"copy": Timings({"a": [1.0, 2.0]}, {"a": 1}, {"a": "wall clock"}, 0.95, 0.02, True, [])}


def test_samples_are_kept_in_a_run_and_read_again_in_a_replay(tmp_path, monkeypatch):
    monkeypatch.setenv(conclusions.RUN_FOLDER, str(tmp_path))
    first = timed(lambda: (TAKEN, {"sizes": [1]}))
    assert first[0] == TAKEN
    assert first[1]["about"] == {"sizes": [1]}
    monkeypatch.setenv(REPLAY, str(tmp_path))
    assert timed(lambda: pytest.fail("it measured again")) == first


def test_samples_of_another_machine_are_read_and_kept_as_they_are(tmp_path, monkeypatch):
    file, folder = tmp_path / "gpu.json", tmp_path / "run"
    folder.mkdir()
    timing.write(file, TAKEN, timing.described() | {"machine": {"cpu": "elsewhere"}})
    monkeypatch.setenv(conclusions.RUN_FOLDER, str(folder))
    series, description = timed(lambda: pytest.fail("it measured here"), str(file))
    assert series == TAKEN
    assert description["machine"] == {"cpu": "elsewhere"}
    assert (folder / SAMPLES).read_text() == file.read_text()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "Cannot read samples from {}: no such file or directory."),
        ("hello", "{} holds no samples: give a file that python -m experiments.devices has"),
        ("[1]", "{} holds no samples"),
        ('{"schema": 1}', "{} holds no samples"),
        ('{"schema": 99, "series": {}}', "{} holds no samples"),
    ],
)
def test_a_file_without_samples_is_refused(content, sentence, tmp_path):
    file = tmp_path / "samples.json"
    if content:
        file.write_text(content)
    with pytest.raises(UserError) as caught:
        timed(lambda: pytest.fail("it measured here"), str(file))
    assert str(caught.value).startswith(sentence.format(file))


def test_samples_are_not_kept_outside_of_a_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(conclusions.RUN_FOLDER, raising=False)
    timed(lambda: ({}, {}))
    assert not list(tmp_path.iterdir())
