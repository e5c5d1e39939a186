"""What a notebook asks of the suite: the check of its parameters, the keeping of measurements."""

import pandas as pd
import pytest

from experiments.suite import conclusions
from experiments.suite.errors import UserError
from experiments.suite.notebook import check_parameters, keep_measurements
from experiments.suite.parameters import ClassCount, FloatFormat

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
