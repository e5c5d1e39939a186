"""Checks of the statements in the chapter *Properties*.

Statements about real numbers are checked with 60 digits on logits that are multiples of 1/8: ties
are common, and a strict inequality is strict by far more than 1e-50.  Statements about rounding
are checked in exact fractions on values computed with 60 digits, in several formats, and in
float16 for every number there is.

The property tests have no deadline: a first call imports, and a busy machine is slow.
"""

import itertools
import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

import softmax_ref
from softmax_ref.formats import FORMATS

from .sixty_digits import entropy, is_constant, softmax

DIGITS = 60
TINY = mpmath.mpf(
    "1e-50"
)  # a float would vanish in 1 + TINY; ten digits of room for the rounding of 60-digit arithmetic
U = 2.0**-53

entry = st.integers(-80, 80).map(lambda k: k / 8)
logits = st.lists(entry, min_size=1, max_size=6)
several_logits = st.lists(entry, min_size=2, max_size=6)
pairs = st.integers(1, 6).flatmap(
    lambda n: st.tuples(*[st.lists(entry, min_size=n, max_size=n)] * 2)
)
temperature = st.integers(1, 256).map(lambda k: k / 16)
weights = st.lists(st.integers(1, 1000), min_size=1, max_size=6)
quick = settings(deadline=None, max_examples=60)


@pytest.fixture(autouse=True, scope="module")
def precision():
    """All mpmath arithmetic of this module has 60 digits."""
    with mpmath.workdps(DIGITS):
        yield


# --- oracles ----------------------------------------------------------------------------------


def at(x, T):
    return softmax([mpmath.mpf(x_i) / T for x_i in x])


def close(p, q, tolerance=TINY):
    return all(abs(a - b) <= tolerance for a, b in zip(p, q, strict=True))


def as_mpf(fraction):
    return mpmath.mpf(fraction.numerator) / fraction.denominator


# --- range, order, shifts ---------------------------------------------------------------------


@pytest.mark.claim("thm-properties-order")
@given(logits)
@example([0.0, 0.0, 0.0])
@example([3.0])
@quick
def test_range_sum_order_and_bounds(x):
    """In 60 digits: positive, sum 1, same order as the logits, and within the stated bounds."""
    p, n, M, r = softmax(x), len(x), max(x), max(x) - min(x)
    assert abs(mpmath.fsum(p) - 1) < TINY
    assert all(0 < p_i < 1 for p_i in p) or p == [1]
    for (x_i, p_i), (x_j, p_j) in itertools.product(zip(x, p, strict=True), repeat=2):
        assert (x_i < x_j) == (p_i < p_j)
        assert (x_i == x_j) == (p_i == p_j)
    for x_i, p_i in zip(x, p, strict=True):
        top = mpmath.exp(x_i - M)
        assert top / n * (1 - TINY) <= p_i <= top * (1 + TINY)
        assert mpmath.exp(-r) / n * (1 - TINY) <= p_i <= mpmath.exp(r) / n * (1 + TINY)
    if r == 0:
        assert close(p, [mpmath.mpf(1) / n] * n)


@pytest.mark.claim("thm-properties-order")
@given(logits, st.randoms(use_true_random=False), st.integers(0, 5), st.integers(1, 80))
@quick
def test_permutation_and_raising_one_logit(x, random, i, eighths):
    """Permuted logits give permuted probabilities; raising one logit lowers all the others."""
    places = random.sample(range(len(x)), len(x))
    p = softmax(x)
    assert close(softmax([x[k] for k in places]), [p[k] for k in places])
    i %= len(x)
    q = softmax([x_k + (k == i) * eighths / 8 for k, x_k in enumerate(x)])
    for k in range(len(x)):
        if len(x) > 1:
            assert q[k] > p[k] if k == i else q[k] < p[k]


@pytest.mark.claim("thm-properties-order")
@given(st.lists(st.floats(-1000, 1000), min_size=1, max_size=30))
@quick
def test_the_package_keeps_range_and_order(x):
    """softmax_ref.softmax stays in [0, 1], sums to 1 up to rounding, and reverses no order."""
    p = softmax_ref.softmax(np.array(x))
    assert p.min() >= 0
    assert p.max() <= 1
    assert abs(math.fsum(p) - 1) <= 4 * (len(x) + 2) * U  # exp, the sum and the quotient
    rising = p[np.argsort(x, kind="stable")]
    # NumPy's exp is within 1 ulp and need not be monotone between neighbouring inputs.
    assert (np.diff(rising) >= -4 * U * rising[1:]).all()


@pytest.mark.claim("thm-properties-shift")
@given(logits, st.floats(-1e6, 1e6))
@quick
def test_a_shift_changes_nothing(x, c):
    """Logits moved by any c up to a million give the same probabilities to 50 digits."""
    assert close(softmax(x), softmax([mpmath.mpf(x_i) + mpmath.mpf(c) for x_i in x]))


@pytest.mark.claim("thm-properties-shift")
@given(pairs)
@example(([0.0, 1.0], [5.0, 6.0]))
@example(([0.0, 1.0], [1.0, 0.0]))
@quick
def test_only_a_shift_changes_nothing(pair):
    """Two random rows have the same softmax exactly if their difference is a constant vector."""
    x, y = pair
    same = close(softmax(x), softmax(y))
    assert same == is_constant([b - a for a, b in zip(x, y, strict=True)])


@pytest.mark.claim("thm-properties-shift")
@given(st.lists(entry, min_size=1, max_size=30), st.integers(-1000, 1000))
@quick
def test_the_package_is_invariant_bit_for_bit(x, c):
    """softmax_ref.softmax returns the same bits after a shift that rounds no logit."""
    # Multiples of 1/8 plus an integer are exact, and so are the differences from the maximum.
    moved = softmax_ref.softmax(np.array(x) + c)
    assert np.array_equal(moved, softmax_ref.softmax(np.array(x)))


@pytest.mark.claim("prop-properties-inverse")
@given(weights, entry)
@quick
def test_logits_of_a_distribution(w, c):
    """log p plus any constant gives back p, and the centred one is the only one with sum 0."""
    p = [mpmath.mpf(w_i) / sum(w) for w_i in w]
    logs = [mpmath.log(p_i) for p_i in p]
    centred = [log - mpmath.fsum(logs) / len(logs) for log in logs]
    assert close(softmax([log + c for log in logs]), p)
    assert close(softmax(centred), p)
    assert abs(mpmath.fsum(centred)) < TINY
    assert (abs(mpmath.fsum(v + c for v in centred)) < TINY) == (c == 0)


@pytest.mark.claim("prop-properties-inverse")
@given(logits)
@quick
def test_back_and_forth(x):
    """From centred logits to probabilities and back gives the same logits; no entry is ever 0."""
    centred = [mpmath.mpf(x_i) - mpmath.mpf(sum(x)) / len(x) for x_i in x]
    p = softmax(x)
    logs = [mpmath.log(p_i) for p_i in p]
    assert close([log - mpmath.fsum(logs) / len(logs) for log in logs], centred)
    assert all(p_i > 0 for p_i in p)


# --- temperature ------------------------------------------------------------------------------


@pytest.mark.claim("prop-properties-temperature")
@given(several_logits, temperature, temperature)
@example([1.0, 1.0, 0.0], 1.0, 2.0)
@quick
def test_higher_is_flatter(x, S, T):
    """A higher temperature lowers every sum of largest probabilities and raises the entropy."""
    assume(not is_constant(x) and S < T)
    cold, hot = sorted(at(x, S), reverse=True), sorted(at(x, T), reverse=True)
    for k in range(1, len(x)):
        # Compare what is left, which keeps its digits where the sum is nearly 1.
        assert mpmath.fsum(cold[k:]) < mpmath.fsum(hot[k:])
    assert hot[0] < cold[0] or cold[0] > 1 - TINY
    assert entropy(cold) < entropy(hot)


@pytest.mark.claim("prop-properties-temperature")
@given(several_logits, temperature)
@quick
def test_odds_are_raised_to_a_power(x, T):
    """Powers 1/T of the probabilities at temperature 1, normalised, are those at T."""
    powers = [p_i ** (1 / mpmath.mpf(T)) for p_i in softmax(x)]
    assert close([v / mpmath.fsum(powers) for v in powers], at(x, T))


@pytest.mark.claim("thm-properties-cold")
@given(several_logits, temperature.map(lambda T: T / 4))
@example([2.0, 2.0, 1.0, 0.0], 0.5)
@example([1.0, 1.0], 1.0)
@quick
def test_cold_bounds(x, T):
    """Winners and losers stay within the stated distances of 1/k and 0 at every temperature."""
    M, n, k = max(x), len(x), x.count(max(x))
    d = min((M - x_i for x_i in x if x_i < M), default=1.0)
    small = mpmath.exp(-mpmath.mpf(d) / T)
    for x_i, p_i in zip(x, at(x, T), strict=True):
        if x_i == M:
            assert -TINY <= mpmath.mpf(1) / k - p_i <= (n - k) * small / k**2 + TINY
        else:
            assert 0 < p_i <= small / k * (1 + TINY)


@pytest.mark.claim("thm-properties-cold")
@pytest.mark.parametrize("x", [[2, 1, 0], [2, 2, 1, 0], [3, 3, 3, 1, 1, 0], [0, -1, -1, -1]])
def test_cold_rate(x):
    """At T = 1/40 the distance from 1/k, times e^(d/T), is q/k² to ten digits."""
    M, k = max(x), x.count(max(x))
    d = min(M - x_i for x_i in x if x_i < M)
    q = sum(x_i == M - d for x_i in x)
    T = mpmath.mpf(1) / 40
    winner = at(x, T)[x.index(M)]
    # The next term is smaller by a factor of about e^(−40) = 4e-18.
    assert abs((mpmath.mpf(1) / k - winner) * mpmath.exp(d / T) - mpmath.mpf(q) / k**2) < 1e-10


@pytest.mark.claim("thm-properties-hot")
@given(logits, temperature.map(lambda T: 8 * T))
@example([0.0, 10.0], 0.5)
@example([0.0, 0.0], 1.0)
@quick
def test_hot_bound(x, T):
    """The expansion to first order in 1/T misses each probability by no more than the bound."""
    n, r, mean = len(x), max(x) - min(x), mpmath.mpf(sum(x)) / len(x)
    ratio = mpmath.mpf(r) / T
    bound = ratio**2 * mpmath.exp(ratio) / (2 * n)
    for x_i, p_i in zip(x, at(x, T), strict=True):
        assert abs(p_i - mpmath.mpf(1) / n - (x_i - mean) / (n * mpmath.mpf(T))) <= bound + TINY


@pytest.mark.claim("thm-properties-hot")
def test_hot_rate():
    """At T = 10^10 the distance from 1/n, times nT, is x_i minus the average to nine digits."""
    x, T = [2.0, 1.0, 0.125], mpmath.mpf(10) ** 10
    # By the bound the product misses by at most (15/8)²/(2T), about 2e-10.
    for x_i, p_i in zip(x, at(x, T), strict=True):
        assert abs((p_i - mpmath.mpf(1) / 3) * 3 * T - (x_i - mpmath.mpf(sum(x)) / 3)) < 1e-9


# --- two classes, superfluous parameters ------------------------------------------------------


def sigma(z):
    return 1 / (1 + mpmath.exp(-z))


@pytest.mark.claim("thm-properties-sigmoid")
@given(several_logits)
@example([1.0, 2.0])
@quick
def test_each_class_against_the_rest(x):
    """Each probability is the sigmoid of its logit minus LSE of the others; with two, of x − y."""
    p = softmax(x)
    for i, p_i in enumerate(p):
        others = mpmath.log(mpmath.fsum(mpmath.exp(v) for v in x[:i] + x[i + 1 :]))
        assert abs(p_i - sigma(x[i] - others)) < TINY
    a, b = x[:2]
    assert close(softmax([a, b]), [sigma(mpmath.mpf(a) - b), sigma(mpmath.mpf(b) - a)])


@pytest.mark.claim("thm-properties-sigmoid")
@given(st.floats(-700, 700), st.floats(-700, 700))
@quick
def test_the_packages_sigmoid_agrees(a, b):
    """softmax_ref.sigmoid of a − b is the first entry of softmax_ref.softmax, up to rounding."""
    one, two = softmax_ref.sigmoid(a - b), softmax_ref.softmax(np.array([a, b]))[0]
    # Both get the same rounded difference; exp, a sum and a quotient cost a few u each.
    assert one == pytest.approx(two, rel=16 * U, abs=1e-320)


whole = st.integers(-8, 8)
matrices = st.lists(st.lists(whole, min_size=3, max_size=3), min_size=2, max_size=4)


@pytest.mark.claim("prop-properties-regression")
@given(matrices, st.lists(whole, min_size=3, max_size=3), st.lists(whole, min_size=2, max_size=2))
@quick
def test_moved_parameters_give_the_same_probabilities(rows, move, f):
    """The last column is b: adding the same row to all rows of (W, b) changes no probability."""
    z = [*f, 1]
    x = [sum(a * c for a, c in zip(row, z, strict=True)) for row in rows]
    y = [sum((a + m) * c for a, m, c in zip(row, move, z, strict=True)) for row in rows]
    assert close(softmax(x), softmax(y))


@pytest.mark.claim("prop-properties-regression")
@given(matrices, matrices)
@quick
def test_other_parameters_are_told_apart(rows, changes):
    """At 0 and the unit vectors, any other change of (W, b) shows in some probability."""
    n = min(len(rows), len(changes))
    rows, changes = rows[:n], changes[:n]
    moved = [
        [a + c for a, c in zip(*both, strict=True)] for both in zip(rows, changes, strict=True)
    ]
    same = True
    for z in ([0, 0, 1], [1, 0, 1], [0, 1, 1]):
        x, y = ([sum(a * c for a, c in zip(r, z, strict=True)) for r in m] for m in (rows, moved))
        same = same and close(softmax(x), softmax(y))
    assert same == all(change == changes[0] for change in changes)


@pytest.mark.claim("prop-properties-regression")
@given(matrices, st.lists(whole, min_size=3, max_size=3))
@quick
def test_the_smallest_parameters_are_centred(rows, move):
    """In exact fractions, moving centred columns by m adds n times m² to the sum of squares."""
    n = len(rows)
    means = [Fraction(sum(column), n) for column in zip(*rows, strict=True)]
    centred = [[a - m for a, m in zip(row, means, strict=True)] for row in rows]
    moved = [[a + m for a, m in zip(row, move, strict=True)] for row in centred]
    least, other = (sum(a * a for row in table for a in row) for table in (centred, moved))
    assert all(sum(column) == 0 for column in zip(*centred, strict=True))
    assert other - least == n * sum(m * m for m in move)


# --- rounding ---------------------------------------------------------------------------------


def fraction(value):
    """Return a 60-digit number as an exact fraction."""
    sign, mantissa, exponent, _ = value._mpf_
    return (-1) ** sign * Fraction(mantissa) * Fraction(2) ** exponent


def rounded(value, fmt):
    """Round a number in [0, 1] to a format, ties to even, in exact arithmetic."""
    value = fraction(value)
    if value == 0:
        return value
    exponent = value.numerator.bit_length() - value.denominator.bit_length()
    exponent -= value < Fraction(2) ** exponent  # now 2^exponent <= value < 2^(exponent + 1)
    spacing = max(Fraction(2) ** (exponent + 1 - fmt.precision), Fraction(fmt.smallest_subnormal))
    return round(value / spacing) * spacing


EACH_FORMAT = pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS.keys())


@pytest.mark.claim("prop-properties-saturation")
@EACH_FORMAT
def test_where_0_and_1_are_reached(fmt):
    """Just below the two thresholds 0 and 1 are not reached, and just above they are."""
    one = mpmath.log(2 / mpmath.mpf(fmt.unit_roundoff) - 1)
    zero = mpmath.log(2 / mpmath.mpf(fmt.smallest_subnormal) - 1)
    with mpmath.workdps(400):  # 1 − p_1 is as small as 1e-324
        step = mpmath.mpf(10) ** -20
        for side, reached in ((-step, False), (step, True)):
            assert (rounded(sigma(one + side), fmt) == 1) == reached
            assert (rounded(sigma(-zero - side), fmt) == 0) == reached


@pytest.mark.claim("prop-properties-saturation")
def test_ties_count_as_reached():
    """At the exact midpoints beside 1 and beside 0 rounding goes to 1 and to 0."""
    for fmt in FORMATS.values():
        u, eta = Fraction(fmt.unit_roundoff), Fraction(fmt.smallest_subnormal)
        with mpmath.workdps(400):
            assert rounded(as_mpf(1 - u / 2), fmt) == 1
            assert rounded(as_mpf(eta / 2), fmt) == 0


@pytest.mark.claim("prop-properties-saturation")
def test_the_package_saturates_where_stated():
    """In float16 softmax_ref.softmax first returns 1 and 0 at the first leads past the limits."""
    leads = np.arange(0x7C00, dtype=np.uint16).view(np.float16)
    p = softmax_ref.softmax(np.stack([leads, 0 * leads], axis=1))
    leads = leads.astype(float)  # so that comparisons do not round the limits
    assert leads[p[:, 0] == 1][0] == leads[leads >= math.log(2**12 - 1)][0]
    assert leads[p[:, 1] == 0][0] == leads[leads >= math.log(2**25 - 1)][0]


@pytest.mark.claim("prop-properties-rounding")
@EACH_FORMAT
@given(several_logits)
@example([0.0, 0.0, 0.0])
@example([10.0, -10.0, -9.875, 9.875])
@settings(deadline=None, max_examples=40)
def test_order_and_sum_after_rounding(fmt, x):
    """Correctly rounded, no order is reversed, and the exact sum is within u + nη/2 of 1."""
    p = softmax(x)
    q = [rounded(p_i, fmt) for p_i in p]
    for (x_i, q_i), (x_j, q_j) in itertools.product(zip(x, q, strict=True), repeat=2):
        assert x_i > x_j or q_i <= q_j
    bound = Fraction(fmt.unit_roundoff) + len(x) * Fraction(fmt.smallest_subnormal) / 2
    assert abs(sum(q) - 1) <= bound


@pytest.mark.claim("prop-properties-rounding")
@pytest.mark.parametrize(("n", "name"), [(1000, "float16"), (100_000, "float16"), (3, "float64")])
def test_sum_of_many_equal_classes(n, name):
    """With n equal logits the exact sum is within the bound, and it is not 1."""
    fmt = FORMATS[name]
    total = n * rounded(mpmath.mpf(1) / n, fmt)
    bound = Fraction(fmt.unit_roundoff) + n * Fraction(fmt.smallest_subnormal) / 2
    assert 0 < abs(total - 1) <= bound


@pytest.mark.claim("prop-properties-rounding")
@pytest.mark.parametrize("name", ["float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_collisions_counted(name):
    """Over all leads of a small format the first probability has at most 1/(2u) + 1 values."""
    fmt = FORMATS[name]
    bits = np.uint8 if fmt.dtype.itemsize == 1 else np.uint16
    patterns = np.arange(2 ** (8 * fmt.dtype.itemsize - 1), dtype=bits).view(fmt.dtype)
    with np.errstate(invalid="ignore"):  # some patterns are nan
        leads = patterns.astype(float)
    leads = leads[np.isfinite(leads)]
    p1 = fmt.round(softmax_ref.sigmoid(leads))
    most = 1 / (2 * fmt.unit_roundoff) + 1
    assert len(np.unique(p1)) <= most < len(leads)
    assert (np.diff(p1) >= 0).all()
    if name == "float16":
        assert len(np.unique(p1)) == most == 1025
