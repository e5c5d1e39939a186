"""Bisection among the numbers of a format, and what counts as a destroyed row."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.thresholds import destroyed, last_working_input
from softmax_ref.formats import FORMATS, get_format

EXPERIMENT_FORMATS = ["float16", "bfloat16", "float32", "float64"]


@pytest.mark.parametrize("name", EXPERIMENT_FORMATS)
@given(edge=st.floats(-9.9, 1e4))
def test_neighbours_enclose_the_edge(name, edge):
    low, high = last_working_input(lambda x: x <= edge, get_format(name))
    assert low <= edge < high
    assert FORMATS[name].next_up(low) == high


@pytest.mark.parametrize("name", EXPERIMENT_FORMATS)
def test_bisection_agrees_with_the_threshold_of_exp(name):
    number_format = get_format(name)

    def finite(x):
        with np.errstate(over="ignore"):
            return bool(np.isfinite(np.exp(number_format.round(x))))

    assert last_working_input(finite, number_format) == number_format.exp_overflow()


def test_no_threshold_where_all_numbers_work():
    assert last_working_input(lambda x: True, get_format("float32")) is None


def test_a_formula_that_never_works_is_an_error():
    with pytest.raises(ValueError, match=r"does not work at -10\.0"):
        last_working_input(lambda x: False, get_format("float16"))


@pytest.mark.parametrize("dtype", [np.float64, np.float16, ml_dtypes.bfloat16])
def test_what_counts_as_destroyed(dtype):
    rows = np.array([[0.25, 0.75], [np.nan, 0], [0, 0], [np.inf, 0], [0, 1]], dtype)
    assert destroyed(rows).tolist() == [False, True, True, True, False]
