"""Error-free transformations, and double-double numbers made of them.

A pair (h, l) of float64 with h = fl(h + l) stands for the real number h + l: a double-double.
All functions work elementwise on arrays.
Statements and proofs: the book's chapter on correct rounding, with u = 2^−53.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Pair = tuple[Array, Array]


def two_sum(a: Array, b: Array) -> Pair:
    """s = fl(a + b) and t with s + t = a + b exactly (claim: thm-rounding-two-sum).

    Examples
    --------
    >>> s, t = two_sum(1.0, 2.0**-60)
    >>> s == 1.0 and t == 2.0**-60
    True
    """
    s = a + b
    a_part = s - b
    b_part = s - a_part
    return s, (a - a_part) + (b - b_part)


def fast_two_sum(a: Array, b: Array) -> Pair:
    """The same where |a| ≥ |b| or a = 0 (claim: lem-rounding-fast-two-sum)."""
    s = a + b
    return s, b - (s - a)


def split(a: Array) -> Pair:
    """a = h + l, where h is `a` rounded to 26 bits, and l fits into 26 bits too."""
    h = ((a.view(np.int64) + (1 << 26)) >> 27 << 27).view(np.float64)
    return h, a - h


def two_prod(a: Array, b: Array) -> Pair:
    """p = fl(ab) and e with p + e = ab exactly (claim: thm-rounding-two-prod).

    It needs 2^−968 ≤ |ab| ≤ 2^1022 or ab = 0, and |a|, |b| ≤ 2^1022.
    """
    p = a * b
    a_high, a_low = split(a)
    b_high, b_low = split(b)
    return p, a_low * b_low - (((p - a_high * b_high) - a_low * b_high) - a_high * b_low)


def add(x: Pair, y: Pair) -> Pair:
    """x + y with relative error at most 4u² (claim: prop-rounding-double-double)."""
    s, t = two_sum(x[0], y[0])
    v, w = two_sum(x[1], y[1])
    s, t = fast_two_sum(s, t + v)
    return fast_two_sum(s, t + w)


def multiply(x: Pair, y: Pair) -> Pair:
    """xy with relative error at most 9u² (claim: prop-rounding-double-double)."""
    p, e = two_prod(x[0], y[0])
    return fast_two_sum(p, e + (x[0] * y[1] + x[1] * y[0]))


def divide(x: Pair, y: Pair) -> Pair:
    """x/y with relative error at most 28u² (claim: prop-rounding-double-double)."""
    q = x[0] / y[0]
    p, e = multiply(y, (q, np.zeros_like(q)))
    rest = ((x[0] - p) - e) + x[1]
    return fast_two_sum(q, rest / y[0])
