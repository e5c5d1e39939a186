"""Formats: their limits against ml_dtypes, their neighbours exhaustively, thresholds of exp."""

import itertools

import ml_dtypes
import mpmath
import numpy as np
import pytest
import torch

from softmax_ref.formats import FORMATS, get_format

SMALL = ["float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"]


def finite_numbers(f):
    """All finite numbers of a format of at most 16 bits, in order, each zero once."""
    bits = f.dtype.itemsize * 8
    values = np.arange(2**bits).astype(f"uint{bits}").view(f.dtype)
    with np.errstate(invalid="ignore"):  # signalling nans
        values = values.astype(np.float64)
    return np.unique(values[np.isfinite(values)])


@pytest.mark.parametrize("f", FORMATS.values(), ids=FORMATS)
def test_limits(f):
    info = ml_dtypes.finfo(f.dtype)
    assert f.max == float(info.max)
    assert f.smallest_normal == float(info.smallest_normal)
    assert f.smallest_subnormal == float(info.smallest_subnormal)
    assert f.unit_roundoff == float(info.eps) / 2
    assert f.max == (2 - 2.0 ** (1 - f.precision)) * 2.0**f.max_exponent or f.name == SMALL[2]


@pytest.mark.parametrize("name", SMALL)
def test_neighbours_of_every_number(name):
    f = FORMATS[name]
    values = finite_numbers(f)
    for i, (x, up) in enumerate(itertools.pairwise(values.tolist())):
        assert f.next_up(x) == up
        if i % 8 < 2:  # the rest follows in every eighth place, and beside it
            assert f.next_down(up) == x
            assert f.next_up((x + up) / 2) == up
            assert x < 0 or f.ulp(x) == up - x
    assert f.next_up(f.max) == np.inf
    assert f.next_down(-f.max) == -np.inf


@pytest.mark.parametrize("name", ["float64", "float32"])
def test_neighbours_against_numpy(name):
    f = FORMATS[name]
    bits = f.dtype.itemsize * 8
    rng = np.random.default_rng(1)
    values = rng.integers(0, 2**bits, 5000, dtype=f"uint{bits}").view(f.dtype)
    special = np.array([0, -0.0, 1, -1, 2, -2, f.max, -f.max, f.smallest_normal], f.dtype)
    for x in np.concatenate([values[np.isfinite(values)], special]):
        with np.errstate(over="ignore"):
            assert f.next_up(float(x)) == np.nextafter(x, f.dtype.type(np.inf))
            assert f.next_down(float(x)) == np.nextafter(x, f.dtype.type(-np.inf))


@pytest.mark.parametrize("f", FORMATS.values(), ids=FORMATS)
def test_the_thresholds_of_exp_are_adjacent_and_on_the_right_sides(f):
    with mpmath.workprec(200):
        middle = mpmath.mpf(f.max) + mpmath.mpf(f.ulp(f.max)) / 2
        low, high = f.exp_overflow()
        assert mpmath.exp(low) < middle < mpmath.exp(high)
        assert f.next_up(low) == high
        low, high = f.exp_underflow()
        assert mpmath.exp(low) < mpmath.mpf(f.smallest_subnormal) / 2 < mpmath.exp(high)
        assert f.next_up(low) == high


@pytest.mark.parametrize("given", ["float16", np.float16, np.dtype(np.float16), torch.float16])
def test_a_format_by_name_and_by_dtype(given):
    assert get_format(given) is FORMATS["float16"]
    assert get_format(FORMATS["float16"]) is FORMATS["float16"]


def test_an_unknown_format_names_the_valid_ones_and_the_nearest():
    with pytest.raises(ValueError, match=r"'flaot32'.*valid are float64, .*nearest is 'float32'"):
        get_format("flaot32")
