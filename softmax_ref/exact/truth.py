"""The three functions by MPFR, independent of everything else here (needs gmpy2).

One row at a time, from the definition: d_i = x_i − max exactly, τ = Σ e^(d_i) without one maximum,
and then e^(d_i)/(1 + τ), d_i − log1p(τ), max + log1p(τ), rounded once by MPFR itself to the
precision and exponent range of the format. The working precision grows until an error of 2^−20
relative to it, times n, cannot change the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import gmpy2
import numpy as np
from numpy.typing import NDArray

from ..formats import Format

_WIDE = gmpy2.context(
    precision=2300, emin=gmpy2.get_emin_min(), emax=gmpy2.get_emax_max()
)  # exact differences of float64
_FIRST = 128
_LAST = 1 << 16

Ends = Callable[[gmpy2.mpfr], tuple[gmpy2.mpfr, gmpy2.mpfr]]


class Truth:
    """Correctly rounded results for one row.

    Parameters
    ----------
    x : array of float64, one-dimensional
        With a finite maximum.
    fmt : Format
        To which results are rounded.
    """

    def __init__(self, x: NDArray[np.float64], fmt: Format) -> None:
        self._fmt = fmt
        self._finite = np.isfinite(x)
        values = x[self._finite]
        self._maximum = float(values.max())
        self._where = int(values.argmax())
        self._differences = [_WIDE.sub(gmpy2.mpfr(v), self._maximum) for v in values.tolist()]
        self._n = values.size
        self._equal = bool((values == self._maximum).all())
        self._sums: dict[int, gmpy2.mpfr] = {}
        self._round = gmpy2.context(
            precision=fmt.precision,
            emin=fmt.min_exponent - fmt.precision + 2,
            emax=fmt.max_exponent + 1,
            subnormalize=True,
        )

    def softmax(self, index: Sequence[int] | None = None) -> NDArray[np.float64]:
        """Softmax of the finite entries (of those in `index`); 1/m where all m are equal."""
        if self._equal:
            count = self._n if index is None else len(index)
            return np.full(count, float(self._round.div(1, self._n)))

        def ends(precision: int) -> Ends:
            low, high = ((1 + e) / (1 + self._rest(precision)) for e in self._errors(precision))
            return lambda d: (
                self._round.mul(power := gmpy2.exp(d), low),
                self._round.mul(power, high),
            )

        return self._certain(self._chosen(index), ends)

    def log_softmax(self, index: Sequence[int] | None = None) -> NDArray[np.float64]:
        """log_softmax of the finite entries (of those in `index`); 0 where there is one."""
        if self._n == 1:
            return np.zeros(1)

        def ends(precision: int) -> Ends:
            low, high = self._logs(precision)
            return lambda d: (self._round.sub(d, low), self._round.sub(d, high))

        return self._certain(self._chosen(index), ends)

    def logsumexp(self) -> float:
        """Log-sum-exp of the row."""
        if self._n == 1:
            return self._maximum

        def ends(precision: int) -> Ends:
            low, high = self._logs(precision)
            return lambda x: (self._round.add(x, low), self._round.add(x, high))

        return float(self._certain([gmpy2.mpfr(self._maximum)], ends)[0])

    def _chosen(self, index: Sequence[int] | None) -> list[gmpy2.mpfr]:
        return self._differences if index is None else [self._differences[i] for i in index]

    def _errors(self, precision: int) -> tuple[gmpy2.mpfr, gmpy2.mpfr]:
        e = gmpy2.mpfr(self._n) * gmpy2.exp2(20 - precision)
        return -e, e

    def _rest(self, precision: int) -> gmpy2.mpfr:
        """τ, computed once for each precision."""
        if precision not in self._sums:
            total = gmpy2.mpfr(0)
            for i, d in enumerate(self._differences):
                if i != self._where:
                    total += gmpy2.exp(d)
            # it may be below MPFR's range, but it is not 0
            self._sums[precision] = total or gmpy2.next_above(total)
        return self._sums[precision]

    def _logs(self, precision: int) -> tuple[gmpy2.mpfr, gmpy2.mpfr]:
        log = gmpy2.log1p(self._rest(precision))
        low, high = (log * (1 + e) for e in self._errors(precision))
        return low, high

    def _certain(
        self, operands: list[gmpy2.mpfr], ends: Callable[[int], Ends]
    ) -> NDArray[np.float64]:
        """Each operand's two ends, at as many bits as make them equal."""
        out = np.full(len(operands), np.nan)
        open_ = list(range(len(operands)))
        precision = _FIRST
        while open_:
            if precision > _LAST:
                raise ArithmeticError(f"no decision at {_LAST} bits")
            left = []
            with _context(precision):
                both = ends(precision)
                for i in open_:
                    low, high = both(operands[i])
                    if low == high:
                        out[i] = self._in_format(float(low))
                    else:
                        left.append(i)
            open_, precision = left, 2 * precision
        return out

    def _in_format(self, value: float) -> float:
        if abs(value) > self._fmt.max:
            return float(np.copysign(np.inf, value)) if self._fmt.has_infinity else np.nan
        return value


def _context(precision: int) -> gmpy2.context:
    return gmpy2.context(precision=precision, emin=gmpy2.get_emin_min(), emax=gmpy2.get_emax_max())
