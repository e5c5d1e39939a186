"""The shrinker: what it returns still fails, and is no larger than what it was given."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from softmax_ref.conformance.shrink import shrink, written
from softmax_ref.formats import FORMATS

FLOAT32 = FORMATS["float32"]
arrays = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=12),
    elements=st.floats(-1e6, 1e6, width=32),
)
PREDICATES = {
    "a spread": lambda x: bool(x.size and np.ptp(x, axis=1).max() > 3),
    "a sum": lambda x: bool(abs(float(x.astype(np.float64).sum())) > 10),
    "an odd bit": lambda x: bool((x.view(np.uint32) & 1).any()),
    "two rows": lambda x: len(x) >= 2,
    "three entries in a row": lambda x: x.shape[1] >= 3 and bool(x.size),
    "a fraction": lambda x: bool((x != np.rint(x)).any()),
}


@given(x=arrays, name=st.sampled_from(list(PREDICATES)), trials=st.integers(0, 300))
def test_what_is_returned_fails_too_and_is_no_larger(x, name, trials):
    fails = PREDICATES[name]
    if not fails(x):
        return
    before, asked = x.copy(), []

    def counted(y):
        asked.append(y)
        return fails(y)

    small = shrink(x, counted, FLOAT32, trials)
    assert fails(small)
    assert small.dtype == x.dtype
    assert small.size <= x.size
    assert len(asked) <= trials
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(small, shrink(x, fails, FLOAT32, trials))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a spread", [[0.0, 4.0]]),
        ("two rows", [[0.0], [0.0]]),
        ("three entries in a row", [[0.0, 0.0, 0.0]]),
        ("a sum", [[11.0]]),
    ],
)
def test_it_finds_what_one_would_write_by_hand(name, expected):
    rng = np.random.default_rng(0)
    x = np.abs(rng.normal(scale=50, size=(8, 40))).astype(np.float32)
    small = np.sort(shrink(x, PREDICATES[name], FLOAT32))
    np.testing.assert_array_equal(small, expected)


@given(name=st.sampled_from(list(FORMATS)), data=st.data())
def test_a_written_number_rounds_to_itself(name, data):
    fmt = FORMATS[name]
    value = float(fmt.round(data.draw(st.floats(-fmt.max, fmt.max))))
    assert float(fmt.round(float(written(value, fmt)))) == value
    if name == "float64" and value:
        assert len(written(value, fmt)) <= len(repr(value))
