"""Checks of the statements in the chapter "Overflow".

Truth comes from MPFR (through gmpy2), which rounds correctly in any precision and with any
exponent range, and from exact rational arithmetic; never from the formats module alone.
"""

import math
import random
from fractions import Fraction

import gmpy2
import numpy as np
import pytest
from gmpy2 import mpfr, mpq
from hypothesis import given, settings
from hypothesis import strategies as st

import softmax_ref
from softmax_ref import textbook
from softmax_ref.formats import FORMATS

from .emulation import add_in_some_order, arithmetic, every_number, precise

WITH_INFINITY = [name for name, fmt in FORMATS.items() if fmt.has_infinity]
SMALL = ["float16", "bfloat16", "float8_e5m2"]  # every number of these can be tried
IGNORE = {"over": "ignore", "invalid": "ignore", "under": "ignore", "divide": "ignore"}

formats = st.sampled_from(WITH_INFINITY)


def largest(fmt):
    """Ω by equation (eq-overflow-omega), as an exact rational."""
    b = fmt.precision
    return (mpq(2) ** b - 1) * mpq(2) ** (fmt.max_exponent - b + 1)


def threshold(fmt):
    """Ω* = (2 − 2^−b) 2^e_max, as an exact rational."""
    return (2 - mpq(1, 2**fmt.precision)) * mpq(2) ** fmt.max_exponent


def log(q):
    with precise():
        return gmpy2.log(mpfr(q))


def exact_lse(x):
    with precise():
        return gmpy2.log(sum(gmpy2.exp(mpfr(v)) for v in x))


def evaluate(x, fmt, order, shift):
    """Softmax of a row in the format, every operation rounded correctly by MPFR.

    Returns the exponents, the exponentials, their sum and the quotients.
    """
    with arithmetic(fmt):
        x = [mpfr(v) for v in x]
        z = [v - max(x) for v in x] if shift else x
        e = [gmpy2.exp(v) for v in z]
        s = add_in_some_order(e, order)
        return z, e, s, [v / s for v in e]


def test_the_emulation_is_the_hardware():
    """The MPFR contexts used below agree with NumPy's float32 and float64 on random operations."""
    rng = np.random.default_rng(0)
    for name in ("float32", "float64"):
        fmt = FORMATS[name]
        bits = rng.integers(0, 2 ** (8 * fmt.dtype.itemsize), size=(2, 500), dtype=np.uint64)
        a, b = bits.astype(f"u{fmt.dtype.itemsize}").view(fmt.dtype)
        with np.errstate(**IGNORE), arithmetic(fmt):
            for u, v in zip(a, b, strict=True):
                m, n = mpfr(float(u)), mpfr(float(v))
                for ours, theirs in ((m + n, u + v), (m / n, u / v), (m - n, u - v)):
                    np.testing.assert_equal(float(ours), float(theirs))


@pytest.mark.claim("prop-overflow-rounding")
@settings(deadline=None)
@given(formats, st.fractions(-1, 1), st.integers(0, 300))
def test_rounding_gives_infinity_from_the_threshold_on(name, step, shrink):
    """Random rationals on both sides of Ω*, however near, become infinite from Ω* on in MPFR."""
    fmt = FORMATS[name]
    half_ulp = threshold(fmt) - largest(fmt)
    assert half_ulp == mpq(fmt.ulp(fmt.max)) / 2
    r = threshold(fmt) + half_ulp * mpq(step) / 2**shrink
    with arithmetic(fmt):
        assert gmpy2.is_infinite(mpfr(r)) == (r >= threshold(fmt))
        assert gmpy2.is_infinite(mpfr(threshold(fmt)))
        assert mpfr(largest(fmt)) == fmt.max
    if name != "float64":  # the project's own rounding, from float64
        y = float(r)
        assert math.isinf(float(fmt.round(y))) == (Fraction(y) >= Fraction(threshold(fmt)))


@pytest.mark.claim("prop-overflow-exp")
@pytest.mark.parametrize("name", SMALL)
def test_exp_overflows_from_the_logarithm_of_the_threshold_on(name):
    """Exponentials of all float16, bfloat16 and float8 (e5m2) numbers overflow from log Ω* on."""
    fmt = FORMATS[name]
    log_threshold = log(threshold(fmt))
    with arithmetic(fmt):
        for x in every_number(name):
            assert gmpy2.is_infinite(gmpy2.exp(mpfr(x))) == (x >= log_threshold)


@pytest.mark.claim("prop-overflow-exp")
@pytest.mark.parametrize("name", WITH_INFINITY)
def test_no_input_falls_between_the_two_logarithms(name):
    """In each format the neighbours printed in the table enclose log Ω and log Ω*, to 400 bits."""
    fmt = FORMATS[name]
    last, following = fmt.exp_overflow()
    assert fmt.next_up(last) == following
    low, high = log(largest(fmt)), log(threshold(fmt))
    assert last < low < high < following
    with precise():
        assert high < low + mpfr(fmt.unit_roundoff)
    with arithmetic(fmt):
        assert gmpy2.is_finite(gmpy2.exp(mpfr(last)))
        assert gmpy2.is_infinite(gmpy2.exp(mpfr(following)))


@pytest.mark.claim("prop-overflow-exp")
@settings(deadline=None)
@given(st.sampled_from(["float32", "float64"]), st.integers(-(2**40), 2**40))
def test_exp_overflows_near_its_threshold_in_the_large_formats(name, steps):
    """Exponentials of random float32 and float64 numbers around log Ω* overflow from it on."""
    fmt = FORMATS[name]
    steps = steps if name == "float64" else steps >> 29
    x = fmt.exp_overflow()[0] + steps * fmt.ulp(math.log(fmt.max))
    with arithmetic(fmt):
        assert gmpy2.is_infinite(gmpy2.exp(mpfr(x))) == (x >= log(threshold(fmt)))


@pytest.mark.claim("prop-overflow-sum")
@settings(max_examples=400, deadline=None)
@given(
    formats,
    st.lists(st.floats(-6, 0), min_size=1, max_size=40),
    st.floats(-1, 1),
    st.integers(0, 12),
    st.randoms(use_true_random=False),
)
def test_the_sum_overflows_where_lse_reaches_the_threshold(name, row, offset, shrink, order):
    """Random rows near the threshold, added in random order in each format, overflow as stated."""
    fmt = FORMATS[name]
    n, u = len(row), fmt.unit_roundoff
    level = math.log(fmt.max) - softmax_ref.logsumexp(np.array(row))
    target = np.array(row) + float(level) + 2 * n * u * offset * 2.0 ** -min(shrink, 4)
    x = [float(v) for v in fmt.round(target)]
    if min(x) < math.log(fmt.smallest_normal):
        return  # the statement asks for exponentials in the normal range
    _, _, s, _ = evaluate(x, fmt, order, shift=False)
    with precise():
        lse = exact_lse(x)
        below = log(threshold(fmt)) - n * gmpy2.log1p(mpfr(u))
        above = log(threshold(fmt)) - n * gmpy2.log1p(mpfr(-u))
    if lse < below:
        assert gmpy2.is_finite(s)
    if lse >= above:
        assert gmpy2.is_infinite(s)


@pytest.mark.claim("prop-overflow-sum")
@pytest.mark.parametrize(("name", "n"), [("float64", 10**6), ("float32", 10**4), ("float16", 100)])
def test_numpy_sums_overflow_at_log_largest_less_log_n(name, n):
    """NumPy's sums of n equal exponentials turn infinite where predicted, in float64 to float16."""
    fmt = FORMATS[name]
    predicted = math.log(fmt.max) - math.log(n)
    # The strip of the statement, one spacing of the logits, and NumPy's exp (4 u at most).
    reach = 2 * (n + 4) * fmt.unit_roundoff + 2 * fmt.ulp(predicted)
    for side in (-1, 1):
        c = fmt.round(predicted + side * reach)
        with np.errstate(over="ignore"):
            s = np.exp(np.full(n, c)).sum()
        assert np.isinf(s) == (side > 0)


@pytest.mark.claim("prop-overflow-stall")
@pytest.mark.parametrize("name", ["float16", "bfloat16", "float8_e5m2"])
def test_a_running_sum_of_equal_terms_stalls(name):
    """Every term a of the small formats with 2^(b+1) a ≤ Ω, added up until the sum stalls."""
    fmt = FORMATS[name]
    a = every_number(name)
    a = a[(a > 0) & (a * 2 ** (fmt.precision + 1) <= fmt.max)]
    s = a
    while True:
        # Two numbers of at most 11 bits: their float64 sum rounds to the format as the exact one
        # does, because 53 ≥ 2·11 + 2.
        following = fmt.round(s + a).astype(np.float64)
        if (following == s).all():
            break
        s = following
    assert np.isfinite(s).all()
    assert (s <= 2.0 ** (fmt.precision + 1) * a).all()
    assert (s >= 2.0**fmt.precision * a / 2).all()  # and not because it stopped at once


def check_fate(x, fmt, order):
    _, e, s, p = evaluate(x, fmt, order, shift=False)
    n, u = len(x), fmt.unit_roundoff
    overflowed = [gmpy2.is_infinite(v) for v in e]
    if any(overflowed):
        assert [gmpy2.is_nan(v) for v in p] == overflowed
        assert all(v == 0 for v, over in zip(p, overflowed, strict=True) if not over)
    elif gmpy2.is_infinite(s):
        assert all(v == 0 for v in p)
    elif s == 0:
        assert all(gmpy2.is_nan(v) for v in p)
    else:
        assert all(0 <= v <= 1 for v in p)
        if min(*e, *p) >= fmt.smallest_normal and (n + 2) * u < 1:
            with precise():
                lse, bound = exact_lse(x), mpfr((n + 2) * u) / (1 - (n + 2) * u)
                for v, computed in zip(x, p, strict=True):
                    truth = gmpy2.exp(mpfr(v) - lse)
                    assert abs(computed - truth) <= bound * truth


@pytest.mark.claim("prop-overflow-fate")
@settings(max_examples=300, deadline=None)
@given(
    formats,
    st.lists(st.floats(-1.5, 1.2), min_size=1, max_size=12),
    st.randoms(use_true_random=False),
)
def test_the_fate_of_each_entry(name, row, order):
    """Random rows on both sides of the threshold, evaluated in each format, end as stated."""
    fmt = FORMATS[name]
    x = [float(v) for v in fmt.round(np.array(row) * math.log(fmt.max))]
    check_fate(x, fmt, order)


@pytest.mark.claim("prop-overflow-fate")
def test_the_fate_of_all_pairs():
    """All pairs of finite float8 (e5m2) numbers, evaluated in that format, end as stated."""
    fmt = FORMATS["float8_e5m2"]
    x = every_number(fmt.name)
    order = random.Random(0)
    for a in x:
        for b in x:
            check_fate([a, b], fmt, order)


@pytest.mark.claim("prop-overflow-spread")
@given(st.integers(1, 4), st.integers(1, 4), st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_one_nan_reaches_every_weight_in_two_steps(samples, features, classes, seed):
    """Random models with one overflowing class: its column is nan after one step, all after two."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(samples, features)) * rng.integers(0, 2, size=(samples, features))
    Y = np.eye(classes)[rng.integers(classes, size=samples)]
    W = rng.normal(size=(features, classes))
    X[0, 0] = 1.0
    W[0, 0] = 2000.0  # exp overflows for class 0 of sample 0, whatever the other features add
    with np.errstate(**IGNORE):
        for _step in range(2):
            P = textbook.softmax(np.einsum("rd,dk->rk", X, W))
            hit = np.isnan(P).any(axis=0)
            assert hit[0]
            W = W - 0.1 * np.einsum("rd,rk->dk", X, P - Y) / samples
            assert np.isnan(W[:, hit]).all()
    assert np.isnan(W).all()


@pytest.mark.claim("thm-overflow-constant")
@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8),
    st.floats(-1e6, 1e6),
)
def test_softmax_does_not_change_when_all_logits_move(x, c):
    """Softmax of random logits and of the same logits less c agree to 110 digits."""

    def softmax(values):
        e = [gmpy2.exp(v) for v in values]
        return [v / sum(e) for v in e]

    with precise():  # 400 bits are 120 digits; exponents up to 2·10^6 cost 7 of them
        x = [mpfr(v) for v in x]
        for shift in (mpfr(c), max(x)):
            for p, q in zip(softmax(x), softmax([v - shift for v in x]), strict=True):
                assert abs(p - q) <= mpfr("1e-110") * p


def check_shift(x, fmt, order):
    z, e, s, p = evaluate(x, fmt, order, shift=True)
    n, u = len(x), fmt.unit_roundoff
    at_maximum = [v == max(x) for v in x]
    assert all(v <= 0 for v in z)
    assert all(0 <= v <= 1 for v in e)
    assert all(v == 1 for v, top in zip(e, at_maximum, strict=True) if top)
    with precise():
        assert 1 <= s <= n * (1 + mpfr(u)) ** (n - 1)
    if n <= 2**fmt.precision:
        assert s <= n
    assert all(0 <= v <= 1 for v in p)
    assert all(v > 0 for v, top in zip(p, at_maximum, strict=True) if top)
    for difference, computed, v in zip(z, p, x, strict=True):
        if gmpy2.is_infinite(difference):
            assert computed == 0
            with precise():  # below half of the smallest positive number: rounds to 0
                logarithm = mpfr(v) - exact_lse([mpfr(w) - max(x) for w in x]) - max(x)
                assert logarithm < gmpy2.log(mpfr(fmt.smallest_subnormal) / 2)


@pytest.mark.claim("thm-overflow-shift")
def test_the_shift_works_for_all_pairs():
    """All four parts hold for all pairs of finite float8 (e5m2) numbers."""
    fmt = FORMATS["float8_e5m2"]
    order = random.Random(0)
    for a in every_number(fmt.name):
        for b in every_number(fmt.name):
            check_shift([a, b], fmt, order)


@pytest.mark.claim("thm-overflow-shift")
def test_more_terms_than_integers_may_add_up_to_more_than_n():
    """Eleven ones, added as 5 + 6 in float8 (e5m2), give 12: the condition n ≤ 2^b is needed."""
    with arithmetic(FORMATS["float8_e5m2"]):
        five = sum([mpfr(1)] * 5)
        assert (five, five + 1) == (5, 6)
        assert five + (five + 1) == 12


@pytest.mark.claim("thm-overflow-shift")
@settings(max_examples=300, deadline=None)
@given(
    formats.flatmap(
        lambda name: st.tuples(
            st.just(name),
            st.lists(
                st.one_of(
                    st.floats(-FORMATS[name].max, FORMATS[name].max),
                    st.floats(-20, 20),
                    st.sampled_from([FORMATS[name].max, -FORMATS[name].max, 0.0]),
                ),
                min_size=1,
                max_size=30,
            ),
        )
    ),
    st.randoms(use_true_random=False),
)
def test_the_shift_works_for_random_rows(drawn, order):
    """All four parts hold for random rows up to ±Ω, added in random order, in each format."""
    name, row = drawn
    fmt = FORMATS[name]
    x = np.clip(fmt.round(np.array(row)).astype(float), -fmt.max, fmt.max)
    check_shift([float(v) for v in x], fmt, order)


@pytest.mark.claim("thm-overflow-shift")
@settings(deadline=None)
@given(
    st.sampled_from(["float64", "float32", "float16", "bfloat16"]),
    st.lists(st.floats(-1, 1), min_size=1, max_size=30),
    st.integers(0, 1023),
)
def test_the_library_shifts(name, row, scale):
    """softmax_ref.softmax of random rows up to ±Ω has no nan and lies in [0, 1]."""
    fmt = FORMATS[name]
    x = np.array(row) * min(2.0**scale, fmt.max)
    x = np.clip(fmt.round(x).astype(float), -fmt.max, fmt.max).astype(fmt.dtype)
    with np.errstate(**IGNORE):
        p = softmax_ref.softmax(x).astype(float)
    assert ((p >= 0) & (p <= 1)).all()
    assert p[x.astype(float).argmax()] > 0


@pytest.mark.claim("cor-overflow-count")
def test_the_float16_sum_of_ones_overflows_at_65520():
    """Every n up to 70,000 rounds as stated, and NumPy's own sums beside the boundary do."""
    fmt = FORMATS["float16"]
    with arithmetic(fmt):
        for n in range(1, 70_001):
            assert gmpy2.is_infinite(mpfr(n)) == (n >= 65_520)
    with np.errstate(over="ignore"):
        for n, finite in ((65_519, True), (65_520, False)):
            e = np.exp(np.zeros(n, dtype=np.float16))
            assert np.isfinite(e.sum()) == finite
            assert ((e / e.sum())[0] > 0) == finite
