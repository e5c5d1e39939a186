"""Checks of the statements in the chapter *Correct rounding*.

Exactness is checked in rational arithmetic, and error bounds against MPFR with 300 bits: what the
bounds allow is at least 2^−135, so that 300 bits see it.
"""

import math
from fractions import Fraction

import gmpy2
import mpmath
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from softmax_ref import exact
from softmax_ref.exact import (
    blocks,
    doubledouble,
    errorfree,
    extended,
    multiprecision,
    rounding,
    working,
)
from softmax_ref.exact.tables import SIZE, tables
from softmax_ref.exact.truth import Truth
from softmax_ref.formats import FORMATS

U = 2.0**-53
BITS = 300
FORMAT64 = FORMATS["float64"]

moderate = st.floats(-(2.0**400), 2.0**400, allow_subnormal=False)
ordinary = st.floats(2.0**-400, 2.0**400) | st.floats(-(2.0**400), -(2.0**-400))


@pytest.fixture(autouse=True)
def precision():
    """All MPFR arithmetic of this module has 300 bits."""
    with gmpy2.context(precision=BITS, emin=-(10**8), emax=10**8):
        yield


def array(*values):
    return [np.array([v], dtype=np.float64) for v in values]


def exactly(*parts):
    return sum((Fraction(np.asarray(part).item()) for part in parts), Fraction(0))


def fl(value):
    """Round a fraction to float64, once."""
    return value.numerator / value.denominator


def real(*parts):
    return sum((gmpy2.mpfr(float(part)) for part in parts), gmpy2.mpfr(0))


def relative(found, expected):
    return float(abs(found / expected - 1))


def rows(seed, n, scale, count=4):
    return np.random.default_rng(seed).normal(scale=scale, size=(count, n))


def others(row):
    """The sum of all exponentials without one maximal entry, and all exponents."""
    where = int(row.argmax())
    d = [gmpy2.mpfr(v) - gmpy2.mpfr(row[where]) for v in row.tolist()]
    return sum((gmpy2.exp(v) for i, v in enumerate(d) if i != where), gmpy2.mpfr(0)), d


# --- why there are no ties --------------------------------------------------------------------


@pytest.mark.claim("thm-rounding-transcendental")
def test_no_value_is_a_boundary_but_equal_entries():
    """All pairs of float8_e5m2 stay off every boundary, seen with 300 bits; equal ones give 1/2."""
    fmt = FORMATS["float8_e5m2"]
    values = np.arange(256, dtype=np.uint8).view(fmt.dtype).astype(np.float64)
    values = np.unique(values[np.isfinite(values)])
    for d in np.unique(values[:, None] - values[None, :]):
        if not -80 < d < 0:
            continue
        e = gmpy2.exp(gmpy2.mpfr(d))
        for v in (e / (1 + e), gmpy2.log1p(e), d - gmpy2.log1p(e)):
            scaled = gmpy2.mpfr(v) * gmpy2.exp2(40)  # every boundary above 2^-18 becomes an integer
            assert abs(scaled - gmpy2.rint(scaled)) > gmpy2.exp2(-150)
    assert exact.softmax(np.array([3.5, 3.5])).tolist() == [0.5, 0.5]
    assert exact.softmax(np.full(3, 1e300)).tolist() == [1 / 3] * 3


@pytest.mark.claim("thm-rounding-terminates")
@given(st.fractions(-8, 8, max_denominator=10**6).filter(lambda v: v.denominator % 2))
def test_shrinking_intervals_decide(v):
    """Rational numbers that are no boundaries: ever shorter intervals around them round alike."""
    assume(v.denominator > 1)
    fmt = FORMATS["float8_e4m3fn"]
    for k in range(1, 80):
        ends = [fmt.round(fl(v + side * Fraction(1, 2**k))) for side in (-1, 1)]
        if ends[0] == ends[1]:
            break
    assert ends[0] == ends[1] == fmt.round(fl(v))


# --- error-free transformations ---------------------------------------------------------------


@pytest.mark.claim("lem-rounding-sterbenz")
@given(ordinary, st.floats(0.5, 2.0))
def test_differences_of_near_numbers_are_exact(b, ratio):
    """Random pairs within a factor of two: rational arithmetic finds no rounding error."""
    a = b * ratio
    assume(abs(b) / 2 <= abs(a) <= 2 * abs(b))
    assert exactly(a - b) == exactly(a) - exactly(b)


@pytest.mark.claim("lem-rounding-sterbenz")
@given(moderate, moderate)
def test_the_error_of_a_sum_is_representable(a, b):
    """Random pairs: the rational error of a sum is unchanged by conversion to float64."""
    error = exactly(a, b) - exactly(a + b)
    assert Fraction(fl(error)) == error


@pytest.mark.claim("lem-rounding-fast-two-sum")
@given(moderate, moderate)
def test_fast_two_sum_is_exact(a, b):
    """Random pairs, the larger one first, and pairs with a = 0: exact in rational arithmetic."""
    a, b = (a, b) if abs(a) >= abs(b) else (b, a)
    for first, second in ((a, b), (0.0, b)):
        s, t = errorfree.fast_two_sum(*array(first, second))
        assert s == first + second
        assert exactly(s, t) == exactly(first, second)


@pytest.mark.claim("thm-rounding-two-sum")
@given(moderate, st.one_of(moderate, st.floats(-4, 4)))
def test_two_sum_is_exact(a, b):
    """Random pairs, of like and of unlike size: exact in rational arithmetic."""
    for second in (b, a * b if abs(a) < 1e100 and abs(b) < 5 else b):
        s, t = errorfree.two_sum(*array(a, second))
        assert s == a + second
        assert exactly(s, t) == exactly(a, second)


@pytest.mark.claim("thm-rounding-two-prod")
@given(ordinary, ordinary)
def test_two_prod_is_exact(a, b):
    """Random pairs: both halves of a split have 26 bits, and p + e is the product."""
    h, low = errorfree.split(array(a)[0])
    for part in (h, low):
        mantissa = int(abs(math.frexp(float(part[0]))[0]) * 2**53)
        assert mantissa % 2**27 == 0
    p, e = errorfree.two_prod(*array(a, b))
    assert p == a * b
    assert exactly(p, e) == exactly(a) * exactly(b)


@pytest.mark.claim("prop-rounding-double-double")
def test_double_double_operations():
    """20,000 random pairs each, cancelling sums among them: errors below 4u², 9u² and 28u²."""
    rng = np.random.default_rng(0)
    x, y = ((v := rng.normal(size=20_000), v * rng.uniform(-U, U, v.size) / 2) for _ in "xy")
    y[0][::4] = -x[0][::4] * (1 + rng.integers(-4, 4, 5000) * 2 * U)
    y = errorfree.fast_two_sum(y[0], y[0] * rng.uniform(-U, U, 20_000) / 2)
    for function, bound, truth in (
        (errorfree.add, 4, lambda a, b: a + b),
        (errorfree.multiply, 9, lambda a, b: a * b),
        (errorfree.divide, 28, lambda a, b: a / b),
    ):
        high, low = function(x, y)
        for i in range(0, 20_000, 7):
            expected = truth(exactly(x[0][i], x[1][i]), exactly(y[0][i], y[1][i]))
            error = abs(exactly(high[i], low[i]) - expected)
            assert error <= bound * Fraction(U) ** 2 * abs(expected)


# --- exponentials -----------------------------------------------------------------------------


@pytest.mark.claim("prop-rounding-table")
def test_every_entry_of_the_table():
    """All 4096 entries and the constants are computed again by MPFR."""
    t = tables()
    step = gmpy2.log(gmpy2.mpfr(2)) / SIZE
    c1, c2, c3 = t.step
    assert (c1 / 2.0**-43).is_integer()
    assert (c2 / 2.0**-75).is_integer()
    assert abs(step - real(c1, c2, c3)) <= gmpy2.exp2(-131)
    assert abs(step - real(c1, t.step_two)) <= gmpy2.exp2(-53) * abs(step - real(c1))
    assert t.short[0] == 1
    assert t.shift[0] == 0
    for j in range(SIZE):
        assert (t.short[j] * 2**25).is_integer()
        assert abs(real(t.short[j]) - gmpy2.exp(j * step)) <= gmpy2.exp2(-26)
        d = gmpy2.log(real(t.short[j])) - j * step
        assert abs(d) <= 1.0001 * gmpy2.exp2(-26)
        assert abs(d - real(t.shift[j])) <= gmpy2.exp2(-79)
        assert abs(d - real(t.shift[j], t.shift_low[j])) <= gmpy2.exp2(-131)
        power = (t.power_bits[j] + (j << 40)).view(np.float64)
        assert power == float(gmpy2.exp(j * step))


@pytest.mark.claim("lem-rounding-reduction")
@given(st.floats(-1000, 1000))
def test_the_reduction_is_exact(z):
    """Random exponents: products and difference are exact, and the remainder is small."""
    t = tables()
    c1, c2, _ = t.step
    k = round(z * t.inverse)
    assert k == ((z * t.inverse + 1.5 * 2**52) - 1.5 * 2**52)
    assert abs(k) < 2**22.5
    assert exactly(k * c1) == k * exactly(c1)
    assert exactly(k * c2) == k * exactly(c2)
    assert exactly(z - k * c1) == exactly(z) - k * exactly(c1)
    step = gmpy2.log(gmpy2.mpfr(2)) / SIZE
    assert abs(real(z) - k * step - real(t.shift[k % SIZE])) <= 8.5e-5


@pytest.mark.claim("prop-rounding-working-exp")
@pytest.mark.parametrize("depth", [0.1, 10.0, 100.0, 690.0])
def test_exponentials_in_working_precision(depth):
    """2000 random exponents at each of four depths: errors below (3.2 D + 2.1)u."""
    z = -np.random.default_rng(1).uniform(0, depth, (1, 1000))
    for shift in (0.0, 7.3):
        x = z + shift
        e, _ = working.Working(blocks.BLOCK)(x.ravel(), 1000, np.array([[shift]]), depth)
        for value, found in zip(x.ravel(), e, strict=True):
            truth = gmpy2.exp(real(value, -shift))
            assert relative(real(found), truth) <= (3.2 * depth + 2.1) * U


@pytest.mark.claim("prop-rounding-extended-exp")
@pytest.mark.parametrize("depth", [0.1, 10.0, 100.0, 690.0])
def test_exponentials_in_extended_precision(depth):
    """2000 random exponents at each of four depths: three parts err by less than the bound."""
    z = -np.random.default_rng(2).uniform(0, depth, (1, 1000))
    stage = extended.Extended(blocks.BLOCK)
    for shift in (0.0, 7.3):
        x, f = z + shift, np.empty((1, 1000))
        u, v, _ = stage._exponentials(x, np.array([[shift]]), depth, f)
        assert (np.abs(v) <= 1.01 * f * 2.0**-40).all()
        assert (np.abs(u + v) <= 8.6e-5 * f).all()
        for value, *parts in zip(x[0], f[0], u[0], v[0], strict=True):
            truth = gmpy2.exp(real(value, -shift))
            assert relative(real(*parts), truth) <= extended.exponential_error(depth)


@pytest.mark.claim("prop-rounding-double-double-exp")
def test_exponentials_in_double_double():
    """4000 random exponents with low parts: errors below 2^−104."""
    rng = np.random.default_rng(3)
    high = np.concatenate([rng.uniform(-1000, 50, 3000), -(10.0 ** rng.uniform(-20, 1, 1000))])
    low = np.spacing(high) * rng.uniform(-0.5, 0.5, high.size)
    (mh, ml), s = doubledouble.exponential(high, low)
    for i in range(high.size):
        found = real(mh[i], ml[i]) * gmpy2.exp2(int(s[i]))
        assert relative(found, gmpy2.exp(real(high[i], low[i]))) <= 2.0**-104


# --- sums -------------------------------------------------------------------------------------


@pytest.mark.claim("lem-rounding-sum")
@pytest.mark.parametrize("n", [1, 63, 64, 65, 1000, 1024])
def test_short_sums(n):
    """Rows of mixed sign and size: errors below 78u times the sum of absolute values."""
    rng = np.random.default_rng(n)
    a = rng.normal(size=(20, n)) * np.exp(rng.normal(scale=5, size=(20, n)))
    for row, found in zip(a, blocks.short_sum(a.copy()), strict=True):
        error = abs(exactly(found) - exactly(*row))
        assert error <= Fraction(78 * U * (1 + 40 * U)) * exactly(*np.abs(row))


@pytest.mark.claim("lem-rounding-exact-sum")
@pytest.mark.parametrize("n", [2, 7, 100, 1024])
@pytest.mark.parametrize("scale", [0.01, 3.0, 100.0])
def test_sums_with_exact_high_parts(n, scale):
    """Rational arithmetic: the computed sum of the parts errs by less than 2^−74 E."""
    x = rows(n, n, scale)
    f = np.empty_like(x)
    stage = extended.Extended(blocks.BLOCK)
    u, v, free = stage._exponentials(x, x.max(axis=1, keepdims=True), 690.0, f)
    true = [exactly(*f[i], *u[i], *v[i]) for i in range(len(x))]
    largest = [2.0 ** math.floor(math.log2(row.max())) for row in f]
    high, rest = extended._exact_sum(f, u, v, *free)
    for i in range(len(x)):
        error = abs(exactly(high[i], rest[i]) - true[i])
        assert error <= Fraction(extended.SUM_ERROR * largest[i])


@pytest.mark.claim("prop-rounding-double-double-sum")
@pytest.mark.parametrize("scale", [0.01, 3.0, 100.0, 2000.0])
def test_sums_in_double_double(scale):
    """Rows of 300 and spreads up to thousands: errors below 2^−98, or nothing is left to round."""
    x = rows(4, 300, scale)
    (high, low), s = doubledouble.sums(x, x.max(axis=1), x.argmax(axis=1))
    for i, row in enumerate(x):
        tau, _ = others(row)
        if tau >= gmpy2.exp2(-1080):
            found = real(high[i], low[i]) * gmpy2.exp2(int(s[i]))
            assert relative(found, tau) <= doubledouble.SUM_ERROR
        else:
            assert s[i] < -1000


# --- quotients --------------------------------------------------------------------------------


@pytest.mark.claim("prop-rounding-working")
@pytest.mark.parametrize("scale", [0.01, 3.0, 60.0])
def test_working_precision_encloses(scale):
    """Rows of 400 entries: MPFR's softmax lies between the two computed ends."""
    x = rows(5, 400, scale)
    depth = float((x.max(axis=1) - x.min(axis=1)).max())
    stage = working.Working(blocks.BLOCK)
    e, reciprocal = stage(x.ravel(), 400, x.max(axis=1, keepdims=True), depth)
    ((_, low, high),) = stage.ends(e, 400, reciprocal, working.relative_error(depth))
    for i, row in enumerate(x):
        tau, d = others(row)
        for j in range(400):
            p = gmpy2.exp(d[j]) / (1 + tau)
            assert real(low[400 * i + j]) <= p <= real(high[400 * i + j])


@pytest.mark.claim("thm-rounding-extended-entry")
@pytest.mark.parametrize("scale", [0.01, 3.0, 60.0])
def test_extended_precision_encloses(scale):
    """Rows of 400 entries: MPFR's softmax lies in enclosures less than 2^−62.5 wide."""
    x = rows(6, 400, scale)
    x = np.maximum(x, x.max(axis=1, keepdims=True) - 600)
    p, certificate = exact.softmax(x, certificate=True)
    first = certificate.stage == 1
    assert first.mean() > 0.99
    for i, row in enumerate(x):
        tau, d = others(row)
        for j in np.flatnonzero(first[i]):
            lower, upper = certificate.enclosure((i, j))
            truth = gmpy2.exp(d[j]) / (1 + tau)
            assert gmpy2.mpq(lower) <= truth <= gmpy2.mpq(upper)
            assert upper - lower <= Fraction(2.0**-62.5 * p[i, j])


# --- logarithms -------------------------------------------------------------------------------


@pytest.mark.claim("prop-rounding-log1p")
def test_log1p():
    """4000 arguments from 1e−40 to 2^32, dense where the cases meet: errors below 2^−87."""
    rng = np.random.default_rng(7)
    t = np.concatenate(
        [
            10.0 ** rng.uniform(-40, 9.6, 3000),
            2.0**-14 * rng.uniform(0.9, 1.1, 500),
            2.0**-60 * rng.uniform(0.9, 1.1, 500),
        ]
    )
    low = np.spacing(t) * rng.uniform(-0.5, 0.5, t.size)
    high, rest = doubledouble.log1p((t, low))
    for i in range(t.size):
        truth = gmpy2.log1p(real(t[i], low[i]))
        assert relative(real(high[i], rest[i]), truth) <= doubledouble.LOG_ERROR


@pytest.mark.claim("prop-rounding-log1p")
def test_log1p_does_not_trust_the_start(monkeypatch):
    """With a wrong NumPy log1p the function returns nan, or what is right all the same."""
    t = 10.0 ** np.random.default_rng(8).uniform(-20, 9.5, 500)
    sound = np.log1p
    for spoil in (
        lambda t: t * 0.9,
        lambda t: -np.ones_like(t),
        lambda t: np.full_like(t, 0.5),
        lambda t: sound(t) * (1 + 2.0**-45.1),  # barely good enough
    ):
        monkeypatch.setattr(np, "log1p", spoil)
        with np.errstate(all="ignore"):
            high, low = doubledouble.log1p((t, np.zeros_like(t)))
        sure = ~np.isnan(high)
        for i in np.flatnonzero(sure):
            truth = gmpy2.log1p(real(t[i]))
            assert relative(real(high[i], low[i]), truth) <= doubledouble.LOG_ERROR


@pytest.mark.claim("prop-rounding-log-sum")
@given(st.floats(1e-30, 1e9), st.floats(-(2.0**-10), 2.0**-10), st.floats(0, 1e-3))
def test_how_errors_pass_through_the_logarithm(tau, delta, theta):
    """Random sums with random errors: the logarithm moves by no more than stated."""
    true = gmpy2.log1p(real(tau))
    moved = gmpy2.log1p(real(tau) * (1 + real(delta)) + real(theta))
    rounding_here = true * gmpy2.exp2(8 - BITS)
    assert abs(moved - true) <= 1.001 * abs(real(delta)) * true + real(theta) + rounding_here


@pytest.mark.claim("lem-rounding-tiny")
@settings(max_examples=200)
@given(
    st.sampled_from(sorted(FORMATS)),
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_a_tiny_logarithm_only_has_a_sign(name, x, m):
    """Random pairs far apart, in every format: d − 2^−860 and d − 2^−3000 round alike."""
    fmt = FORMATS[name]
    x, m = (float(fmt.round(max(-fmt.max, min(fmt.max, v)))) for v in (x, m))
    x, m = min(x, m), max(x, m)
    assume(x - m < -590)
    with mpmath.workprec(6000):
        d = mpmath.mpf(x) - mpmath.mpf(m)
        ends = [multiprecision.nearest_exact(d - mpmath.ldexp(1, e), fmt) for e in (-860, -3000)]
    np.testing.assert_equal(*ends)


# --- the rounding test ------------------------------------------------------------------------


@pytest.mark.claim("lem-rounding-odd")
@given(ordinary, st.floats(-1, 1), st.integers(-3, 3), st.integers(0, 60))
def test_rounding_to_odd_keeps_sides(a, factor, steps, depth):
    """Random sums against numbers with an even last bit nearby: the same side, always."""
    b = a * factor * 2.0**-depth
    o = rounding.to_odd(*array(a, b))[0]
    total = exactly(a, b)
    near = (a + b) + steps * math.ulp(a + b)
    if np.float64(near).view(np.int64) & 1:
        near = math.nextafter(near, math.inf)
    beta = exactly(near)
    assert (exactly(o) > beta) == (total > beta)
    assert (exactly(o) < beta) == (total < beta)


@pytest.mark.claim("prop-rounding-test")
@settings(max_examples=300)
@given(
    st.sampled_from(sorted(FORMATS)),
    st.floats(2.0**-9, 400),
    st.sampled_from([0.0, 0.5, -0.5, 0.25, 0.125]),
    st.floats(-1, 1),
    st.integers(0, 900),
)
def test_sums_are_rounded_once(name, s, part, tail, depth):
    """Sums of three numbers, at and beside boundaries: rounded as rational arithmetic does."""
    fmt = FORMATS[name]
    if fmt.precision < 53:  # near a boundary of the format
        s = float(np.asarray(fmt.round(s), float)) + part * fmt.ulp(s)
        p = 0.0
    else:
        p = part * math.ulp(s)
    s, p = (float(v) for v in errorfree.two_sum(s, p))
    r = tail * math.ulp(s) * 2.0**-depth
    decision = rounding.decide_sum(fmt, *array(s, p, r, r))
    expected = _nearest(exactly(s, p, r), fmt)
    assert decision.decided[0]
    assert decision.value[0] == expected


@pytest.mark.claim("prop-rounding-test")
@settings(max_examples=300)
@given(st.floats(0.5, 1), st.floats(-0.5, 0.5), st.integers(-1100, -1000), st.booleans())
def test_subnormal_results_are_rounded_once(h, tail, exponent, negative):
    """Results from 2^−1100 to 2^−1000 in float64: rounded as rational arithmetic does."""
    low = tail * math.ulp(h) * 0.9
    sign = -1 if negative else 1
    decision = rounding.decide_scaled(
        FORMAT64, *array(sign * h, sign * low), 0.0, np.array([exponent])
    )
    expected = _nearest(exactly(sign * h, sign * low) * Fraction(2) ** exponent, FORMAT64)
    assert decision.decided[0]
    assert decision.value[0] == expected


def _nearest(value, fmt):
    """The nearest number of the format by integer arithmetic, ties to even."""
    if not value:
        return 0.0
    exponent = abs(value).numerator.bit_length() - value.denominator.bit_length()
    exponent += abs(value) >= Fraction(2) ** (exponent + 1)
    exponent -= abs(value) < Fraction(2) ** exponent
    unit = Fraction(2) ** (max(exponent, fmt.min_exponent) - fmt.precision + 1)
    return float(round(value / unit) * unit)


# --- the whole --------------------------------------------------------------------------------


@pytest.mark.claim("thm-rounding-certified")
@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from(sorted(FORMATS)),
    st.lists(st.floats(-1000, 1000), min_size=2, max_size=8),
    st.sampled_from([1.0, 0.01, 1e-6]),
)
def test_results_are_correctly_rounded(name, x, scale):
    """Random rows in all formats agree with MPFR in every bit; the larger run is a script."""
    fmt = FORMATS[name]
    x = np.asarray(fmt.round(np.clip(np.array(x) * scale, -fmt.max, fmt.max)))
    truth = Truth(x.astype(np.float64), fmt)
    for function in ("softmax", "log_softmax", "logsumexp"):
        found = np.asarray(getattr(exact, function)(x)).astype(np.float64)
        np.testing.assert_array_equal(found, getattr(truth, function)())
