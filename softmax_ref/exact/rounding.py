"""Rounding tests: an enclosure whose two ends round to one number has decided it.

Each test gets an enclosure of the true value that is wider than float64 can hold, as a sum of
float64, and rounds both ends to the target format without an intermediate rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..formats import Format
from .errorfree import Array, two_sum

_TINY = 2.0**-1074


@dataclass
class Decision:
    """What a rounding test found, entry by entry.

    Attributes
    ----------
    value : array of float64
        The correctly rounded number, where `decided`.
    decided : array of bool
    anchor, low, high : array of float64
        The true value lies between anchor + low and anchor + high.
    """

    value: Array
    decided: NDArray[np.bool_]
    anchor: Array
    low: Array
    high: Array


def nearest(fmt: Format, x: Array) -> Array:
    """`x` rounded once to the format, as float64."""
    if fmt.precision == 53:
        return x
    if fmt.name == "float32":
        return x.astype(np.float32).astype(np.float64)
    return np.asarray(fmt.round(x)).astype(np.float64)


def to_odd(a: Array, b: Array) -> Array:
    """a + b rounded to odd: itself, or of the two neighbours the one with an odd last bit.

    It compares with every number that has an even last bit as a + b does
    (claim: lem-rounding-odd).
    """
    h, t = two_sum(a, b)
    bits = h.view(np.int64)
    away = np.where((t > 0) == (h > 0), 1, -1)
    return (bits + np.where((t != 0) & (bits & 1 == 0), away, 0)).view(np.float64)


def decide_sum(fmt: Format, s: Array, p: Array, r_low: Array, r_high: Array) -> Decision:
    """Round s + p + r with r_low ≤ r ≤ r_high, where s = fl(s + p).

    Claim: prop-rounding-test.
    """

    def rounded(r: Array) -> Array:
        rest = to_odd(p, r)
        return s + rest if fmt.precision == 53 else nearest(fmt, to_odd(s, rest))

    below, above = rounded(r_low), rounded(r_high)
    anchor = s + p
    return _decision(below, above, anchor, (s - anchor) + p, r_low, r_high)


def decide_scaled(
    fmt: Format, high: Array, low: Array, relative: Array | float, exponent: NDArray[np.int64]
) -> Decision:
    """Round 2^exponent·(high + low)(1 + δ), |δ| ≤ relative, where high = fl(high + low) ∈ ±[¼, 4).

    Claim: prop-rounding-test.
    """
    e = relative * np.abs(high) * (1 + 2.0**-40)
    scale = np.maximum(exponent, -1150).astype(np.int32)
    if fmt.precision == 53:
        small = np.frexp(high)[1] + scale <= -1022
        unit = np.copysign(np.ldexp(1.0, np.where(small, 52 - 1074 - scale, 0)), high)

        def rounded(r: Array) -> Array:
            h, t = two_sum(unit, high)
            on_grid = (h + to_odd(t, r)) - unit  # subnormal: a multiple of 2^−1074, scaled
            return np.ldexp(np.where(small, on_grid, high + r), scale)
    else:

        def rounded(r: Array) -> Array:
            return nearest(fmt, np.ldexp(to_odd(high, r), np.maximum(scale, -1000)))

    below, above = rounded(low - e), rounded(low + e)
    zero = np.copysign(0.0, high)
    below, above = (np.where(end == 0, zero, end) for end in (below, above))
    anchor = np.ldexp(high, scale)
    return _decision(below, above, anchor, 0.0, np.ldexp(low - e, scale), np.ldexp(low + e, scale))


def _decision(
    below: Array, above: Array, anchor: Array, shift: Array | float, low: Array, high: Array
) -> Decision:
    """Enclosures are widened by what adding `shift`, or scaling, may have rounded."""
    same = (below == above) & (np.signbit(below) == np.signbit(above))
    decided = same | (np.isnan(below) & np.isnan(above) & ~np.isnan(anchor + low))
    low, high = shift + low, shift + high
    return Decision(
        below,
        decided,
        anchor,
        low - (np.abs(low) * 2.0**-52 + 2 * _TINY),
        high + (np.abs(high) * 2.0**-52 + 2 * _TINY),
    )
