"""Last stage: mpmath, with twice the precision until the rounding is certain.

Assumed of mpmath: exp and log1p err by at most 2^(4 − precision), relatively (they are meant to be
correctly rounded or nearly so; the tests hold them against MPFR).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass

import mpmath
import numpy as np

from ..formats import Format
from .errorfree import Array

#: Bits of the first attempt.
FIRST = 200
#: Below, log(1 + τ) cannot move a sum with a float64 number across a rounding boundary.
_NEGLIGIBLE = mpmath.ldexp(1, -1200)


@dataclass(frozen=True)
class Enclosed:
    """A correctly rounded number with the enclosure that decided it (the ends are mpmath's)."""

    value: float
    lower: mpmath.mpf
    upper: mpmath.mpf

    def offsets(self) -> tuple[float, float, float]:
        """An anchor in float64, and how far below and above it the true value can lie."""
        anchor = float(self.lower)
        if math.isinf(anchor):
            anchor = math.copysign(sys.float_info.max, anchor)
        low, high = (
            float(mpmath.fsub(end, anchor, exact=True)) for end in (self.lower, self.upper)
        )
        return anchor, low, high


def nearest_exact(x: mpmath.mpf, fmt: Format) -> float:
    """The number of the format nearest to `x`, ties to even, by integers."""
    sign, mantissa, exponent, bits = x._mpf_
    sign = -1.0 if sign else 1.0
    if not mantissa:
        return 0.0
    unit = max(exponent + bits - 1, fmt.min_exponent) - fmt.precision + 1
    if exponent >= unit:
        whole = int(mantissa) << (exponent - unit)
    elif unit - exponent > bits + 1:
        whole = 0
    else:
        whole, rest = divmod(int(mantissa), 1 << (unit - exponent))
        half = 1 << (unit - exponent - 1)
        whole += rest > half or (rest == half and whole & 1)
    too_large = unit > fmt.max_exponent or mpmath.ldexp(whole, unit) > fmt.max
    if too_large:
        return sign * (math.inf if fmt.has_infinity else math.nan)
    return sign * float(mpmath.ldexp(whole, unit))


class Row:
    """A row without its −inf entries, whose sum is computed once for each precision."""

    def __init__(self, x: Array) -> None:
        values, counts = np.unique(x[np.isfinite(x)], return_counts=True)
        self.maximum = mpmath.mpf(float(values[-1]))
        others: list[tuple[float, int]] = list(zip(values.tolist(), counts.tolist(), strict=True))
        top, times = others.pop()
        if times > 1:
            others.append((top, times - 1))
        self._others = others
        self._sums: dict[int, mpmath.mpf] = {}

    def rest(self) -> mpmath.mpf:
        """τ = Σ e^(x − max) without one maximum; relative error at most 2^(8 − precision)·n."""
        precision = mpmath.mp.prec
        if precision not in self._sums:
            total = mpmath.mpf(0)
            for value, times in reversed(self._others):
                term = times * mpmath.exp(self.difference(value))
                total += term
                if term < mpmath.ldexp(total, -2 * precision):
                    break  # all that follow are smaller still
            self._sums[precision] = total
        return self._sums[precision]

    def difference(self, value: float) -> mpmath.mpf:
        """Value − maximum, exactly."""
        return mpmath.fsub(value, self.maximum, exact=True)

    def size(self) -> int:
        """How many entries, counted with repetition."""
        return 1 + sum(times for _, times in self._others)


def softmax_entry(row: Row, value: float, fmt: Format) -> Enclosed:
    """Softmax of the entry `value` of the row."""
    return _until_certain(
        row, fmt, lambda: _product_ends(row, mpmath.exp(row.difference(value)) / (1 + row.rest()))
    )


def log_softmax_entry(row: Row, value: float, fmt: Format) -> Enclosed:
    """log_softmax of the entry `value` of the row."""
    d = row.difference(value)
    return _until_certain(row, fmt, lambda: _sum_ends(row, d, -1))


def logsumexp(row: Row, fmt: Format) -> Enclosed:
    """Log-sum-exp of the row."""
    return _until_certain(row, fmt, lambda: _sum_ends(row, row.maximum, 1))


def _until_certain(
    row: Row, fmt: Format, ends: Callable[[], tuple[mpmath.mpf, mpmath.mpf]]
) -> Enclosed:
    precision = FIRST
    while True:
        with mpmath.workprec(precision):
            lower, upper = ends()
            below, above = nearest_exact(lower, fmt), nearest_exact(upper, fmt)
        same = below == above and math.copysign(1, below) == math.copysign(1, above)
        if same or (math.isnan(below) and math.isnan(above)):
            return Enclosed(below, lower, upper)
        precision *= 2


def _relative_error(row: Row) -> mpmath.mpf:
    return mpmath.ldexp(row.size(), 10 - mpmath.mp.prec)


def _product_ends(row: Row, p: mpmath.mpf) -> tuple[mpmath.mpf, mpmath.mpf]:
    e = _relative_error(row)
    return p * (1 - e), p * (1 + e)


def _sum_ends(row: Row, d: mpmath.mpf, sign: int) -> tuple[mpmath.mpf, mpmath.mpf]:
    """Ends of d ± log(1 + τ)."""
    t = row.rest()
    if d and t < _NEGLIGIBLE:
        # any number between 0 and this one gives the same rounding
        ends = (mpmath.ldexp(_NEGLIGIBLE, -200), _NEGLIGIBLE)
    else:
        log = mpmath.log1p(t) if t > mpmath.ldexp(1, -2 * mpmath.mp.prec) else t
        ends = _product_ends(row, log)
    lower, upper = sorted(mpmath.fadd(d, sign * end, exact=True) for end in ends)
    return lower, upper
