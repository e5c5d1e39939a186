"""Second stage: double-double arithmetic, for entries and rows that the first leaves open."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .blocks import BLOCK
from .errorfree import Array, Pair, add, fast_two_sum, multiply, two_prod, two_sum
from .tables import SIZE, tables

#: Relative error of τ (claim: prop-rounding-double-double-sum).
SUM_ERROR = 2.0**-98
#: Relative error of log1p beyond what it inherits (claim: prop-rounding-log1p).
LOG_ERROR = 2.0**-87
#: Terms below e^−900 are left out: where the others are as small, all results round to zero.
FLOOR = -900.0
#: Power of two beside a τ without any terms.
_NOTHING = -2000


def exponential(zh: Array, zl: Array) -> tuple[Pair, NDArray[np.int64]]:
    """M and s with e^(zh + zl) = 2^s·M·(1 + δ), |δ| ≤ 2^−104, for −1000 ≤ zh ≤ 50.

    Claim: prop-rounding-double-double-exp.
    """
    q, j, s = _reduced(zh, zl)
    factor = tables().short[j]
    p, e = two_prod(factor, q[0])
    high, low = fast_two_sum(factor, p)
    return fast_two_sum(high, low + (e + factor * q[1])), s


def _reduced(zh: Array, zl: Array) -> tuple[Pair, NDArray[np.int64], NDArray[np.int64]]:
    """q, j, s with e^z = 2^s·F_j·(1 + q)."""
    table = tables()
    c1, c2, c3 = table.step
    k = np.rint(zh * table.inverse)
    whole = k.astype(np.int64)
    j = whole & (SIZE - 1)
    r, a = two_sum(zh - k * c1, -(k * c2))  # both products and the difference are exact
    r, b = two_sum(r, -table.shift[j])
    r, c = two_sum(r, zl)
    r, low = two_sum(r, ((a + b) + c) - (k * c3 + table.shift_low[j]))
    return _expm1((r, low)), j, (whole - j) // SIZE


def _expm1(r: Pair) -> Pair:
    """e^r − 1 for |r| ≤ 8.5e-5, by Taylor's polynomial of degree 7."""
    x = r[0]
    tail = x * (1 / 24 + x * (1 / 120 + x * (1 / 720 + x * (1 / 5040))))
    sixth = fast_two_sum(np.full_like(x, 1 / 6), tail)
    sixth = sixth[0], sixth[1] + 2.0**-55 / 3  # 1/6 − fl(1/6) = 2^−55/3
    square = multiply(r, r)
    cube = multiply(multiply(square, r), sixth)
    return add(r, add((square[0] / 2, square[1] / 2), cube))


def sums(x: Array, maximum: Array, where: NDArray[np.int64]) -> tuple[Pair, NDArray[np.int64]]:
    """τ and s by rows: Σ e^(x − maximum) = 1 + 2^s·τ, without the maximum at `where`."""
    parts: list[tuple[Pair, NDArray[np.int64]]] = []
    for start in range(0, x.shape[1], BLOCK):
        piece = x[:, start : start + BLOCK]
        zh, zl = two_sum(piece, -maximum[:, None])
        cut = ~(zh >= FLOOR)
        mantissa, s = exponential(np.where(cut, FLOOR, zh), np.where(cut, 0.0, zl))
        local = where - start
        inside = (local >= 0) & (local < piece.shape[1])
        for part in mantissa:
            part[inside.nonzero()[0], local[inside]] = 0.0
            part[cut] = 0.0
        parts.append(_fold(mantissa, s))
    high, low, s = (
        np.stack(column, axis=1) for column in zip(*((*m, e) for m, e in parts), strict=True)
    )
    return _fold((high, low), s)


def _fold(mantissa: Pair, s: NDArray[np.int64]) -> tuple[Pair, NDArray[np.int64]]:
    """Sum of 2^s·mantissa along rows, with a power of two taken out; ⌈log₂ n⌉ additions deep."""
    top = np.where(mantissa[0] > 0, s, _NOTHING).max(axis=1)
    shift = np.maximum(s - top[:, None], -1000).astype(np.int32)
    high, low = (np.ldexp(part, shift) for part in mantissa)
    n = high.shape[1]
    while n > 1:
        half = n // 2
        left, right = np.s_[:, :half], np.s_[:, n - half : n]
        high[left], low[left] = add((high[left], low[left]), (high[right], low[right]))
        n -= half
    return (high[:, 0], low[:, 0]), top


def log1p(t: Pair) -> Pair:
    """log(1 + t) for t > 0 with relative error 2^−87; nan where that cannot be shown.

    NumPy's log1p gives a start y, whose error is then computed (claim: prop-rounding-log1p).
    """
    start = np.log1p(t[0])
    q, j, s = _reduced(-start, np.zeros_like(start))
    # (1 + t)·e^−y − 1, where y is small and where it is not
    small = t[0] < 2.0**-14
    rest_small = add(add(t, q), multiply(t, q))
    one = (np.ones_like(start), np.zeros_like(start))
    factor = tables().short[j]
    power = add((factor, np.zeros_like(factor)), multiply((factor, np.zeros_like(factor)), q))
    product = multiply(add(one, t), power)
    scale = s.astype(np.int32)
    scaled = (np.ldexp(product[0], scale), np.ldexp(product[1], scale))
    rest_large = add(scaled, (-one[0], one[1]))
    high, low = (np.where(small, a, b) for a, b in zip(rest_small, rest_large, strict=True))
    rest = fast_two_sum(high, low - high * high / 2)
    newton = add((start, np.zeros_like(start)), rest)
    sure = (np.abs(rest[0]) <= 2.0**-45 * start) & (~small | (j == 0) & (s == 0))
    series = fast_two_sum(t[0], t[1] - t[0] * t[0] / 2)  # enough for t < 2^−60
    tiny = t[0] < 2.0**-60
    high, low = (
        np.where(tiny, a, np.where(sure, b, math.nan)) for a, b in zip(series, newton, strict=True)
    )
    return high, low
