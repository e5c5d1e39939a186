"""First stage for float32 and narrower: plain float64 with a table for exp.

No more than products and sums of float64 is assumed: NumPy's exp is not used.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .blocks import WIDTH, Buffers, pieces, short_sum
from .errorfree import Array
from .tables import SIZE, tables

Values = NDArray[np.generic]

#: Exponents below are raised to it: e^−690 is still a normal number, and no format sees it.
FLOOR = -690.0
_MAGIC = 1.5 * 2.0**52
_U = 2.0**-53
_STEP = math.log(2) / SIZE


def relative_error(depth: float) -> float:
    """Bound of the error of an entry where x_max − x_i ≤ `depth` (claim: prop-rounding-working)."""
    return (2 * (3.2 * min(depth, -FLOOR) + 2.1) + 84) * _U


class Working:
    """Softmax of a group of rows in float64, with a proved relative error."""

    def __init__(self, longest: int) -> None:
        self._buffers = Buffers(3)
        self._e = np.empty(longest)

    def __call__(self, x: Values, n: int, maximum: Array, depth: float) -> tuple[Array, Array]:
        """e^(x − max), and 1/Σ by rows as a column.

        `x` is a flat run of rows, `maximum` a column, and no entry is more than `depth` below it.
        An entry of softmax is e/Σ·(1 + δ) with |δ| ≤ ``relative_error(depth)``; where
        x − max < −690 it lies between 0 and that.
        """
        e = self._e[: x.size]
        sums = []
        for piece, out in zip(pieces(x, n), pieces(e, n), strict=True):
            self._exponentials(piece, maximum, depth, out)
            sums.append(short_sum(out))
        total = sums[0] if n <= WIDTH else np.array([math.fsum(np.concatenate(sums))])
        return e, 1 / total[:, None]

    def ends(
        self, e: Array, n: int, reciprocal: Array, error: float
    ) -> Iterator[tuple[slice, Array, Array]]:
        """Lower and upper ends of the entries, piece by piece, with where they stand."""
        start = 0
        for piece in pieces(e, n):
            low, high, _ = self._buffers.like(piece)
            np.multiply(piece, reciprocal * (1 - error), out=low)
            np.multiply(piece, reciprocal * (1 + error), out=high)
            yield slice(start, start + piece.size), low.reshape(-1), high.reshape(-1)
            start += piece.size

    def _exponentials(self, x: Values, maximum: Array, depth: float, e: Array) -> None:
        """Fill `e` with e^(x − max)."""
        table = tables()
        z, free, poly = self._buffers.like(x)
        index = free.view(np.int64)
        np.copyto(z, x)
        z -= maximum
        if depth > -FLOOR:
            np.maximum(z, FLOOR, out=z)
        z *= table.inverse  # in units of the table's step
        np.add(z, _MAGIC, out=e)  # its last bits hold k, the nearest integer
        bits = e.view(np.int64)
        np.subtract(e, _MAGIC, out=poly)
        z -= poly  # f = z − k, exact
        np.bitwise_and(bits, SIZE - 1, out=index)
        np.multiply(z, _STEP * _STEP * _STEP / 6, out=poly)
        poly += _STEP * _STEP / 2
        poly *= z
        poly += _STEP
        poly *= z  # e^(f·step) − 1
        bits <<= 40
        bits += np.take(table.power_bits, index, out=z.view(np.int64), mode="clip")  # 2^(k/4096)
        poly *= e
        e += poly
