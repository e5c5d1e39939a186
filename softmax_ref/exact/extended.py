"""First stage for float64, and for every logarithm: sums good to 2^−73, entries to 2^−64.

Each exponential is kept in three parts, F + U + V with F of 26 bits, so that products with F are
exact and the parts of one size add without error.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .blocks import WIDTH, Buffers, pieces, short_sum, sum_of_pieces
from .errorfree import Array, Pair, fast_two_sum
from .tables import SIZE, tables
from .working import FLOOR

#: Error of adding up a piece, relative to its largest term (claim: lem-rounding-exact-sum).
SUM_ERROR = 2.0**-74
#: Relative error of a softmax entry (claim: thm-rounding-extended-entry).
ENTRY_ERROR = 2.0**-64
_MAGIC = 1.5 * 2.0**52
_MAGIC_39 = 1.5 * 2.0 ** (52 - 39)
_U = 2.0**-53


def exponential_error(depth: float) -> float:
    """Relative error of e^(x − max) where x_max − x ≤ `depth`.

    Claim: prop-rounding-extended-exp.
    """
    return (3.2e-10 * min(depth, -FLOOR) + 7.7e-8) * _U


class Extended:
    """e^(x − max) of a group of rows, and their sums without the maximum."""

    def __init__(self, longest: int) -> None:
        self._buffers = Buffers(6)
        self.short, self.low = np.empty((2, longest))

    def sums(
        self, x: Array, n: int, maximum: Array, where: NDArray[np.int64], depth: float
    ) -> Pair:
        """τ = Σ e^(x − max) without one maximum, by rows.

        `x` is a flat run of rows, `maximum` a column, `where` has the flat index of one maximum of
        each row, and no entry is more than `depth` below it.
        The error is at most ``exponential_error(depth)`` relative to τ; and 2^−74 times the sum of
        the largest term of each piece; and n·2^−990, for terms below e^−690 are raised to it.
        Afterwards ``short`` and ``low`` hold F and U + V (rounded once) of each entry.
        """
        short, low = self.short[: x.size], self.low[: x.size]
        high_sums, rest_sums, start = [], [], 0
        for piece, f, w in zip(pieces(x, n), pieces(short, n), pieces(low, n), strict=True):
            high, tiny, free = self._exponentials(piece, maximum, depth, f)
            stop = start + piece.size
            f.ravel()[where[(where >= start) & (where < stop)] - start] = 0.0
            h, rest = _exact_sum(f, high, tiny, *free)
            np.add(high, tiny, out=w)
            high_sums.append(h)
            rest_sums.append(rest)
            start = stop
        short[where] = 1.0
        if n > WIDTH:
            return sum_of_pieces(high_sums + rest_sums)
        return fast_two_sum(high_sums[0], rest_sums[0])

    def _exponentials(
        self, x: Array, maximum: Array, depth: float, f: Array
    ) -> tuple[Array, Array, tuple[Array, Array]]:
        """Fill `f` with F, and return U, V and two free arrays: e^(x − max) ≈ F + U + V."""
        table = tables()
        zh, zl, s, t, v, free = self._buffers.like(x)
        index = free.view(np.int64)
        _difference(x, maximum, zh, zl, s, t)
        if depth > -FLOOR:
            cut = ~(zh >= FLOOR)
            zh[cut], zl[cut] = FLOOR, 0.0
        np.multiply(zh, table.inverse, out=s)
        s += _MAGIC
        bits = s.view(np.int64)
        np.subtract(s, _MAGIC, out=t)  # k
        np.multiply(t, table.step[0], out=v)
        zh -= v  # exact
        t *= table.step_two
        zl -= t
        np.bitwise_and(bits, SIZE - 1, out=index)
        np.take(table.shift, index, out=t, mode="clip")
        zl -= t
        np.add(zh, zl, out=v)  # r
        np.subtract(v, zh, out=t)
        zl -= t  # what r lost
        np.take(table.short_bits, index, out=f.view(np.int64), mode="clip")
        bits <<= 40
        f.view(np.int64)[...] += bits
        # g = r²(1/2 + r(1/6 + r(1/24 + r/120))), q = r + g
        np.multiply(v, 1 / 120, out=s)
        s += 1 / 24
        s *= v
        s += 1 / 6
        s *= v
        s += 1 / 2
        np.multiply(v, v, out=t)
        s *= t
        np.add(v, s, out=t)
        np.subtract(t, v, out=zh)
        s -= zh
        zl += s  # what r and q lost
        # q = its first 26 bits + the rest: the products with F are exact
        np.add(t, _MAGIC_39, out=s)
        s -= _MAGIC_39
        t -= s
        t += zl
        s *= f
        t *= f
        return s, t, (zh, v)

    def entries(self, size: int, n: int, total: Pair, out: Array) -> NDArray[np.int64]:
        """Write the lower ends of softmax's enclosures to `out`; return where the ends differ.

        The ends are the entry times 1 ∓ 2^−64, each rounded to float64 once: where they agree,
        they are the correctly rounded entry.
        """
        column = (total[0][:, None], total[1][:, None])
        reciprocal, first, below, above = _reciprocal(column)
        differ = []
        views = [pieces(a, n) for a in (self.short[:size], self.low[:size], out)]
        start = 0
        for f, w, lower in zip(*views, strict=True):
            _, _, high, low, upper, _ = self._buffers.like(f)
            np.multiply(f, first, out=high)  # exact
            np.multiply(w, reciprocal, out=low)
            np.multiply(f, below, out=lower)
            lower += low
            lower += high
            np.multiply(f, above, out=upper)
            upper += low
            upper += high
            differ.append(np.flatnonzero(lower != upper) + start)
            start += f.size
        return np.concatenate(differ)

    def enclosures(self, size: int, n: int, total: Pair, out: Array) -> Pair:
        """How far below and above `out` the true entries can lie."""
        reciprocal, first, below, above = _reciprocal((total[0][:, None], total[1][:, None]))
        ends = np.empty((2, size))
        views = [pieces(a, n) for a in (self.short[:size], self.low[:size], out, *ends)]
        for f, w, value, low, high in zip(*views, strict=True):
            off, rest = f * first - value, w * reciprocal
            np.add(off, f * below + rest, out=low)
            np.add(off, f * above + rest, out=high)
        return ends[0], ends[1]


def _difference(x: Array, maximum: Array, zh: Array, zl: Array, s: Array, t: Array) -> None:
    """two_sum(x, −maximum) into `zh`, `zl`, with `s` and `t` as scratch."""
    np.subtract(x, maximum, out=zh)
    np.subtract(zh, x, out=s)
    np.subtract(zh, s, out=t)
    np.subtract(x, t, out=t)
    s += maximum
    np.subtract(t, s, out=zl)


def _exact_sum(f: Array, high: Array, tiny: Array, h: Array, rest: Array) -> Pair:
    """Sums of the rows of F + U + V: high parts without error, and the rest."""
    largest = np.maximum.reduce(f, axis=1, keepdims=True)
    scale = (largest.view(np.int64) >> 52 << 52).view(np.float64)  # 2^⌊log₂ largest⌋
    unit = scale * 2.0 ** (2 + math.ceil(math.log2(f.shape[1])))
    np.add(f, high, out=h)
    h += unit
    h -= unit  # a multiple of 2^−52·unit: such numbers add without error
    np.subtract(f, h, out=rest)
    rest += high
    rest += tiny
    return np.add.reduce(h, axis=1), short_sum(rest)


def _reciprocal(total: Pair) -> tuple[Array, Array, Array, Array]:
    """1/S rounded; its first 26 bits; the rest less and plus 2^−64 of it."""
    high, low = total
    reciprocal = 1 / high
    first = (reciprocal.view(np.int64) >> 27 << 27).view(np.float64)
    upper = (high.view(np.int64) >> 27 << 27).view(np.float64)
    rest = (((1 - upper * first) - (high - upper) * first) - low * first) * reciprocal
    error = ENTRY_ERROR * reciprocal
    return reciprocal, first, rest - error, rest + error
