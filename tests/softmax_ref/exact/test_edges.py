"""Edges, shapes and arguments of the exact functions."""

import ml_dtypes
import numpy as np
import pytest

from softmax_ref import exact
from softmax_ref.conformance import EDGES, OPERATIONS
from softmax_ref.formats import FORMATS

INF, NAN = np.inf, np.nan


ROWS = EDGES | {"nan beside both infinities": ([INF, NAN, -INF], [NAN] * 3, [NAN] * 3, NAN)}
HELD = [
    (dtype, name)
    for dtype, fmt in FORMATS.items()
    for name, (x, *_) in ROWS.items()
    if np.array_equal(np.asarray(fmt.round(np.array(x)), dtype=float), x, equal_nan=True)
]


@pytest.mark.parametrize(("dtype", "name"), HELD)
def test_edges(dtype, name):
    """The table of edges, correctly rounded, in each format that has the numbers."""
    fmt = FORMATS[dtype]
    x, *expected = ROWS[name]
    for op, value in zip(OPERATIONS, expected, strict=True):
        found = getattr(exact, op)(np.array(x).astype(fmt.dtype))
        assert found.dtype == fmt.dtype
        rounded = np.asarray(fmt.round(np.array(value)), dtype=np.float64)
        np.testing.assert_array_equal(np.asarray(found, dtype=np.float64), rounded)


def test_every_format_with_infinities_has_most_edges():
    """What no format could hold would never be tried."""
    tried = {dtype: {name for held, name in HELD if held == dtype} for dtype in FORMATS}
    for dtype in ("float64", "float32", "float16", "bfloat16"):
        assert tried[dtype] == set(ROWS)
    assert "nan beside both infinities" in tried["float8_e5m2"]


def test_edges_do_not_touch_their_neighbours():
    """A row with nan beside a good one."""
    x = np.array([[1.0, 2.0], [NAN, 2.0], [INF, 0.0], [-INF, -INF]])
    assert exact.softmax(x)[0].tolist() == exact.softmax(x[0]).tolist()
    assert exact.log_softmax(x)[0].tolist() == exact.log_softmax(x[0]).tolist()
    np.testing.assert_array_equal(exact.logsumexp(x)[1:], [NAN, INF, -INF])


def test_nothing_at_all():
    """Empty slices and empty batches."""
    assert exact.softmax(np.zeros((2, 0))).shape == (2, 0)
    assert exact.log_softmax(np.zeros((0, 3), np.float16)).dtype == np.float16
    assert exact.logsumexp(np.zeros((2, 0))).tolist() == [-INF, -INF]
    assert exact.logsumexp(np.zeros((0, 3))).shape == (0,)
    assert exact.logsumexp(np.zeros((2, 0)), keepdims=True).shape == (2, 1)


def test_a_single_number():
    """0-d: softmax 1, log_softmax 0, LSE itself."""
    assert exact.softmax(5.0) == 1
    assert exact.log_softmax(5.0) == 0
    assert exact.logsumexp(5.0) == 5
    assert exact.logsumexp(np.float32(5)).dtype == np.float32


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int64, np.bool_])
def test_integers_become_float64(dtype):
    """No wrap-around: converted before any subtraction."""
    x = np.array([0, 1], dtype=dtype)
    assert exact.softmax(x).tolist() == exact.softmax([0.0, 1.0]).tolist()
    assert exact.softmax(x).dtype == np.float64


@pytest.mark.parametrize("axis", [0, 1, -1, (0, 2), (2, 0), None, (-1,)])
def test_axes(axis):
    """Any axis, several, or all; on arrays in any memory order."""
    x = np.asfortranarray(np.random.default_rng(0).normal(size=(3, 4, 5)))
    axes = tuple(range(3)) if axis is None else np.atleast_1d(axis)
    kept = [i for i in range(3) if i not in [a % 3 for a in axes]]
    p = exact.softmax(x, axis)
    assert p.shape == x.shape
    np.testing.assert_allclose(p.sum(axis=axis), 1, rtol=1e-14)
    lse = exact.logsumexp(x, axis)
    assert np.shape(lse) == tuple(x.shape[i] for i in kept)
    wide = exact.logsumexp(x, axis, keepdims=True)
    assert wide.ndim == 3
    np.testing.assert_allclose(exact.log_softmax(x, axis), x - wide, rtol=1e-13, atol=1e-14)
    _, certificate = exact.softmax(x, axis, certificate=True)
    assert certificate.stage.shape == x.shape


def test_input_is_left_alone():
    """Special rows are replaced in a copy."""
    x = np.array([[NAN, 1.0], [INF, 2.0], [3.0, -INF]])
    before = x.copy()
    for function in (exact.softmax, exact.log_softmax, exact.logsumexp):
        function(x)
    np.testing.assert_array_equal(x, before)


def test_other_byte_order():
    """Big-endian input is converted."""
    assert exact.softmax(np.array([1.0, 2.0], dtype=">f8")).tolist() == (
        exact.softmax([1.0, 2.0]).tolist()
    )


@pytest.mark.parametrize("bad", [np.complex128(1), np.array(["a"]), np.float128(1)])
def test_other_formats_are_refused(bad):
    """One sentence names what came and what is valid."""
    with pytest.raises(TypeError, match=r"x must hold real numbers in one of float64.*; got"):
        exact.softmax(bad)


def test_axis_out_of_range():
    """As NumPy says it."""
    with pytest.raises(np.exceptions.AxisError):
        exact.softmax([1.0], axis=1)
    with pytest.raises(np.exceptions.AxisError):
        exact.logsumexp(1.0, axis=2)


def test_golden_values():
    """Values that four libraries get wrong."""
    assert exact.logsumexp(np.log([0.1, 0.2, 0.7])) == -6.525293511214321e-18
    x = np.array([71.375, -52.40625], dtype=np.float16)
    assert exact.log_softmax(x).tolist() == [-0.0, -123.8125]
    assert np.signbit(exact.log_softmax(x)[0])


@pytest.mark.parametrize("largest", [1.7e308, np.finfo(float).max])
def test_spreads_that_overflow(largest):
    """x − max overflows; the results do so only where the true value does."""
    x = np.array([largest, -largest, 0.0])
    assert exact.softmax(x).tolist() == [1, 0, 0]
    assert exact.log_softmax(x).tolist() == [0, -INF, -largest]
    assert exact.logsumexp(x) == largest
    assert exact.logsumexp(np.array([largest, largest])) == largest


def test_overflow_by_the_rules_of_the_format():
    """−inf where there is one, nan in float8_e4m3fn; from the middle beyond the largest on."""
    x = np.array([448, -448], dtype=ml_dtypes.float8_e4m3fn)
    assert np.isnan(exact.log_softmax(x).astype(float)[1])
    x = np.array([65504, -65504], dtype=np.float16)
    assert exact.log_softmax(x).tolist() == [0, -INF]
    x = np.array([65504, -8], dtype=np.float16)  # −65512: rounds to the largest
    assert exact.log_softmax(x)[1] == -65504


def test_ties_of_exact_cases_go_to_even():
    """1/1024 lies in the middle of 0 and the least number of float8_e4m3fn."""
    x = np.zeros(1024, ml_dtypes.float8_e4m3fn)
    assert not exact.softmax(x).astype(float).any()
    assert (exact.softmax(x[:1023]).astype(float) == 2.0**-9).all()


def test_subnormal_results():
    """Gradual underflow, to the last bit."""
    x = np.array([0.0, -740.0, -745.2])
    assert exact.softmax(x)[1:].tolist() == [85 * 2.0**-1074, 0.0]
    assert exact.log_softmax(np.array([0.0, -744.0]))[0] == -2 * 2.0**-1074


@pytest.mark.parametrize("name", ["float64", "float32", "float16"])
@pytest.mark.parametrize("shape", [(2, 1025), (3, 2048), (5, 5000), (3, 16384)])
def test_rows_longer_than_a_piece(name, shape):
    """Several rows of more than 1024 entries, some maxima in the last piece: as each row alone."""
    x = np.random.default_rng(0).standard_normal(shape)
    x[0, -1] = 9.0
    x = FORMATS[name].round(x)
    for function in (exact.softmax, exact.log_softmax, exact.logsumexp):
        together, certificate = function(x, certificate=True)
        np.testing.assert_array_equal(together, np.array([function(row) for row in x]))
        assert certificate.anchor.shape == together.shape
