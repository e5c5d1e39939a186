"""Checks of the statements in the chapter "Number formats".

Truth comes from exact rational arithmetic and from MPFR (through gmpy2); the formats' own four
integers are taken from `softmax_ref.formats`, whose limits other tests compare with ml_dtypes.
"""

import itertools
import math
from fractions import Fraction

import gmpy2
import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softmax_ref.formats import FORMATS

from .emulation import SMALL, arithmetic

EIGHT_BITS = SMALL[2:]
EVERY = list(FORMATS)


def eta(fmt):
    return Fraction(2) ** (fmt.min_exponent - fmt.precision + 1)


def ulp(r, fmt):
    """The unit in the last place at a rational r, by equation (eq-formats-ulp)."""
    if r == 0:
        return eta(fmt)
    r = abs(r)
    e = r.numerator.bit_length() - r.denominator.bit_length()
    if r < Fraction(2) ** e:
        e -= 1
    return Fraction(2) ** (max(e, fmt.min_exponent) - fmt.precision + 1)


def nearest(r, fmt):
    """The member of the grid nearest to a rational r; Python's round takes ties to even."""
    unit = ulp(r, fmt)
    return round(r / unit) * unit


def in_grid(r, fmt):
    return (r / ulp(r, fmt)).denominator == 1


def positive_numbers(fmt):
    """All positive finite numbers of a small format, in the order of their bit patterns."""
    size = fmt.dtype.itemsize
    patterns = np.arange(1, 2 ** (8 * size - 1)).astype(f"u{size}")
    with np.errstate(invalid="ignore"):  # signalling nans are among the patterns
        values = patterns.view(fmt.dtype).astype(np.float64)
    return [Fraction(v) for v in values if np.isfinite(v)]


def of_format(name):
    """Strategy: a finite number of the format, any bit pattern with equal chance."""
    fmt = FORMATS[name]
    size = fmt.dtype.itemsize

    def number(pattern):
        return float(np.array(pattern, dtype=f"u{size}").view(fmt.dtype).astype(np.float64))

    with np.errstate(invalid="ignore"):
        return st.integers(0, 2 ** (8 * size) - 1).map(number).filter(math.isfinite)


names = st.sampled_from(EVERY)
exponents = st.integers(-4, 3)
reals = st.tuples(
    st.fractions(1, 2),
    st.integers(-1080, 1030),
    st.sampled_from([1, -1]),
).map(lambda t: t[2] * t[0] * Fraction(2) ** t[1])


@st.composite
def beside_a_middle(draw, name):
    """A rational near the middle between two neighbours of a format, on a random scale."""
    fmt = FORMATS[name]
    low = Fraction(draw(of_format(name)))
    if draw(st.booleans()):  # just above a power of two the relative error is largest
        low = Fraction(2) ** draw(st.integers(fmt.min_exponent, fmt.max_exponent))
    offset = draw(st.fractions(-1, 1)) / 2 ** draw(st.integers(1, 60))
    return low + ulp(low, fmt) * (Fraction(1, 2) + offset)


@pytest.mark.claim("prop-formats-patterns")
@pytest.mark.parametrize("name", SMALL)
def test_the_next_pattern_is_the_next_number(name):
    """Every bit pattern of the four small formats lies one ulp above the one before it."""
    fmt = FORMATS[name]
    v = np.array([0.0, *map(float, positive_numbers(fmt))])  # float64 holds all of it exactly
    N = np.arange(v.size)
    E, F = np.divmod(N, 2 ** (fmt.precision - 1))
    lowest = fmt.min_exponent - fmt.precision + 1
    k = F + np.where(E == 0, 0, 2 ** (fmt.precision - 1))
    assert np.array_equal(v, np.ldexp(k.astype(float), np.maximum(E, 1) - 1 + lowest))
    exponent = np.frexp(v)[1] - 1  # v lies in [2^e, 2^(e+1)); 0 is treated as subnormal
    exponent[0] = fmt.min_exponent
    unit = np.ldexp(1.0, np.maximum(exponent, fmt.min_exponent) - fmt.precision + 1)
    assert np.array_equal(np.diff(v), unit[:-1])
    assert np.array_equal(N % 2, (v / unit) % 2)
    assert v[-1] == fmt.max


@pytest.mark.claim("prop-formats-patterns")
@pytest.mark.parametrize("name", ["float32", "float64"])
def test_the_next_pattern_is_the_next_number_in_the_large_formats(name):
    """Random float32 and float64 patterns, and those around powers of two, do so as well."""
    fmt = FORMATS[name]
    size = fmt.dtype.itemsize
    unsigned = np.dtype(f"u{size}")
    top = int(np.array(fmt.max, fmt.dtype).view(unsigned))
    rng = np.random.default_rng(0)
    borders = [k << (fmt.precision - 1) for k in range(top >> (fmt.precision - 1))]
    patterns = rng.integers(0, top, 500).tolist() + [b + d for b in borders[1:] for d in (-1, 0)]
    low = np.array(patterns, unsigned).view(fmt.dtype).astype(np.float64)
    high = (np.array(patterns, unsigned) + unsigned.type(1)).view(fmt.dtype).astype(np.float64)
    for a, b in zip(low.tolist(), high.tolist(), strict=True):
        assert Fraction(b) == Fraction(a) + ulp(Fraction(a), fmt)


@pytest.mark.claim("lem-formats-monotone")
@settings(deadline=None, max_examples=60)
@given(names, reals, st.fractions(-1, 1), st.integers(-1100, 1100), st.integers(0, 60))
def test_what_rounding_respects(name, r, step, k, shrink):
    """Exactly rounded random rationals keep order, sign, members and powers of two."""
    fmt = FORMATS[name]
    other = r + step * ulp(r, fmt) / 2**shrink
    low, high = sorted([r, other])
    assert nearest(low, fmt) <= nearest(high, fmt)
    assert nearest(-r, fmt) == -nearest(r, fmt)
    assert in_grid(nearest(r, fmt), fmt)
    assert (nearest(r, fmt) == r) == in_grid(r, fmt)
    assert nearest(nearest(r, fmt), fmt) == nearest(r, fmt)
    scaled = Fraction(2) ** k * r
    if min(abs(r), abs(scaled)) >= Fraction(2) ** fmt.min_exponent:
        assert nearest(scaled, fmt) == Fraction(2) ** k * nearest(r, fmt)


@pytest.mark.claim("lem-formats-monotone")
@settings(deadline=None, max_examples=60)
@given(names, st.floats(allow_nan=False, allow_infinity=False))
def test_the_three_roundings_are_one(name, x):
    """The rational rounding of these tests, MPFR's and softmax_ref's agree on random floats."""
    fmt = FORMATS[name]
    expected = nearest(Fraction(x), fmt)
    with np.errstate(over="ignore"):  # near the largest float64, on the way to inf
        ours = float(fmt.round(x))
    if abs(expected) > fmt.max:
        assert not math.isfinite(ours)
        return
    assert Fraction(ours) == expected
    with arithmetic(fmt):
        assert float(gmpy2.mpfr(x)) == ours


@pytest.mark.claim("thm-formats-standard")
@pytest.mark.parametrize("name", SMALL)
def test_the_error_of_one_rounding_at_its_worst(name):
    """Halfway between neighbours (float8 all, 16 bits every seventh) the error keeps its bound."""
    fmt = FORMATS[name]
    u = Fraction(1, 2**fmt.precision)
    numbers = [Fraction(0), *positive_numbers(fmt)]
    stride = 7 if len(numbers) > 1000 else 1
    for low, high in list(itertools.pairwise(numbers))[::stride]:
        # (r - low)/r grows up to the middle and (high - r)/r falls after it: the middle is worst.
        r = (low + high) / 2
        error = abs(nearest(r, fmt) - r)
        assert error == (high - low) / 2
        if r >= Fraction(2) ** fmt.min_exponent:
            assert error <= u / (1 + u) * r
        else:
            assert error <= eta(fmt) / 2 == u * Fraction(2) ** fmt.min_exponent
    assert 1 - nearest(1 + u, fmt) / (1 + u) == u / (1 + u)


@pytest.mark.claim("thm-formats-standard")
@settings(deadline=None, max_examples=60)
@given(names.flatmap(lambda name: st.tuples(st.just(name), beside_a_middle(name))))
def test_the_error_of_one_rounding_at_random(drawn):
    """Random rationals in all six formats keep both bounds, and 1 + u attains the first."""
    name, r = drawn
    fmt = FORMATS[name]
    u = Fraction(1, 2**fmt.precision)
    error = abs(nearest(r, fmt) - r)
    if abs(r) >= Fraction(2) ** fmt.min_exponent:
        assert error <= u / (1 + u) * abs(r)
    else:
        assert error <= eta(fmt) / 2
    assert nearest(1 + u, fmt) == 1


def check_sum(x, y, fmt):
    u = Fraction(1, 2**fmt.precision)
    exact, rounded = x + y, nearest(x + y, fmt)
    if abs(exact) <= Fraction(2) ** (fmt.min_exponent + 1):
        assert rounded == exact
    assert abs(rounded - exact) <= u / (1 + u) * abs(exact)
    assert (nearest(x - y, fmt) == 0) == (x == y)


@pytest.mark.claim("cor-formats-sums")
@pytest.mark.parametrize("name", EIGHT_BITS)
def test_sums_of_all_pairs(name):
    """All pairs of float8 numbers, of either sign, keep the three parts of the statement."""
    fmt = FORMATS[name]
    numbers = positive_numbers(fmt)
    for x, y in itertools.combinations_with_replacement(numbers, 2):
        check_sum(x, y, fmt)
        check_sum(x, -y, fmt)


@pytest.mark.claim("cor-formats-sums")
@settings(deadline=None, max_examples=60)
@given(
    names.flatmap(lambda name: st.tuples(st.just(name), of_format(name), of_format(name))),
    st.integers(-3, 3),
)
def test_sums_of_random_pairs(drawn, steps):
    """Random numbers of all six formats, and near neighbours of each, keep all three parts."""
    name, x, y = drawn
    fmt = FORMATS[name]
    near = float(np.clip(x + steps * fmt.ulp(x), -fmt.max, fmt.max))
    check_sum(Fraction(x), Fraction(y), fmt)
    check_sum(Fraction(x), Fraction(float(fmt.round(-near))), fmt)


@pytest.mark.claim("lem-formats-sterbenz")
@pytest.mark.parametrize("name", EIGHT_BITS)
def test_differences_of_all_near_pairs_are_exact(name):
    """Differences of all positive float8 numbers within a factor of two lie in the format."""
    fmt = FORMATS[name]
    numbers = positive_numbers(fmt)
    pairs = [(x, y) for x in numbers for y in numbers if y / 2 <= x <= 2 * y]
    assert len(pairs) > 800
    assert all(in_grid(x - y, fmt) for x, y in pairs)
    x, y = Fraction(4), 2 - 2 * Fraction(fmt.unit_roundoff)  # just outside: the factor 2 is needed
    assert not in_grid(x - y, fmt)


@pytest.mark.claim("lem-formats-sterbenz")
@settings(deadline=None, max_examples=60)
@given(
    names.flatmap(lambda name: st.tuples(st.just(name), of_format(name))),
    st.fractions(Fraction(1, 2), 2),
)
def test_differences_of_random_near_pairs_are_exact(drawn, ratio):
    """Random numbers of all six formats and partners within a factor of two agree."""
    name, y = drawn
    fmt = FORMATS[name]
    y = abs(Fraction(y))
    x = nearest(ratio * y, fmt)  # may leave the range allowed by a rounding; see below
    if 0 < y / 2 <= x <= 2 * y and x <= Fraction(fmt.max):
        assert in_grid(x - y, fmt)
        if name in ("float32", "float64"):  # the hardware's own subtraction
            difference = fmt.dtype.type(float(x)) - fmt.dtype.type(float(y))
            assert Fraction(float(difference)) == x - y


@pytest.mark.claim("prop-formats-double")
@pytest.mark.parametrize("name", SMALL)
def test_rounding_twice_errs_only_by_way_of_a_middle(name):
    """By way of float32, numbers beside middles of the small formats go wrong on one side only."""
    fmt, wide = FORMATS[name], FORMATS["float32"]
    numbers = [Fraction(0), *positive_numbers(fmt)]
    for low, high in list(itertools.pairwise(numbers))[:: max(1, len(numbers) // 700)]:
        middle = (low + high) / 2
        assert in_grid(middle, wide)
        tiny, step = ulp(middle, wide) / 2**20, ulp(middle, wide)
        for offset in (-2 * step, -step, -tiny, Fraction(0), tiny, step, 2 * step):
            r = middle + offset
            first = nearest(r, wide)
            twice, once = nearest(first, fmt), nearest(r, fmt)
            if abs(offset) == tiny:
                assert first == middle
            else:
                assert twice == once
        assert (nearest(middle, fmt) == low) == (nearest(middle, fmt) != high)
        wrong = [nearest(middle, fmt) != nearest(middle + d, fmt) for d in (-tiny, tiny)]
        assert sum(wrong) == 1


@pytest.mark.claim("prop-formats-double")
@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(
        [(n, w) for n in SMALL for w in ("float32", "float64")] + [("float32", "float64")]
    ).flatmap(lambda pair: st.tuples(st.just(pair), beside_a_middle(pair[0])))
)
def test_rounding_twice_at_random(drawn):
    """Random rationals are rounded alike once and twice, unless the first result is a middle."""
    pair, r = drawn
    narrow, wide = FORMATS[pair[0]], FORMATS[pair[1]]
    if abs(r) > Fraction(wide.max):
        return
    first = nearest(r, wide)
    below = math.floor(first / ulp(first, narrow)) * ulp(first, narrow)
    is_middle = first == below + ulp(first, narrow) / 2
    if not is_middle:
        assert nearest(first, narrow) == nearest(r, narrow)


@pytest.mark.claim("prop-formats-zero")
@pytest.mark.parametrize("name", SMALL)
def test_exponentials_of_all_small_numbers(name):
    """MPFR's exponential of every number of a small format is 0 below (e_min − b) log 2 only."""
    fmt = FORMATS[name]
    with gmpy2.context(precision=200):
        limit = (fmt.min_exponent - fmt.precision) * gmpy2.const_log2()
    negative = [-float(v) for v in positive_numbers(fmt) if v < 1000]
    assert any(x < limit for x in negative)
    with arithmetic(fmt):
        for x in negative:
            assert (gmpy2.exp(gmpy2.mpfr(x)) == 0) == (x < limit)


@pytest.mark.claim("prop-formats-zero")
@pytest.mark.parametrize("name", EVERY)
def test_the_printed_neighbours_enclose_the_limit(name):
    """In each format the neighbours of the atlas lie on both sides of (e_min − b) log 2."""
    fmt = FORMATS[name]
    last, following = fmt.exp_underflow()
    assert Fraction(following) == Fraction(last) + ulp(Fraction(following), fmt)
    with mpmath.workdps(60):
        limit = (fmt.min_exponent - fmt.precision) * mpmath.log(2)
        assert last < limit < following
        half = mpmath.mpf(2) ** (fmt.min_exponent - fmt.precision)
        assert mpmath.exp(last) < half < mpmath.exp(following)


def softmax(values):
    """In the precision of mpmath that is in force."""
    terms = [mpmath.exp(mpmath.mpf(v.numerator) / v.denominator) for v in values]
    return [t / mpmath.fsum(terms) for t in terms]


def check_probabilities(x, moved, d):
    """Compare the probabilities of two rows that differ by at most d; return the largest factor."""
    with mpmath.workdps(60):
        factor = mpmath.exp(2 * mpmath.mpf(d.numerator) / d.denominator)
        slack = 1 + mpmath.mpf("1e-50")  # 60 digits were computed
        seen = 1
        for p, q in zip(softmax(x), softmax(moved), strict=True):
            assert p <= factor * q * slack
            assert q <= factor * p * slack
            seen = max(seen, p / q, q / p)
        return float(mpmath.log(seen) / (2 * mpmath.mpf(d.numerator) / d.denominator))


@pytest.mark.claim("prop-formats-logits")
@settings(deadline=None, max_examples=60)
@given(
    names,
    st.lists(st.floats(-1, 1, exclude_min=True, exclude_max=True), min_size=1, max_size=8),
    exponents,
)
def test_probabilities_of_rounded_logits(name, logits, e):
    """Softmax of random logits and of their roundings differ by at most exp(2d), to 50 digits."""
    fmt = FORMATS[name]
    x = [Fraction(v) * Fraction(2) ** (e + 1) for v in logits]
    d = Fraction(2) ** (e - fmt.precision)
    rounded = [nearest(v, fmt) for v in x]
    assert all(abs(a - b) <= d for a, b in zip(x, rounded, strict=True))
    check_probabilities(x, rounded, d)


@pytest.mark.claim("prop-formats-logits")
@pytest.mark.parametrize("d", [Fraction(1, 2**20), Fraction(1, 16), Fraction(1)])
def test_the_factor_is_nearly_reached(d):
    """A small probability gains almost exp(2d) if its logit rises by d and all others fall by d."""
    x = [Fraction(-20), Fraction(0), Fraction(1)]
    moved = [x[0] + d, x[1] - d, x[2] - d]
    assert 0.999 < check_probabilities(x, moved, d) <= 1
