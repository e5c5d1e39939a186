"""What a notebook asks of the suite: the check of its parameters, the keeping of measurements."""

import pandas as pd
import pytest

from experiments.suite import conclusions
from experiments.suite.errors import UserError
from experiments.suite.notebook import REPLAY, check_parameters, keep_measurements, timed
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


def test_samples_are_kept_in_a_run_and_read_again_in_a_replay(tmp_path, monkeypatch):
    taken = {
        "copy": Timings({"a": [1.0, 2.0]}, {"a": 1}, {"a": "wall clock"}, 0.95, 0.02, True, [])
    }
    monkeypatch.setenv(conclusions.RUN_FOLDER, str(tmp_path))
    assert timed(lambda: taken, sizes=[1]) == taken
    monkeypatch.setenv(REPLAY, str(tmp_path))
    assert timed(lambda: pytest.fail("it measured again")) == taken


def test_samples_are_not_kept_outside_of_a_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(conclusions.RUN_FOLDER, raising=False)
    timed(dict)
    assert not list(tmp_path.iterdir())
