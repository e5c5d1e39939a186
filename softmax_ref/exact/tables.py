"""The table of 2^(j/4096) and the constants of the range reduction, computed in multiprecision.

An entry is a number F_j of 26 bits near 2^(j/4096), and d_j = log F_j − j·(log 2)/4096, so that
F_j = 2^(j/4096)·e^(d_j) without error (accurate tables; claim: prop-rounding-table).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import mpmath
import numpy as np
from numpy.typing import NDArray

from .errorfree import Array

#: Entries of the table: exponents are reduced to |r| ≤ (log 2)/8192.
SIZE = 4096
#: Bits at which the table is computed, far more than the 160 that are kept.
_BITS = 240


@dataclass(frozen=True)
class Tables:
    """What the evaluations of exp share.

    Attributes
    ----------
    step : tuple of float
        (log 2)/4096 = c₁ + c₂ + c₃ with c₁, c₂ of 31 bits, up to 2^−129.
    step_two : float
        The float64 nearest to (log 2)/4096 − c₁.
    inverse : float
        The float64 nearest to 4096/log 2.
    power_bits : array of int64
        Bits of the float64 P_j nearest to 2^(j/4096), less j·2⁴⁰: adding k·2⁴⁰ with k ≡ j modulo
        4096 gives the bits of 2^((k−j)/4096)·P_j.
    short : array of float64
        F_j: 26 bits.
    short_bits : array of int64
        The same for F_j.
    shift, shift_low : arrays of float64
        d_j as the sum of two float64.
    """

    step: tuple[float, float, float]
    step_two: float
    inverse: float
    power_bits: NDArray[np.int64]
    short: Array
    short_bits: NDArray[np.int64]
    shift: Array
    shift_low: Array


def _nearest(value: mpmath.mpf, unit: int) -> float:
    """The multiple of 2^unit nearest to `value`."""
    return float(mpmath.ldexp(mpmath.nint(mpmath.ldexp(value, -unit)), unit))


@cache
def tables() -> Tables:
    """Compute the tables (once: a fifth of a second)."""
    with mpmath.workprec(_BITS):
        step = mpmath.ln2 / SIZE
        c1 = _nearest(step, -43)
        c2 = _nearest(step - c1, -75)
        power, short, shift, shift_low = np.empty((4, SIZE))
        for j in range(SIZE):
            exact = mpmath.exp(j * step)
            power[j] = float(exact)
            short[j] = _nearest(exact, -25)
            d = mpmath.log(mpmath.mpf(short[j])) - j * step
            shift[j] = float(d)
            shift_low[j] = float(d - float(d))
        return Tables(
            step=(c1, c2, float(step - c1 - c2)),
            step_two=float(step - c1),
            inverse=float(1 / step),
            power_bits=_scalable(power),
            short=short,
            short_bits=_scalable(short),
            shift=shift,
            shift_low=shift_low,
        )


def _scalable(powers: Array) -> NDArray[np.int64]:
    return powers.view(np.int64) - (np.arange(SIZE) << 40)
