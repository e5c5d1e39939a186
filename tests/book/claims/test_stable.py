"""Checks of the statements in the chapter "The stable softmax".

Every format is emulated by MPFR (through gmpy2), which rounds correctly; the exponentials are
correct where the statement says so, and deliberately poor but monotone where it does not.
"""

import itertools
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

from .emulation import add_in_some_order, arithmetic, every_number, precise

WITH_INFINITY = [name for name, fmt in FORMATS.items() if fmt.has_infinity]
IGNORE = {"over": "ignore", "invalid": "ignore", "under": "ignore", "divide": "ignore"}

formats = st.sampled_from(WITH_INFINITY)
orders = st.randoms(use_true_random=False)


def correct(z):
    return gmpy2.exp(z)


def coarse(z):
    """Monotone, 1 at 0, and otherwise wrong: the next lower power of two of the exponential."""
    if z == 0:
        return mpfr(1)
    e = gmpy2.exp(z)
    return mpfr(2) ** int(gmpy2.floor(gmpy2.log2(e))) if e > 0 else e


def linear(z):
    """Monotone and 1 at 0, but no exponential at all: 1 + z/8, and 0 below −8."""
    return gmpy2.maxnum(mpfr(0), 1 + z / 8)


EXPONENTIALS = {"correct": correct, "coarse": coarse, "linear": linear}


def shifted(x, fmt, exp, order):
    """The shifted evaluation: the exponents, the sum and the quotients."""
    with arithmetic(fmt):
        x = [mpfr(v) for v in x]
        z = [v - max(x) for v in x]
        e = [exp(v) for v in z]
        s = add_in_some_order(e, order)
        return z, s, [v / s for v in e]


def row_of(fmt, row):
    rounded = np.clip(fmt.round(np.array(row)).astype(float), -fmt.max, fmt.max)
    return [float(v) for v in rounded]


def check_guarantee(x, fmt, exp, order):
    n, m = len(x), max(x)
    _, s, p = shifted(x, fmt, exp, order)
    assert gmpy2.is_finite(s)
    assert all(0 <= v <= 1 for v in p)  # false for nan
    ordered = sorted(zip(x, p, strict=True))
    for (v, low), (w, high) in itertools.pairwise(ordered):
        assert low < high or (low == high and v <= w)
        assert low == high or v < w
    with arithmetic(fmt):
        share, best = mpfr(1) / n, 1 / s
    for v, computed in zip(x, p, strict=True):
        if v == m:
            assert computed == best
            if n <= 2**fmt.precision:
                assert computed >= share
                assert computed == share or min(x) < m
    check_sum(p, fmt)


def check_sum(p, fmt):
    """The exact sum of computed probabilities lies between the two bounds, as rationals."""
    n, u, eta = len(p), mpq(fmt.unit_roundoff), mpq(fmt.smallest_subnormal)
    total = sum(mpq(v) for v in p)
    assert total >= (1 - u) * (1 + u) ** (1 - n) - n * eta / 2
    assert total <= (1 + u) * (1 - u) ** (1 - n) + n * eta / 2


@pytest.mark.claim("thm-stable-guarantee")
@pytest.mark.parametrize("exp", EXPONENTIALS.values(), ids=EXPONENTIALS)
def test_pairs_keep_the_guarantee(exp):
    """Pairs of finite float8 (e5m2) numbers, with a right and two poor monotone functions."""
    fmt = FORMATS["float8_e5m2"]
    order = random.Random(0)
    values = every_number("float8_e5m2").tolist()
    for a in values[::4]:
        for b in values:
            check_guarantee([a, b], fmt, exp, order)


@pytest.mark.claim("thm-stable-guarantee")
@pytest.mark.parametrize("exp", EXPONENTIALS.values(), ids=EXPONENTIALS)
@settings(deadline=None, max_examples=60)
@given(name=formats, row=st.lists(st.floats(-1, 1), min_size=1, max_size=20), data=st.data())
def test_random_rows_keep_the_guarantee(exp, name, row, data):
    """Random rows up to ±Ω in each format, in random order, with right and poor functions."""
    fmt = FORMATS[name]
    scale = data.draw(st.sampled_from([1.0, 10.0, 100.0, fmt.max]))
    x = row_of(fmt, np.array(row) * scale)
    check_guarantee(x, fmt, exp, data.draw(orders))


@pytest.mark.claim("thm-stable-guarantee")
@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "float64"])
def test_numpy_softmax_keeps_the_guarantee(name):
    """NumPy's own exponential, sum and quotient on 300 rows: range, order, 1/n and the sum."""
    fmt = FORMATS[name]
    rng = np.random.default_rng(0)
    for scale in (0.1, 3.0, 100.0):
        x = fmt.round(scale * rng.normal(size=(100, 50)))
        with np.errstate(**IGNORE):
            e = np.exp(x - x.max(axis=-1, keepdims=True))
            p = (e / e.sum(axis=-1, keepdims=True)).astype(float)
        order = np.argsort(x.astype(float), axis=-1)
        assert ((p >= 0) & (p <= 1)).all()
        assert (np.diff(np.take_along_axis(p, order, axis=-1)) >= 0).all()
        assert (p.max(axis=-1) >= float(fmt.round(1 / 50))).all()
        for row in p:
            check_sum(row.tolist(), fmt)


@pytest.mark.claim("prop-stable-window")
@settings(deadline=None, max_examples=60)
@given(
    formats,
    st.lists(st.floats(-3, 0), min_size=1, max_size=12),
    st.floats(-1.2, 1.2),
    orders,
)
def test_each_shift_ends_as_its_largest_exponent_says(name, row, offset, order):
    """Random rows and shifts from far below to far above the maximum, in each format."""
    fmt = FORMATS[name]
    x = row_of(fmt, row)
    (c,) = row_of(fmt, [offset * (fmt.precision - fmt.min_exponent) * math.log(2)])
    with arithmetic(fmt):
        z = [mpfr(v) - mpfr(c) for v in x]
        e = [gmpy2.exp(v) for v in z]
        s = add_in_some_order(e, order)
        p = [v / s for v in e]
    n, u, top = len(x), mpfr(fmt.unit_roundoff), max(z)
    with precise():
        omega = mpfr((2 - mpq(1, 2**fmt.precision)) * mpq(2) ** fmt.max_exponent)
        half_eta = mpfr(mpq(fmt.smallest_subnormal) / 2)
        assert any(gmpy2.is_infinite(v) for v in e) == (top >= gmpy2.log(omega))
        if n * (1 + u) ** (n - 1) * mpfr(max(e)) < omega:
            assert gmpy2.is_finite(s)
        lost = all(v == 0 for v in e)
        assert lost == (top < gmpy2.log(half_eta))
        assert lost == (s == 0)
        assert not lost or all(gmpy2.is_nan(v) for v in p)
        if any(gmpy2.is_infinite(v) for v in e):
            return
        exact = [gmpy2.exp(mpfr(v)) for v in z]
        small = [v < mpfr(fmt.smallest_normal) for v in exact]
        kept = [mpfr(a) if b else v for a, b, v in zip(e, small, exact, strict=True)]
        bound = sum(small) * half_eta * gmpy2.exp(-mpfr(top))
        assert abs(sum(kept) - sum(exact)) / sum(exact) <= bound + mpfr(2) ** -300


@pytest.mark.claim("prop-stable-mask")
@pytest.mark.parametrize("exp", EXPONENTIALS.values(), ids=EXPONENTIALS)
@settings(deadline=None, max_examples=60)
@given(
    name=formats,
    entries=st.lists(st.tuples(st.floats(-20, 20), st.booleans()), min_size=1, max_size=12),
)
def test_masked_entries_change_no_bit_of_the_others(exp, name, entries):
    """Random rows with random masks, added from left to right, against the row without them."""
    fmt = FORMATS[name]
    x = row_of(fmt, [v for v, _ in entries])
    allowed = [mark for _, mark in entries]
    if not any(allowed):
        allowed[0] = True

    def evaluate(values):
        with arithmetic(fmt):
            values = [mpfr(v) for v in values]
            e = [mpfr(0) if gmpy2.is_infinite(v) else exp(v - max(values)) for v in values]
            s = e[0]
            for a in e[1:]:
                s = s + a
            return [v / s for v in e]

    masked = evaluate([v if a else -math.inf for v, a in zip(x, allowed, strict=True)])
    alone = iter(evaluate([v for v, a in zip(x, allowed, strict=True) if a]))
    assert masked == [next(alone) if a else 0 for a in allowed]


@pytest.mark.claim("prop-stable-mask")
def test_libraries_mask_so_too():
    """NumPy's lines, softmax_ref and PyTorch: 0 where masked, nan for a row of −inf alone."""
    x = np.array([[2.0, -np.inf, 0.1], [-np.inf] * 3])
    with np.errstate(**IGNORE):
        e = np.exp(x - x.max(axis=-1, keepdims=True))
        ours = e / e.sum(axis=-1, keepdims=True)
    for p in (ours, softmax_ref.softmax(x), torch.softmax(torch.from_numpy(x), -1).numpy()):
        assert p[0, 1] == 0
        assert p[0, [0, 2]] == pytest.approx(softmax_ref.softmax(x[0, [0, 2]]), rel=1e-15)
        assert np.isnan(p[1]).all()
    assert (softmax_ref.softmax(np.zeros(3), where=[False] * 3) == 0).all()


@pytest.mark.claim("prop-stable-constant")
@settings(deadline=None, max_examples=60)
@given(
    formats,
    st.lists(st.floats(-1, 1), min_size=2, max_size=8),
    st.floats(0.1, 60),
    st.floats(0, 40),
    orders,
)
def test_a_constant_masks_or_drowns_as_stated(name, row, reach, exponent, order):
    """Random rows and constants in each format: masked entries, and rows masked entirely."""
    fmt = FORMATS[name]
    R, M = row_of(fmt, [reach, reach + 2.0**exponent])
    x = [min(max(v, -R), R) for v in row_of(fmt, np.array(row) * reach)]
    if M <= R:
        return
    with arithmetic(fmt):
        y = [float(mpfr(v) - mpfr(M)) for v in x]
        worst = (mpfr(R) - mpfr(M)) + mpfr(R)
    if worst < (fmt.min_exponent - fmt.precision) * math.log(2):
        _, _, p = shifted([x[0], *y[1:]], fmt, correct, order)
        assert all(v == 0 for v in p[1:])
    if fmt.unit_roundoff * M / 2 > R:
        assert y == [-M] * len(x)
        _, _, p = shifted(y, fmt, correct, order)
        assert len(set(p)) == 1


@pytest.mark.claim("prop-stable-constant")
@settings(deadline=None, max_examples=60)
@given(formats, st.integers(0, 3), st.sampled_from([-1, 1]), st.data())
def test_the_largest_logits_that_drown(name, power, sign, data):
    """Logits just below half of u M drown in M, also beside a power of two, in each format."""
    fmt = FORMATS[name]
    (M,) = row_of(fmt, [data.draw(st.floats(1, 2)) * 2.0**power])
    x = fmt.next_down(fmt.unit_roundoff * M / 2)
    with arithmetic(fmt):
        assert float(mpfr(sign * x) - mpfr(M)) == -M
        edge = fmt.next_down(fmt.unit_roundoff * 2.0**power / 2)
        assert float(mpfr(sign * edge) - mpfr(2.0**power)) == -(2.0**power)
        beyond = fmt.next_up(fmt.unit_roundoff * 2.0**power / 2)  # so the half cannot be spared
        assert float(mpfr(beyond) - mpfr(2.0**power)) != -(2.0**power)


@pytest.mark.claim("prop-stable-constant")
def test_numpy_rows_masked_entirely_by_a_billion():
    """[1, 2, 3] less 10⁹: nan in float16, uniform in bfloat16 and float32, unmasked in float64."""
    for name, expected in (
        ("float16", [math.nan] * 3),
        ("bfloat16", [1 / 3] * 3),
        ("float32", [1 / 3] * 3),
        ("float64", softmax_ref.softmax(np.array([1.0, 2.0, 3.0]))),
    ):
        dtype = FORMATS[name].dtype
        with np.errstate(**IGNORE):
            x = np.array([1, 2, 3], dtype) - np.array(1e9).astype(dtype)
            e = np.exp(x - x.max())
            p = (e / e.sum()).astype(float)
        np.testing.assert_allclose(p, expected, rtol=0.01)


@pytest.mark.claim("prop-stable-contraction")
@settings(deadline=None, max_examples=60)
@given(
    formats,
    st.floats(0.05, 3),
    st.lists(st.floats(-1, 1), min_size=1, max_size=8),
    st.floats(0, 1),
    orders,
)
def test_contraction_shifts_all_exponents_alike(name, scale, row, size, order):
    """Random rows and scales in each format with a fused multiply-subtract, and the remedy."""
    fmt = FORMATS[name]
    top = min(fmt.max / 4, 1e4 / fmt.unit_roundoff)
    x = row_of(fmt, np.array(row) * top**size)
    (alpha,) = row_of(fmt, [scale])
    m = max(x)
    with arithmetic(fmt):
        a = mpfr(alpha)
        r = a * mpfr(m)
        z = [gmpy2.fms(a, mpfr(v), r) for v in x]
        e = [gmpy2.exp(v) for v in z]
        s = add_in_some_order(e, order)
        p = [v / s for v in e]
        residue = gmpy2.fms(a, mpfr(m), r)
        safe = [a * (mpfr(v) - mpfr(m)) for v in x]
    exact = mpq(alpha) * mpq(m) - mpq(r)
    assert max(z) == residue
    if alpha * abs(m) >= fmt.smallest_normal:
        assert abs(exact) <= mpq(fmt.unit_roundoff) * mpq(alpha) * abs(mpq(m))
    with precise():
        omega = mpfr((2 - mpq(1, 2**fmt.precision)) * mpq(2) ** fmt.max_exponent)
        if max(z) >= gmpy2.log(omega):
            assert any(gmpy2.is_nan(v) for v in p)
        if max(z) < gmpy2.log(mpfr(mpq(fmt.smallest_subnormal) / 2)):
            assert all(gmpy2.is_nan(v) for v in p)
    assert max(safe) == 0
    assert all(v <= 0 for v in safe)
    assert all(v == 0 for v, logit in zip(safe, x, strict=True) if logit == m)
    with arithmetic(fmt):
        e = [gmpy2.exp(v) for v in safe]
        s = add_in_some_order(e, order)
        assert all(0 <= v / s <= 1 for v in e)


@pytest.mark.claim("prop-stable-contraction")
@pytest.mark.parametrize(
    ("logit", "residue", "broken"),
    [(2_000_000_256, -5, 0), (2_000_000_512, 105, 1), (2_000_000_000, -115, 2)],
)
def test_the_three_rows_near_two_billion(logit, residue, broken):
    """The printed float32 rows: the residue, and how many of two entries become nan."""
    fmt = FORMATS["float32"]
    alpha = float(np.float32(1 / 0.7))
    with arithmetic(fmt):
        r = mpfr(logit) * mpfr(alpha)
        z = [float(gmpy2.fms(mpfr(v), mpfr(alpha), r)) for v in (logit, logit - 1024)]
    assert round(z[0]) == residue
    with np.errstate(**IGNORE):
        p = textbook.softmax(np.array(z, dtype=np.float32))
    assert np.isnan(p).sum() == broken
    x = np.array([logit, logit - 1024], dtype=np.float32)
    assert softmax_ref.softmax(x, temperature=0.7).tolist() == [1.0, 0.0]
