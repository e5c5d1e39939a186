"""Checks of the statements in the chapter "log_softmax and log-sum-exp, done right".

Every format is emulated by MPFR (through gmpy2), which rounds correctly; the chapter's c and c' are
then 1. NumPy's own functions are tried apart, with the larger c that they need.
"""

import math
import random

import gmpy2
import numpy as np
import pytest
from gmpy2 import mpfr, mpq
from hypothesis import given, settings
from hypothesis import strategies as st

import softmax_ref
from softmax_ref import exact
from softmax_ref.formats import FORMATS

from .emulation import arithmetic, every_number, precise, sum_and_height

formats = st.sampled_from(list(FORMATS))
orders = st.randoms(use_true_random=False)
# What 400 bits leave of an identity between numbers of moderate size.
ROUNDING = mpfr("1e-100")


def row_of(fmt, values):
    return [float(v) for v in fmt.round(np.array(values, dtype=float)).astype(float)]


def parts(x):
    """The index of a maximum, the gaps, s and λ of a row, in the present precision."""
    k = max(range(len(x)), key=lambda i: x[i])
    gaps = [mpfr(x[k]) - mpfr(v) for v in x]
    s = sum((gmpy2.exp(-d) for j, d in enumerate(gaps) if j != k), mpfr(0))
    return k, gaps, s, gmpy2.log1p(s)


@pytest.mark.claim("prop-logsoftmax-form")
@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(-60, 60), min_size=2, max_size=8), st.booleans())
def test_the_maximum_left_out_gives_the_same(row, tie):
    """Random rows with 400 bits, with and without ties, against log(exp(x)/sum exp(x))."""
    x = [*row, max(row)] if tie else row
    with precise():
        k, gaps, s, surplus = parts(x)
        e = [gmpy2.exp(mpfr(v)) for v in x]
        logs = [gmpy2.log(v / sum(e)) for v in e]
        margin = min(d for j, d in enumerate(gaps) if j != k)
        for d, right in zip(gaps, logs, strict=True):
            assert abs(-(d + surplus) - right) < ROUNDING
        assert abs(mpfr(x[k]) + surplus - gmpy2.log(sum(e))) < ROUNDING
        smallest, n = gmpy2.exp(-margin), len(x)
        assert smallest * (1 - ROUNDING) <= s <= (n - 1) * smallest * (1 + ROUNDING)
        assert (s - s * s / 2) * (1 - ROUNDING) <= surplus <= s * (1 + ROUNDING)
        assert all(-v >= gmpy2.log(2) - ROUNDING for i, v in enumerate(logs) if i != k)


def check_lost(s, fmt):
    """The three parts for one s, a rational number up to 1."""
    u = mpq(fmt.unit_roundoff)
    with arithmetic(fmt):
        S = mpq(mpfr(1 + s))
    with precise():
        surplus = gmpy2.log1p(mpfr(s))
        lost = abs(gmpy2.log(mpfr(S)) - surplus)
        if s <= u:
            assert S == 1
            assert lost == surplus
        assert lost <= u
        assert lost / surplus <= 2 * mpfr(u) / mpfr(s)
        if s < 1 and (s / u).denominator == 1 and (s / u).numerator % 2:
            assert lost / surplus >= mpfr(u) / (2 * mpfr(s))


@pytest.mark.claim("prop-logsoftmax-lost")
@pytest.mark.parametrize("name", ["float8_e4m3fn", "float8_e5m2", "bfloat16"])
def test_digits_are_lost_for_every_s_of_a_small_format(name):
    """Every number up to 1 of both float8 formats, and every eleventh of bfloat16."""
    values = every_number(name)
    for s in values[(values > 0) & (values <= 1)][:: 11 if name == "bfloat16" else 1]:
        check_lost(mpq(float(s)), FORMATS[name])


@pytest.mark.claim("prop-logsoftmax-lost")
@settings(deadline=None, max_examples=60)
@given(formats, st.integers(1, 2**60), st.integers(0, 70))
def test_digits_are_lost_for_any_real_s(name, numerator, shift):
    """Random s with 60 bits and of any size, and odd multiples of u, in each format."""
    fmt = FORMATS[name]
    check_lost(min(mpq(numerator, 2**60 * 2**shift) * 2**8, mpq(1)), fmt)
    odd = 2 * (numerator % int(0.25 / fmt.unit_roundoff)) + 1
    check_lost(odd * mpq(fmt.unit_roundoff), fmt)


@pytest.mark.claim("prop-logsoftmax-subtract")
@settings(deadline=None, max_examples=60)
@given(formats, st.lists(st.floats(-6, 6), min_size=2, max_size=6), st.floats(-20, 20))
def test_a_rounded_lse_spoils_all_entries_alike(name, row, offset):
    """Random rows in each format: x − fl(LSE) against the exact log-probabilities."""
    fmt = FORMATS[name]
    x = row_of(fmt, np.array(row) + offset)
    with precise():
        k, gaps, _, surplus = parts(x)
        lse = mpfr(x[k]) + surplus
    with arithmetic(fmt):
        y = mpfr(lse)
    with precise():
        for v, d in zip(x, gaps, strict=True):
            error = (mpfr(v) - mpfr(y)) - (-(d + surplus))
            assert abs(error - (lse - mpfr(y))) < ROUNDING
            if abs(lse) >= fmt.smallest_normal:
                assert abs(error) <= fmt.unit_roundoff * abs(lse)
        if abs(x[k]) >= fmt.smallest_normal and surplus < fmt.ulp(x[k]) / 4:
            assert y == x[k]


@pytest.mark.claim("prop-logsoftmax-subtract")
@pytest.mark.parametrize("name", FORMATS)
def test_a_quarter_of_an_ulp_is_the_limit(name):
    """Beside minus a power of two a surplus just above a quarter of an ulp is seen, below not."""
    fmt = FORMATS[name]
    quarter = mpq(fmt.ulp(-1.0)) / 4
    with arithmetic(fmt):
        assert mpfr(-1 + quarter * mpq(99, 100)) == -1
        assert mpfr(-1 + quarter * mpq(101, 100)) != -1


@pytest.mark.claim("lem-logsoftmax-rounding")
@pytest.mark.parametrize("name", ["float8_e4m3fn", "float8_e5m2", "float16"])
def test_one_rounding_in_logarithms(name):
    """Middles of neighbours, where rounding errs most, of every or each 37th normal number."""
    fmt = FORMATS[name]
    values = every_number(name)
    values = values[values >= fmt.smallest_normal][:: 37 if name == "float16" else 1]
    factor = 1 + mpq(fmt.unit_roundoff)
    attained = False
    for a in values[:-1].tolist():
        middle = (mpq(a) + mpq(fmt.next_up(a))) / 2
        with arithmetic(fmt):
            rounded = mpq(mpfr(middle))
        assert middle / factor <= rounded <= middle * factor
        attained |= rounded in (middle / factor, middle * factor)
    assert attained  # no smaller bound would do
    assert math.log1p(fmt.unit_roundoff) < fmt.unit_roundoff


@pytest.mark.claim("lem-logsoftmax-rounding")
@settings(deadline=None, max_examples=60)
@given(formats, st.lists(st.floats(0, 1), min_size=1, max_size=30), st.integers(0, 12), orders)
def test_sums_in_logarithms(name, values, scale, order):
    """Random terms of any size, subnormal ones too, added in a random order in each format."""
    fmt = FORMATS[name]
    # No sum reaches the largest number: the terms are scaled down by their count.
    terms = row_of(fmt, np.array(values) * min(fmt.max, 1e30) * 2.0**-scale / 40)
    if not any(terms):
        return
    with arithmetic(fmt):
        total, h = sum_and_height([mpfr(v) for v in terms], order)
    with precise():
        exactly = sum((mpfr(v) for v in terms), mpfr(0))
        assert abs(gmpy2.log(mpfr(total)) - gmpy2.log(exactly)) <= h * fmt.unit_roundoff


@pytest.mark.claim("lem-logsoftmax-rounding")
def test_the_number_of_additions_matters():
    """A thousand ones from left to right in bfloat16 stall at 256; in pairs they do not."""
    fmt = FORMATS["bfloat16"]
    with arithmetic(fmt):
        total, h = sum_and_height([mpfr(1)] * 1000, random.Random(0))
        stalled = mpfr(0)
        for _ in range(1000):
            stalled += 1
    u = fmt.unit_roundoff
    assert math.log(1000 / stalled) > 100 * u
    assert math.log(1000 / stalled) <= 999 * u
    assert abs(math.log(1000 / total)) <= h * u < 100 * u


@pytest.mark.claim("lem-logsoftmax-gaps")
@settings(deadline=None, max_examples=60)
@given(
    formats,
    st.lists(st.tuples(st.floats(0, 60), st.floats(-1, 1)), min_size=1, max_size=40),
    st.sampled_from(["random", "all up", "all down"]),
)
def test_rounded_gaps_move_a_sum_by_less(name, entries, direction):
    """Random gaps, each changed by up to u of itself, at random and all in one direction."""
    u, N = FORMATS[name].unit_roundoff, len(entries)
    sign = {"all up": 1, "all down": -1}.get(direction)
    with precise():
        gaps = [mpfr(d) for d, _ in entries]
        changed = [d - d * u * (sign or r) for d, r in entries]
        total = sum((gmpy2.exp(-d) for d in gaps), mpfr(0))
        moved = sum((gmpy2.exp(-mpfr(d)) for d in changed), mpfr(0))
        bound = u / (1 - mpfr(u)) * gmpy2.log(N / total)
        # The changed gaps themselves are float64 numbers: 2 units of its roundoff at 60.
        slack = 60 * mpfr(2) ** -52
        assert abs(gmpy2.log(moved) - gmpy2.log(total)) <= bound + slack


@pytest.mark.claim("lem-logsoftmax-gaps")
def test_rounded_gaps_need_the_bound():
    """One gap alone attains u d, and a thousand at log 1000 beside a 0 half of the bound."""
    u = 2.0**-11
    with precise():
        assert abs(gmpy2.log(gmpy2.exp(-mpfr(9) * (1 - mpfr(u)))) + 9 - 9 * mpfr(u)) < ROUNDING
        d = gmpy2.log(mpfr(1000))
        before, after = 1 + 1000 * gmpy2.exp(-d), 1 + 1000 * gmpy2.exp(-d * (1 - mpfr(u)))
        bound = u / (1 - mpfr(u)) * gmpy2.log(1001 / before)
        assert gmpy2.log(after) - gmpy2.log(before) > bound / 2


def evaluate(x, fmt, order):
    """The evaluation without the maximum: λ, the entries, LSE, the terms and the height."""
    with arithmetic(fmt):
        x = [mpfr(v) for v in x]
        k = max(range(len(x)), key=lambda i: x[i])
        z = [v - x[k] for v in x]
        a = [gmpy2.exp(v) for j, v in enumerate(z) if j != k]
        total, h = sum_and_height(a, order)
        surplus = gmpy2.log1p(total)
        return surplus, [v - surplus for v in z], x[k] + surplus, a, h


def error_bound(n, s, h, c, c1, small, u):
    """The bound E of the theorem."""
    return mpfr(u) * (gmpy2.log((n - 1) / s) / (1 - mpfr(u)) + h + c + c1 + 2 * c * small)


def check_error(x, fmt, order):
    """The three parts for one row; returns the error of λ over its bound, or None."""
    surplus, entries, y, a, h = evaluate(x, fmt, order)
    if max(a) < fmt.smallest_normal:
        return None
    n, u = len(x), mpfr(fmt.unit_roundoff)
    with precise():
        k, gaps, s, right = parts(x)
        small = sum(v < fmt.smallest_normal for v in a)
        bound = error_bound(n, s, h, 1, 1, small, u)
        moved = abs(gmpy2.log(mpfr(surplus)) - gmpy2.log(right))
        assert moved <= bound
        for i, (value, d) in enumerate(zip(entries, gaps, strict=True)):
            if i != k:
                assert abs(gmpy2.log(-mpfr(value)) - gmpy2.log(d + right)) <= bound + u
        lse = mpfr(x[k]) + right
        room = u * abs(lse) + (1 + u) * gmpy2.expm1(bound) * right
        assert abs(mpfr(y) - lse) <= room
        margin = min(d for j, d in enumerate(gaps) if j != k)
        assert gmpy2.log((n - 1) / s) <= margin + gmpy2.log(mpfr(n - 1)) + ROUNDING
        return float(moved / bound)


@pytest.mark.claim("thm-logsoftmax-error")
@settings(deadline=None, max_examples=60)
@given(
    formats,
    st.lists(st.floats(-1, 1), min_size=2, max_size=30),
    st.sampled_from([0.1, 1.0, 5.0, 12.0, 60.0]),
    orders,
)
def test_error_without_the_maximum(name, row, scale, order):
    """Random rows of up to 30 logits in each format, emulated, sums in random order."""
    fmt = FORMATS[name]
    check_error(row_of(fmt, np.array(row) * scale), fmt, order)


@pytest.mark.claim("thm-logsoftmax-error")
@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32"])
@settings(deadline=None, max_examples=30)
@given(st.floats(0.3, 9.5), st.floats(-30, 30), orders)
def test_a_far_rival_costs_its_gap(name, margin, top, order):
    """Pairs of logits at margins up to 9.5, where the rounded gap is all that matters."""
    fmt = FORMATS[name]
    check_error(row_of(fmt, [top, top - margin]), fmt, order)


@pytest.mark.claim("thm-logsoftmax-error")
def test_the_gap_cannot_be_spared():
    """Among 400 float16 pairs some err by more than the bound without log((n − 1)/s)."""
    fmt, rng, beyond = FORMATS["float16"], np.random.default_rng(5), 0
    for margin, top in zip(rng.uniform(7, 9.5, 400), rng.uniform(0.1, 0.9, 400), strict=True):
        x = row_of(fmt, [top, top - margin])
        surplus, *_ = evaluate(x, fmt, random.Random(0))
        with precise():
            right = parts(x)[3]
            beyond += abs(gmpy2.log(mpfr(surplus)) - gmpy2.log(right)) > 2 * fmt.unit_roundoff
    assert beyond > 20


@pytest.mark.claim("thm-logsoftmax-error")
@pytest.mark.parametrize(("name", "c"), [("float64", 2), ("float32", 4)])
def test_numpy_stays_within_the_bound(name, c):
    """300 rows by NumPy's own functions, with c = 2 in float64 and 4 in float32."""
    fmt, rng = FORMATS[name], np.random.default_rng(11)
    for n in (2, 10, 300):
        for deviation in (0.3, 3.0, 20.0):
            rows = fmt.round(deviation * rng.standard_normal((33, n))).astype(fmt.dtype)
            for x in rows:
                k = int(x.argmax())
                a = np.exp(np.delete(x, k) - x[k])
                if a.max() < fmt.smallest_normal:
                    continue
                right = -float(exact.log_softmax(x.astype(float))[k])
                with precise():
                    s = parts(x.tolist())[2]
                    small = int((a < fmt.smallest_normal).sum())
                    bound = float(error_bound(n, s, n - 2, c, c, small, fmt.unit_roundoff))
                # The right value is itself rounded to float64, hence one more unit there.
                room = bound + 2.0**-53
                assert abs(math.log(float(np.log1p(a.sum())) / right)) <= room


@pytest.mark.claim("thm-logsoftmax-error")
@pytest.mark.parametrize("name", ["float64", "float32"])
def test_the_package_keeps_its_promise(name):
    """softmax_ref on 360 rows: the largest entry within 20 ulp and the mean gap of the others."""
    fmt, rng = FORMATS[name], np.random.default_rng(12)
    for n in (2, 10, 300):
        for deviation in (0.3, 3.0, 20.0):
            rows = fmt.round(deviation * rng.standard_normal((40, n))).astype(fmt.dtype)
            for x, y in zip(rows, softmax_ref.log_softmax(rows), strict=True):
                k = int(x.argmax())
                right = float(exact.log_softmax(x.astype(float))[k])
                if -right < fmt.smallest_normal:
                    continue
                gaps = float(x[k]) - np.delete(x, k).astype(float)
                weights = np.exp(-(gaps - gaps.min()))
                mean_gap = float(gaps @ weights / weights.sum())
                assert abs(float(y[k]) - right) <= (20 + mean_gap) * fmt.ulp(right)


@pytest.mark.claim("prop-logsoftmax-zero")
@settings(deadline=None, max_examples=60)
@given(formats, st.lists(st.floats(0, 1), min_size=1, max_size=20), st.floats(0.1, 8))
def test_lse_of_log_probabilities_is_rounding_error(name, weights, spread):
    """Random distributions, their logarithms rounded to each format."""
    fmt = FORMATS[name]
    with precise():
        e = [gmpy2.exp(mpfr(-v * spread)) for v in weights]
        logs = [gmpy2.log(v / sum(e)) for v in e]
    with arithmetic(fmt):
        x = [mpfr(v) for v in logs]
    # A rounded logarithm has a relative error of at most u where it is normal.
    if any(0 < abs(v) < fmt.smallest_normal for v in logs):
        return
    with precise():
        lse = gmpy2.log(sum(gmpy2.exp(mpfr(v)) for v in x))
        u = mpfr(fmt.unit_roundoff)
        assert abs(lse) <= u / (1 - u) * gmpy2.log(mpfr(len(x))) + ROUNDING


@pytest.mark.claim("thm-logsoftmax-error")
@pytest.mark.claim("prop-logsoftmax-zero")
@settings(deadline=None, max_examples=60)
@given(formats, st.floats(0.05, 4), st.floats(-0.95, 3), orders)
def test_the_last_addition_is_innocent(name, gap, offset, order):
    """Pairs whose log-sum-exp is near 0: m + λ is exact there, and within the bound elsewhere."""
    fmt = FORMATS[name]
    top = -math.log1p(math.exp(-gap)) * (1 + offset)
    x = row_of(fmt, [top, top - gap])
    surplus, _, y, _, _ = evaluate(x, fmt, order)
    check_error(x, fmt, order)
    m = mpq(max(x))
    if mpq(surplus) / 2 <= -m <= 2 * mpq(surplus):
        assert mpq(y) == m + mpq(surplus)


@pytest.mark.claim("prop-logsoftmax-zero")
def test_the_two_golden_rows():
    """Log-probabilities of (1/2, 1/2) and (.1, .2, .7) in float64: nothing but 1e-17."""
    for p, right in (
        ([0.5] * 2, 2.3190468138462996e-17),
        ([0.1, 0.2, 0.7], -6.525293511214321e-18),
    ):
        x = np.log(p)
        assert exact.logsumexp(x) == pytest.approx(right, rel=1e-12)
        assert abs(right) <= 2.0**-53 * math.log(len(p)) * 1.001
