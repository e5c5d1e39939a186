"""One direct rounding: at every boundary of the small formats, and against MPFR at random."""

import itertools
from fractions import Fraction

import gmpy2
import ml_dtypes
import numpy as np
import pytest
import torch

from softmax_ref.formats import FORMATS

from .test_formats import SMALL, finite_numbers


def bits(x):
    return np.asarray(x).view(f"uint{x.dtype.itemsize * 8}")


@pytest.mark.parametrize("name", SMALL)
def test_every_boundary_between_neighbours(name):
    """Rounding is monotone, so its values at and beside every middle determine it everywhere."""
    f = FORMATS[name]
    values = finite_numbers(f)
    low, high = values[:-1], values[1:]
    middle = (low + high) / 2  # exact: one bit more than the format has
    assert all(
        Fraction(m) == (Fraction(a) + Fraction(b)) / 2
        for a, b, m in itertools.islice(zip(low, high, middle, strict=True), 0, None, 7)
    )
    assert np.array_equal(f.round(values).astype(np.float64), values)
    assert np.array_equal(f.round(np.nextafter(middle, -np.inf)).astype(np.float64), low)
    assert np.array_equal(f.round(np.nextafter(middle, np.inf)).astype(np.float64), high)
    even = np.where(bits(low.astype(f.dtype)) % 2 == 0, low, high)
    assert np.array_equal(f.round(middle).astype(np.float64), even)


@pytest.mark.parametrize("name", SMALL)
def test_the_boundary_of_overflow(name):
    f = FORMATS[name]
    middle = f.max + f.ulp(f.max) / 2
    beyond = np.inf if f.has_infinity else np.nan
    odd = bits(np.array(f.max, f.dtype)) % 2 == 1
    for sign in (1, -1):
        below, at, above = (
            float(f.round(sign * x))
            for x in (np.nextafter(middle, 0), middle, np.nextafter(middle, np.inf))
        )
        assert below == sign * f.max
        np.testing.assert_equal(at, sign * (beyond if odd else f.max))
        np.testing.assert_equal(above, sign * beyond)
        np.testing.assert_equal(float(f.round(sign * np.inf)), sign * beyond)
    assert np.isnan(float(f.round(np.nan)))
    assert np.signbit(f.round(-0.0))
    assert np.signbit(f.round(-1e-300))


@pytest.mark.parametrize("name", ["float32", *SMALL])
def test_the_largest_float64_is_too_large_and_nothing_warns(name):
    """Rounding it to a few digits goes beyond float64; a warning would fail the test."""
    f = FORMATS[name]
    largest = FORMATS["float64"].max
    beyond = np.inf if f.has_infinity else np.nan
    np.testing.assert_equal(f.round(np.array([largest, 1.0])).astype(float), [beyond, 1])
    np.testing.assert_equal(float(f.round(-largest)), -beyond)
    assert f.next_up(largest) == np.inf
    assert f.next_down(largest) == f.max


@pytest.mark.parametrize("name", ["float32", "float16", "bfloat16", "float8_e5m2"])
def test_random_numbers_against_mpfr(name):
    f = FORMATS[name]
    rng = np.random.default_rng(5)
    low, high = np.log2(f.smallest_subnormal) - 3, f.max_exponent + 1.5
    x = rng.choice([-1.0, 1.0], 20_000) * 2.0 ** rng.uniform(low, high, 20_000)
    y = f.round(x).astype(np.float64)
    with gmpy2.context(gmpy2.get_context()) as context:
        context.precision = f.precision
        context.emax = f.max_exponent + 1
        context.emin = f.min_exponent + 2 - f.precision
        context.subnormalize = True
        for value, ours in zip(x.tolist(), y.tolist(), strict=True):
            assert ours == float(gmpy2.mpfr(value))


@pytest.mark.parametrize("name", ["float32", "float16"])
def test_the_casts_that_round_once(name):
    """NumPy's own casts from float64 to float32 and float16 are direct."""
    f = FORMATS[name]
    rng = np.random.default_rng(6)
    low, high = np.log2(f.smallest_subnormal) - 3, f.max_exponent + 1.5
    x = rng.choice([-1.0, 1.0], 300_000) * 2.0 ** rng.uniform(low, high, 300_000)
    with np.errstate(over="ignore", under="ignore"):
        np.testing.assert_array_equal(f.round(x), x.astype(f.dtype))


def test_the_casts_that_round_twice():
    """A little above the middle of two numbers, float32 is the middle, and the tie goes down."""
    for name in ("bfloat16", "float8_e4m3fn", "float8_e5m2", "float16"):
        f = FORMATS[name]
        x = 1 + f.unit_roundoff + 2.0**-40
        assert float(f.round(x)) == 1 + 2 * f.unit_roundoff
        tensor = torch.tensor(x, dtype=torch.float64).to(getattr(torch, name))
        assert float(tensor) == 1
        if name != "float16":
            assert float(np.float64(x).astype(f.dtype)) == 1


def test_shapes_and_types():
    for f in FORMATS.values():
        assert f.round(0.5).dtype == f.dtype
        assert f.round(np.zeros((2, 0, 3))).shape == (2, 0, 3)
        assert np.isnan(f.ulp(np.inf))
        assert np.isnan(f.next_up(np.nan))
        assert f.next_up(np.inf) == np.inf
        assert f.next_up(-np.inf) == -f.max
        assert f.next_down(np.inf) == f.max
        if f.max < 1e300:
            assert f.next_up(2 * f.max) == np.inf
            assert f.next_down(2 * f.max) == f.max
    assert FORMATS["bfloat16"].round(1.0).dtype == ml_dtypes.bfloat16
