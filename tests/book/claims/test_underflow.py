"""Checks of the statements in the chapter "Underflow".

Truth comes from MPFR (through gmpy2), which rounds correctly in any format, and from exact
rational arithmetic; never from the formats module alone.
"""

import math
import random

import gmpy2
import numpy as np
import pytest
import torch
from gmpy2 import mpfr, mpq
from hypothesis import given, settings
from hypothesis import strategies as st

import softmax_ref
from softmax_ref import textbook
from softmax_ref.formats import FORMATS

from .emulation import SMALL, add_in_some_order, arithmetic, every_number, precise

IGNORE = {"over": "ignore", "invalid": "ignore", "under": "ignore", "divide": "ignore"}
EACH = pytest.mark.parametrize("name", list(FORMATS))

formats = st.sampled_from(list(FORMATS))


def smallest(fmt):
    """η = 2^(e_min − b + 1), as an exact rational."""
    return mpq(2) ** (fmt.min_exponent - fmt.precision + 1)


def normal(fmt):
    """2^e_min, as an exact rational."""
    return mpq(2) ** fmt.min_exponent


def log(q):
    with precise():
        return gmpy2.log(mpfr(q))


def exact_softmax(x):
    with precise():
        e = [gmpy2.exp(mpfr(v)) for v in x]
        return [v / sum(e) for v in e]


def around(fmt, x, count):
    """`count` numbers of the format below x, and as many from there upwards."""
    low = x
    for _ in range(count):
        low = fmt.next_down(low)
    found = []
    for _ in range(2 * count):
        found.append(low)
        low = fmt.next_up(low)
    return found


@pytest.mark.claim("prop-underflow-rounding")
@settings(deadline=None, max_examples=60)
@given(formats, st.fractions(-1, 1), st.integers(0, 300), st.integers(0, 60))
def test_rounding_gives_zero_up_to_half_the_smallest_number(name, step, shrink, rise):
    """Random rationals around η/2, however near, and up to 2^e_min round to 0 exactly up to η/2."""
    fmt = FORMATS[name]
    eta = smallest(fmt)
    assert eta == mpq(fmt.smallest_subnormal)
    assert eta / 2 == normal(fmt) / 2**fmt.precision
    near = eta / 2 * (1 + mpq(step) / 2**shrink)
    wide = min(normal(fmt), abs(mpq(step)) * eta * 2**rise)
    with arithmetic(fmt):
        assert mpfr(eta / 2) == 0
        for r in (near, wide):
            rounded = mpfr(r)
            assert (rounded == 0) == (r <= eta / 2)
    if name != "float64":  # the project's own rounding, from float64
        y = float(near)
        assert (float(fmt.round(y)) == 0) == (mpq(y) <= eta / 2)


@pytest.mark.claim("prop-underflow-exp")
@pytest.mark.parametrize("name", SMALL)
def test_every_exponential_below_the_threshold_is_zero(name):
    """Exponentials of the small formats' numbers, up to twice as deep: 0 and error as stated."""
    fmt = FORMATS[name]
    dead, floor = log(smallest(fmt) / 2), log(normal(fmt))
    with precise():
        u = mpfr(fmt.unit_roundoff)
        half_eta = mpfr(smallest(fmt) / 2)
    for x in every_number(name):
        if x == 0 or x < 2 * dead or x > 12:  # exp is monotone, and too large is not the subject
            continue
        with arithmetic(fmt):
            rounded = gmpy2.exp(mpfr(float(x)))
        assert (rounded == 0) == (x < dead)
        with precise():
            exact = gmpy2.exp(mpfr(float(x)))
            error = abs(mpfr(rounded) - exact) / exact
            if x <= floor:
                assert error <= half_eta / exact
                assert abs(half_eta / exact / (u * gmpy2.exp(floor - x)) - 1) < 1e-100
            elif exact <= fmt.max:
                assert error <= u
            if x < dead:
                assert error == 1


@pytest.mark.claim("prop-underflow-exp")
@EACH
def test_neighbours_enclose_the_threshold(name):
    """In each format the neighbours in the table enclose (e_min − b) log 2; exp is 0 below."""
    fmt = FORMATS[name]
    last, following = fmt.exp_underflow()
    with precise():
        dead = (fmt.min_exponent - fmt.precision) * gmpy2.const_log2()
    assert last < dead < following
    assert fmt.next_up(last) == following
    with arithmetic(fmt):
        assert gmpy2.exp(mpfr(last)) == 0
        assert gmpy2.exp(mpfr(following)) > 0
    with np.errstate(**IGNORE):
        assert float(np.exp(np.array(last, fmt.dtype))) == 0
        assert float(np.exp(np.array(following, fmt.dtype))) > 0


@pytest.mark.claim("cor-underflow-row")
@settings(deadline=None, max_examples=60)
@given(
    formats,
    st.lists(st.floats(-1.4, 0.4), min_size=1, max_size=12),
    st.randoms(use_true_random=False),
)
def test_a_row_is_nan_if_its_maximum_underflows(name, row, order):
    """Random rows around the threshold, added in random order in each format, end as stated."""
    fmt = FORMATS[name]
    dead = log(smallest(fmt) / 2)
    x = [float(v) for v in fmt.round(np.array(row) * float(-dead))]
    with arithmetic(fmt):
        e = [gmpy2.exp(mpfr(v)) for v in x]
        if any(gmpy2.is_infinite(v) for v in e):
            return  # the statement asks for exponentials that do not overflow
        s = add_in_some_order(e, order)
        p = [v / s for v in e]
    assert [gmpy2.is_nan(v) for v in p] == [max(x) < dead] * len(p)


@pytest.mark.claim("cor-underflow-row")
@pytest.mark.parametrize("name", ["float64", "float32", "float16", "bfloat16"])
def test_numpy_rows_die_at_the_same_place_for_every_n(name):
    """NumPy's textbook softmax of 1 to 10,000 equal logits: nan at one neighbour, not the next."""
    last, following = FORMATS[name].exp_underflow()
    for n in (1, 2, 10, 10_000):
        for x, dead in ((last, True), (following, False)):
            with np.errstate(**IGNORE):
                p = textbook.softmax(np.full(n, x, FORMATS[name].dtype))
            assert bool(np.isnan(p).all()) == dead
            assert bool(np.isnan(p).any()) == dead


def check_harmless(z, fmt, flush):
    """The theorem's inequalities for shifted logits z, in rational and 400-bit arithmetic."""
    with arithmetic(fmt):
        rounded = [gmpy2.exp(mpfr(v)) for v in z]
    with precise():
        exact = [gmpy2.exp(mpfr(v)) for v in z]
        below = [v < mpfr(normal(fmt)) for v in exact]
        if flush:
            rounded = [v if v >= fmt.smallest_normal else mpfr(0) for v in rounded]
        kept = [mpfr(a) if b else e for a, b, e in zip(rounded, below, exact, strict=True)]
        total, changed, k = sum(exact), sum(kept), sum(below)
        bound = k * mpfr(normal(fmt) if flush else smallest(fmt) / 2)
        slack = mpfr(2) ** -300 * total  # 400 bits, a few hundred operations
        assert abs(changed - total) <= bound * total + slack
        assert k <= len(z) - 1
        for e, a in zip(exact, rounded, strict=True):
            p, q = e / total, e / changed
            assert abs(q - p) <= bound * p + slack * p
            if a == 0 and not flush:
                with arithmetic(fmt):
                    assert mpfr(p) == 0


shifted_rows = formats.flatmap(
    lambda name: st.tuples(
        st.just(name),
        st.lists(st.floats(0, 1.3), min_size=1, max_size=30),
        st.sampled_from([0.01, 0.1, 1.0, 1.02]),
    )
)


def shifted_row(drawn):
    name, row, scale = drawn
    fmt = FORMATS[name]
    depth = (fmt.precision - fmt.min_exponent) * math.log(2)
    z = fmt.round(-np.array(row) * scale * depth).astype(float)
    return fmt, [0.0, *map(float, z)]


@pytest.mark.claim("thm-underflow-harmless")
@settings(deadline=None, max_examples=60)
@given(shifted_rows)
def test_underflow_after_the_shift_changes_the_sum_by_no_more_than_stated(drawn):
    """Random shifted rows in each format: sum and quotients move by at most k η/2."""
    fmt, z = shifted_row(drawn)
    check_harmless(z, fmt, flush=False)


@pytest.mark.claim("thm-underflow-harmless")
def test_the_bound_is_nearly_attained_in_float16():
    """A long float16 row of the largest exponentials that are 0: 98% of the bound."""
    fmt = FORMATS["float16"]
    last, _ = fmt.exp_underflow()
    n = 128_000
    with precise():
        missing = (n - 1) * gmpy2.exp(mpfr(last))
        bound = (n - 1) * mpfr(smallest(fmt) / 2)
        assert 0.98 * bound < missing <= bound
        assert bound / fmt.unit_roundoff == (n - 1) * mpfr(normal(fmt))


@pytest.mark.claim("prop-underflow-loss")
@settings(deadline=None, max_examples=60)
@given(formats, st.floats(0.5, 1.1), st.lists(st.floats(-2, 0), min_size=1, max_size=6))
def test_the_loss_is_infinite_from_the_threshold_on(name, depth, others):
    """Random rows with a hopeless target: −log of the rounded probability against the margin."""
    fmt = FORMATS[name]
    limit = (fmt.precision - fmt.min_exponent) * math.log(2)
    x = [-depth * limit, 0.0, *others]
    p = exact_softmax(x)[0]
    with arithmetic(fmt):
        rounded = mpfr(p)
    with precise():
        loss = -gmpy2.log(p)
        assert (rounded == 0) == (loss >= -log(smallest(fmt) / 2))
        if rounded > 0 and p <= mpfr(normal(fmt)):
            error = abs(gmpy2.log(mpfr(rounded)) - gmpy2.log(p))
            bound = -gmpy2.log1p(-mpfr(smallest(fmt)) / (2 * mpfr(rounded)))
            assert error <= bound <= gmpy2.const_log2()


@pytest.mark.claim("prop-underflow-loss")
@pytest.mark.parametrize("name", ["float64", "float32", "float16"])
def test_libraries_lose_the_loss_there_and_log_softmax_does_not(name):
    """Softmax of softmax_ref and PyTorch, one unit around the limit; log_softmax stays finite."""
    fmt = FORMATS[name]
    limit = (fmt.precision - fmt.min_exponent) * math.log(2)
    for margin, lost in ((limit - 1, False), (limit + 1, True)):
        x = np.array([0.0, -margin]).astype(fmt.dtype)
        tensor = torch.from_numpy(x)
        assert (softmax_ref.softmax(x)[1] == 0) == lost
        assert (torch.softmax(tensor, 0)[1].item() == 0) == lost
        for value in (softmax_ref.log_softmax(x)[1], torch.log_softmax(tensor, 0)[1].item()):
            assert float(value) == pytest.approx(-margin, rel=2 * fmt.unit_roundoff)


@pytest.mark.claim("prop-underflow-epsilon")
@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.floats(-30, 30), min_size=2, max_size=6),
    st.integers(0, 5),
    st.sampled_from([1e-3, 1e-7, 1e-12]),
)
def test_epsilon_multiplies_the_gradient_by_its_factor(row, t, epsilon):
    """Central differences in 400 bits agree with p_t/(p_t + ε) (p − y) for random rows."""
    t %= len(row)
    with precise():
        eps, h = mpfr(epsilon), mpfr(2) ** -100
        x = [mpfr(v) for v in row]

        def loss(values):
            return -gmpy2.log(exact_softmax(values)[t] + eps)

        p = exact_softmax(x)
        factor = p[t] / (p[t] + eps)
        for j in range(len(x)):
            up, down = list(x), list(x)
            up[j] += h
            down[j] -= h
            difference = (loss(up) - loss(down)) / (2 * h)
            # Error of the differences: h² = 2^-200 times a third derivative, below 10^6.
            assert abs(difference - factor * (p[j] - (j == t))) < mpfr(2) ** -170
        assert loss(x) < -gmpy2.log(eps)
        assert (factor <= 0.5) == (p[t] <= eps)


def flushed(fmt, r):
    """Correct rounding of an exact value, then flushed."""
    with arithmetic(fmt):
        rounded = mpfr(r)
        return mpfr(0) if abs(rounded) < fmt.smallest_normal else rounded


@pytest.mark.claim("prop-underflow-flush")
@EACH
def test_flushed_exponentials_are_zero_below_the_smallest_normal_number(name):
    """Numbers around e_min log 2 in each format: flushed to 0 exactly below it, as stated."""
    fmt = FORMATS[name]
    floor = log(normal(fmt))
    with precise():
        dead = floor + gmpy2.log1p(mpfr(-fmt.unit_roundoff))
    for x in around(fmt, float(fmt.round(float(floor))), 8):
        assert not dead <= x <= floor
        with precise():
            exact = gmpy2.exp(mpfr(x))
        assert (flushed(fmt, exact) == 0) == (x < dead) == (x < floor)
    v, w = 3 * normal(fmt) / 2, normal(fmt)
    assert float(fmt.round(float(v))) == v
    assert flushed(fmt, v - w) == 0


@pytest.mark.claim("prop-underflow-flush")
@settings(deadline=None, max_examples=60)
@given(shifted_rows)
def test_flushing_after_the_shift_changes_the_sum_by_no_more_than_stated(drawn):
    """Random shifted rows in each format, flushed: the sum moves by at most k 2^e_min."""
    fmt, z = shifted_row(drawn)
    check_harmless(z, fmt, flush=True)


@pytest.mark.claim("prop-underflow-flush")
def test_a_processor_that_flushes_kills_the_textbook_row_earlier():
    """PyTorch's switch, where there is one: [-95, -95] is nan with it, and log_softmax is right."""
    x = torch.tensor([-95.0, -95.0])
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush")
    try:
        e = torch.exp(x)
        p = (e / e.sum()).tolist()
        y = torch.log_softmax(torch.tensor([0.0, -95.0, -200.0]), 0).tolist()
    finally:
        torch.set_flush_denormal(False)
    assert all(map(math.isnan, p))
    assert y == [0.0, -95.0, -200.0]
    assert textbook.softmax(x).tolist() == [0.5, 0.5]


def test_the_emulation_is_the_hardware():
    """The MPFR contexts agree with NumPy's float32 and float64 on random sums and quotients."""
    rng = np.random.default_rng(0)
    order = random.Random(0)
    for name in ("float32", "float64"):
        fmt = FORMATS[name]
        bits = rng.integers(0, 2 ** (8 * fmt.dtype.itemsize), size=(2, 500), dtype=np.uint64)
        a, b = bits.astype(f"u{fmt.dtype.itemsize}").view(fmt.dtype)
        with np.errstate(**IGNORE), arithmetic(fmt):
            for v, w in zip(a, b, strict=True):
                m, n = mpfr(float(v)), mpfr(float(w))
                for ours, theirs in ((m + n, v + w), (m / n, v / w), (m * n, v * w)):
                    np.testing.assert_equal(float(ours), float(theirs))
                np.testing.assert_equal(float(add_in_some_order([m, n], order)), float(v + w))
