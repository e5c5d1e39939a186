"""Checks of the statements in the chapter "How wrong is it?".

Every format is emulated by MPFR (through gmpy2), which rounds correctly: the chapter's c and c' are
then 1. NumPy's own functions are tried apart, against softmax_ref.exact.
"""

import math
import random

import gmpy2
import numpy as np
import pytest
from gmpy2 import mpfr, mpq
from hypothesis import given, settings
from hypothesis import strategies as st

from softmax_ref import exact
from softmax_ref.formats import FORMATS

from .emulation import arithmetic, precise, sum_and_height

formats = st.sampled_from(list(FORMATS))
orders = st.randoms(use_true_random=False)
rows = st.lists(st.floats(-1, 1), min_size=1, max_size=30)
scales = st.sampled_from([0.1, 1.0, 5.0, 20.0, 100.0])


def row_of(fmt, values):
    """Numbers of a format, none so large that a difference or an exponential overflows."""
    limit = min(fmt.max / 4, 1e4)
    return [float(v) for v in fmt.round(np.clip(np.array(values), -limit, limit)).astype(float)]


def gaps_of(x):
    return [mpfr(max(x)) - mpfr(v) for v in x]


def softmax(x):
    """Softmax and log-sum-exp of a row, in the present precision."""
    e = [gmpy2.exp(-d) for d in gaps_of(x)]
    return [v / sum(e) for v in e], mpfr(max(x)) + gmpy2.log(sum(e))


def shifted(x, fmt, order):
    """The shifted evaluation in a format: probabilities, log-sum-exp, the sum and its height."""
    with arithmetic(fmt):
        x = [mpfr(v) for v in x]
        a = [gmpy2.exp(v - max(x)) for v in x]
        total, h = sum_and_height(a, order)
        return [v / total for v in a], max(x) + gmpy2.log(total), total, h


# The functions of x whose condition numbers the theorem gives, with those numbers.


def of_lse(x, p, y, _):
    size = max(abs(v) for v in x)
    return y, sum(q * abs(v) for q, v in zip(p, x, strict=True)) / abs(y), size / abs(y)


def of_entry(x, p, _, i):
    size = max(abs(v) for v in x)
    others = sum(q * abs(v) for j, (q, v) in enumerate(zip(p, x, strict=True)) if j != i)
    return p[i], (1 - p[i]) * abs(x[i]) + others, 2 * (1 - p[i]) * size


def of_logarithm(x, p, y, i):
    _, kappa, kappa_inf = of_entry(x, p, y, i)
    value = gmpy2.log(p[i])
    return value, kappa / abs(value), kappa_inf / abs(value)


EPS = mpfr("1e-40")


@pytest.mark.claim("thm-error-condition")
@pytest.mark.parametrize("function", [of_lse, of_entry, of_logarithm])
@settings(deadline=None, max_examples=40)
@given(row=st.lists(st.floats(-9, 9), min_size=2, max_size=8), data=st.data())
def test_condition_numbers_are_attained_and_not_exceeded(function, row, data):
    """Perturbations of 1e-40 with 400 bits, with the worst signs and with random ones."""
    i = data.draw(st.integers(0, len(row) - 1))
    random_signs = data.draw(st.lists(st.floats(-1, 1), min_size=len(row), max_size=len(row)))
    with precise():
        x = [mpfr(v) for v in row]
        p, y = softmax(x)
        value, kappa, kappa_inf = function(x, p, y, i)
        if abs(value) < 1e-6 or max(abs(v) for v in x) < 1e-6:
            return
        size = max(abs(v) for v in x)
        # Signs of the derivatives: positive for LSE; 1 − p_i and −p_j for an entry.
        ups = [1 if function is of_lse or j == i else -1 for j in range(len(x))]

        def change(steps):
            moved = [v + EPS * step for v, step in zip(x, steps, strict=True)]
            return abs(function(moved, *softmax(moved), i)[0] / value - 1) / EPS

        worst = change([sign * abs(v) for sign, v in zip(ups, x, strict=True)])
        worst_inf = change([sign * size for sign in ups])
        near = mpfr("1e-25")  # the second order, far below what a wrong formula would be off by
        assert abs(worst - kappa) <= near * (1 + kappa)
        assert abs(worst_inf - kappa_inf) <= near * (1 + kappa_inf)
        some = change([r * abs(v) for r, v in zip(random_signs, x, strict=True)])
        assert some <= kappa + near * (1 + kappa)


@pytest.mark.claim("thm-error-condition")
@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(-9, 9), min_size=2, max_size=8))
def test_the_condition_number_of_the_row(row):
    """The largest change of an entry relative to p_max, for the worst signs of each entry."""
    with precise():
        x = [mpfr(v) for v in row]
        size = max(abs(v) for v in x)
        if size < 1e-6:
            return
        p, _ = softmax(x)
        kappa = 2 * size * max(q * (1 - q) for q in p) / max(p)
        assert kappa <= 2 * size
        worst = mpfr(0)
        for k in range(len(x)):  # the worst pattern for entry k: it rises, all others fall
            moved = [v + EPS * size * (1 if j == k else -1) for j, v in enumerate(x)]
            changes = [abs(a - b) for a, b in zip(softmax(moved)[0], p, strict=True)]
            worst = max(worst, max(changes) / max(p) / EPS)
        assert abs(worst - kappa) <= mpfr("1e-25") * (1 + kappa)


def sum_bound(x, fmt, h, c):
    """The bound of the lemma on the computed sum."""
    n, u, eta = len(x), mpfr(fmt.unit_roundoff), mpfr(fmt.smallest_subnormal)
    S = sum(gmpy2.exp(-d) for d in gaps_of(x))
    return u * (gmpy2.log(n / S) / (1 - u) + h + c) + (n - 1) * c * eta


def common_bound(n, fmt, h, c):
    """What all entries share in the theorem."""
    u, eta = mpfr(fmt.unit_roundoff), mpfr(fmt.smallest_subnormal)
    return u * (gmpy2.log(mpfr(n)) / (1 - u) + h + 2 * c + 1) + n * c * eta


@pytest.mark.claim("lem-error-sum")
@settings(deadline=None, max_examples=60)
@given(formats, rows, scales, orders)
def test_the_computed_sum_ignores_the_spread(name, row, scale, order):
    """Random rows of any spread in each format, emulated, in random order."""
    fmt = FORMATS[name]
    x = row_of(fmt, np.array(row) * scale)
    _, _, total, h = shifted(x, fmt, order)
    with precise():
        S = sum(gmpy2.exp(-d) for d in gaps_of(x))
        assert total >= 1
        assert abs(gmpy2.log(mpfr(total)) - gmpy2.log(S)) <= sum_bound(x, fmt, h, 1)


def check_softmax(x, fmt, order):
    """Both parts for one row."""
    p, _, _, h = shifted(x, fmt, order)
    with precise():
        right, _ = softmax(x)
        n, u = len(x), mpfr(fmt.unit_roundoff)
        common = common_bound(n, fmt, h, 1)
        for value, true, d in zip(p, right, gaps_of(x), strict=True):
            if value > fmt.smallest_normal:
                assert abs(gmpy2.log(mpfr(value)) - gmpy2.log(true)) <= u * d + common
        wrong = max(abs(mpfr(v) - t) for v, t in zip(p, right, strict=True)) / max(right)
        room = gmpy2.expm1(common) + u / ((1 - u) * gmpy2.exp(mpfr(1)))
        assert wrong <= room + mpfr(1.5) * n * mpfr(fmt.smallest_subnormal)


@pytest.mark.claim("thm-error-softmax")
@settings(deadline=None, max_examples=60)
@given(formats, rows, scales, orders)
def test_entries_and_rows_stay_within_the_bounds(name, row, scale, order):
    """Random rows of any spread in each format, emulated, in random order."""
    fmt = FORMATS[name]
    check_softmax(row_of(fmt, np.array(row) * scale), fmt, order)


@pytest.mark.claim("thm-error-softmax")
@settings(deadline=None, max_examples=40)
@given(formats, st.lists(st.floats(0, 1), min_size=2, max_size=30), st.floats(1, 20), orders)
def test_subnormal_terms_are_within_the_bounds(name, row, offset, order):
    """A winner, and rivals around the smallest normal exponential of each format."""
    fmt = FORMATS[name]
    edge = fmt.min_exponent * math.log(2)
    check_softmax(row_of(fmt, [0.0, *(edge + (np.array(row) - 0.6) * offset)]), fmt, order)


@pytest.mark.claim("thm-error-softmax")
def test_the_gap_cannot_be_spared():
    """Far entries of 300 float32 pairs exceed the bound without u d; rows never exceed theirs."""
    fmt, rng, beyond = FORMATS["float32"], np.random.default_rng(5), 0
    for d, m in zip(rng.uniform(64, 80, 300), rng.uniform(0.1, 0.9, 300), strict=True):
        x = row_of(fmt, [m, m - d])
        check_softmax(x, fmt, random.Random(0))
        p, _, _, h = shifted(x, fmt, random.Random(0))
        with precise():
            moved = abs(gmpy2.log(mpfr(p[1])) - gmpy2.log(softmax(x)[0][1]))
            beyond += moved > 4 * common_bound(2, fmt, h, 1)
    assert beyond > 100


@pytest.mark.claim("thm-error-softmax")
def test_the_bound_of_the_row_is_within_a_factor_of_five():
    """Of 1,500 float16 pairs the worst errs by more than a fifth of the bound of its row."""
    fmt, rng, closest = FORMATS["float16"], np.random.default_rng(8), 0.0
    for m, d in zip(rng.uniform(0, 1, 1500), rng.uniform(0, 3, 1500), strict=True):
        x = row_of(fmt, [m, m - d])
        check_softmax(x, fmt, random.Random(0))
        p, *_ = shifted(x, fmt, random.Random(0))
        with precise():
            right, _ = softmax(x)
            wrong = max(abs(mpfr(a) - b) for a, b in zip(p, right, strict=True)) / max(right)
            closest = max(closest, float(wrong / gmpy2.expm1(common_bound(2, fmt, 1, 1))))
    assert closest > 0.2


@pytest.mark.claim("thm-error-softmax")
def test_rounded_differences_come_near_the_bound():
    """The float16 pair (8, −2⁻⁸): the difference alone is wrong by more than 0.99 u d."""
    fmt = FORMATS["float16"]
    with arithmetic(fmt):
        z = mpfr(-(2.0**-8)) - mpfr(8)
    d = 8 + 2.0**-8
    assert abs(float(z) + d) > 0.99 * fmt.unit_roundoff * d


@pytest.mark.claim("thm-error-softmax")
@pytest.mark.parametrize(
    ("name", "c"), [("float16", 2), ("bfloat16", 2), ("float32", 4), ("float64", 2)]
)
def test_numpy_stays_within_the_bounds(name, c):
    """450 rows of 2, 10 and 300 logits by NumPy, against softmax_ref.exact in float64."""
    fmt, rng = FORMATS[name], np.random.default_rng(21)
    u, eta = fmt.unit_roundoff, fmt.smallest_subnormal
    for n in (2, 10, 300):
        for deviation in (0.3, 3.0, 40.0):
            x = fmt.round(deviation * rng.standard_normal((50, n))).astype(fmt.dtype)
            with np.errstate(under="ignore"):
                e = np.exp(x - x.max(axis=1, keepdims=True))
                p = (e / e.sum(axis=1, keepdims=True)).astype(float)
            wide = x.astype(float)
            right = exact.softmax(wide)
            # What exact returns is itself rounded to float64.
            slack = 2.0**-52 if name == "float64" else 0.0
            gap = wide.max(axis=1, keepdims=True) - wide
            common = u * (math.log(n) / (1 - u) + (n - 1) + 2 * c + 1) + n * c * eta
            normal = p > fmt.smallest_normal
            moved = np.abs(np.log(p[normal] / right[normal]))
            assert (moved <= u * gap[normal] + common + slack).all()
            row = np.abs(p - right).max(axis=1) / right.max(axis=1)
            room = math.expm1(common) + u / ((1 - u) * math.e) + (c + 0.5) * n * eta
            assert (row <= room + slack).all()


@pytest.mark.claim("prop-error-textbook")
@settings(deadline=None, max_examples=60)
@given(formats, rows, st.floats(-0.9, 0.9), orders)
def test_the_textbook_formula_has_no_gap_in_its_bound(name, row, centre, order):
    """Random rows over the range in which no exponential overflows or is subnormal."""
    fmt = FORMATS[name]
    reach = -fmt.min_exponent * math.log(2)
    x = row_of(fmt, reach * np.clip(centre + np.array(row), -1, 0.5))
    with arithmetic(fmt):
        a = [gmpy2.exp(mpfr(v)) for v in x]
        total, h = sum_and_height(a, order)
        p = [v / total for v in a]
    if min(a) < fmt.smallest_normal or total > fmt.max:
        return
    with precise():
        right, _ = softmax(x)
        for value, true in zip(p, right, strict=True):
            if value > fmt.smallest_normal:
                moved = abs(gmpy2.log(mpfr(value)) - gmpy2.log(true))
                assert moved <= (h + 3) * mpfr(fmt.unit_roundoff)


@pytest.mark.claim("prop-error-textbook")
def test_the_textbook_formula_beats_the_shift_on_small_entries():
    """Among 200 float32 pairs 70 apart, most shifted results exceed the textbook's bound."""
    fmt, rng, beyond = FORMATS["float32"], np.random.default_rng(6), 0
    for m in rng.uniform(1, 2, 200):
        x = row_of(fmt, [m, m - 70.3])
        with arithmetic(fmt):
            a = [gmpy2.exp(mpfr(v)) for v in x]
            textbook = a[1] / (a[0] + a[1])
        p, *_ = shifted(x, fmt, random.Random(0))
        with precise():
            right = gmpy2.log(softmax(x)[0][1])
            limit = 4 * mpfr(fmt.unit_roundoff)
            assert abs(gmpy2.log(mpfr(textbook)) - right) <= limit
            beyond += abs(gmpy2.log(mpfr(p[1])) - right) > limit
    assert beyond > 100


@pytest.mark.claim("prop-error-division-free")
@settings(deadline=None, max_examples=60)
@given(formats, rows, st.floats(-1, 1), orders)
def test_without_a_division_the_error_of_lse_enters(name, row, centre, order):
    """Random rows around random centres in each format: exp(x − LSE) with a computed LSE."""
    fmt = FORMATS[name]
    x = row_of(fmt, 3 * np.array(row) + 200 * centre)
    _, y, _, _ = shifted(x, fmt, order)
    with arithmetic(fmt):
        z = [mpfr(v) - y for v in x]
        p = [gmpy2.exp(v) for v in z]
    with precise():
        right, lse = softmax(x)
        b, u = abs(mpfr(y) - lse), mpfr(fmt.unit_roundoff)
        for value, exponent, true in zip(p, z, right, strict=True):
            log = gmpy2.log(true)
            if fmt.smallest_normal <= value <= fmt.max:
                moved = abs(gmpy2.log(mpfr(value)) - log)
                assert moved <= b + u + u * (abs(log) + b)
            without = abs((mpfr(max(x)) - mpfr(y)) - (mpfr(max(x)) - lse))
            assert abs(without - b) <= mpfr("1e-100")
            assert abs(mpfr(exponent) - log) <= b + u * (abs(log) + b)


@pytest.mark.claim("prop-error-division-free")
def test_without_a_division_logits_near_a_thousand_cost_hundreds_of_units():
    """Float32 rows near 1000: some entry is wrong by 100 u, while the quotient stays below 10 u."""
    fmt, rng = FORMATS["float32"], np.random.default_rng(7)
    u, largest = fmt.unit_roundoff, 0.0
    for _ in range(20):
        x = row_of(fmt, 1000 + rng.standard_normal(10))
        p, y, _, _ = shifted(x, fmt, random.Random(0))
        with arithmetic(fmt):
            free = [gmpy2.exp(mpfr(v) - y) for v in x]
        with precise():
            right, _ = softmax(x)
            of_quotient = max(abs(mpfr(a) / b - 1) for a, b in zip(p, right, strict=True))
            of_free = max(abs(mpfr(a) / b - 1) for a, b in zip(free, right, strict=True))
        assert of_quotient < 10 * u
        largest = max(largest, float(of_free))
    assert largest > 100 * u


def check_lse(x, fmt, order):
    _, y, _, h = shifted(x, fmt, order)
    with precise():
        _, right = softmax(x)
        u, surplus = mpfr(fmt.unit_roundoff), right - mpfr(max(x))
        of_sum = sum_bound(x, fmt, h, 1)
        b = of_sum + u * (surplus + of_sum)
        assert abs(mpfr(y) - right) <= u * abs(right) + (1 + u) * b


@pytest.mark.claim("thm-error-lse")
@settings(deadline=None, max_examples=60)
@given(formats, rows, scales, st.floats(-1, 1), orders)
def test_log_sum_exp_stays_within_the_bound(name, row, scale, centre, order):
    """Random rows of any spread and around random centres in each format, emulated."""
    fmt = FORMATS[name]
    check_lse(row_of(fmt, scale * np.array(row) + 50 * centre), fmt, order)


@pytest.mark.claim("thm-error-lse")
@settings(deadline=None, max_examples=40)
@given(formats, rows, st.floats(-0.1, 0.1), orders)
def test_log_sum_exp_near_zero_stays_within_the_bound(name, row, offset, order):
    """Rows whose log-sum-exp is within 0.1 of 0, where only the other terms are left."""
    fmt = FORMATS[name]
    x = np.array(row) * 3
    check_lse(row_of(fmt, x - np.log(np.exp(x).sum()) + offset), fmt, order)


@pytest.mark.claim("thm-error-lse")
@pytest.mark.parametrize(("name", "c"), [("float32", 4), ("float64", 2)])
def test_numpy_log_sum_exp_stays_within_the_bound(name, c):
    """360 rows by NumPy, against softmax_ref.exact in float64."""
    fmt, rng = FORMATS[name], np.random.default_rng(22)
    u, eta = fmt.unit_roundoff, fmt.smallest_subnormal
    for n in (2, 10, 300):
        for deviation, centre in ((0.3, 0), (3.0, -5), (40.0, 0)):
            x = fmt.round(centre + deviation * rng.standard_normal((40, n))).astype(fmt.dtype)
            m = x.max(axis=1, keepdims=True)
            with np.errstate(under="ignore"):
                y = (m[:, 0] + np.log(np.exp(x - m).sum(axis=1))).astype(float)
            right = exact.logsumexp(x.astype(float))
            surplus = right - m[:, 0]
            of_sum = u * ((math.log(n) - surplus) / (1 - u) + n - 1 + c) + n * c * eta
            b = of_sum + c * u * (surplus + of_sum)
            slack = 2.0**-52 * (np.abs(right) + 1) if name == "float64" else 0.0
            assert (np.abs(y - right) <= u * np.abs(right) + (1 + u) * b + slack).all()


@pytest.mark.claim("prop-error-quoted")
@pytest.mark.parametrize("name", FORMATS)
def test_no_number_satisfies_the_quoted_bound_at_50_50(name):
    """Both neighbours of 50 + log 2 in each format lie outside; so does every other number."""
    fmt = FORMATS[name]
    with precise():
        y = 50 + gmpy2.log(mpfr(2))
        allowed = abs((y + 2 - 50) / y) * mpfr(fmt.unit_roundoff)
        nearest = float(fmt.round(float(y)))
        other = fmt.next_up(nearest) if nearest < y else fmt.next_down(nearest)
        below, above = sorted((nearest, other))
        assert below < y < above
        assert mpq(above) - mpq(below) == 64 * mpq(fmt.unit_roundoff)
        for number in (below, above):
            assert abs(mpfr(number) - y) / y > allowed


@pytest.mark.claim("prop-error-quoted")
def test_the_correctly_rounded_value_misses_it_too():
    """softmax_ref.exact at (50, 50) in float64: off by six times the quoted bound."""
    with precise():
        y = 50 + gmpy2.log(mpfr(2))
        value = mpfr(float(exact.logsumexp(np.array([50.0, 50.0]))))
        assert abs(value - y) > 6 * (2 + gmpy2.log(mpfr(2))) * mpfr(2) ** -53
