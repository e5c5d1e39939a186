"""First stage for float32 and narrower: plain float64 with a table for exp.

No more than products and sums of float64 is assumed: NumPy's exp is not used.
"""

from __future__ import annotations

import math

import numpy as np

from .blocks import Buffers, fold_sum, pieces
from .errorfree import Array
from .tables import SIZE, tables

#: Exponents below are raised to it: e^−690 is still a normal number, and no format sees it.
FLOOR = -690.0
_MAGIC = 1.5 * 2.0**52
_U = 2.0**-53


def relative_error(depth: float) -> float:
    """Bound of the error of an entry where x_max − x_i ≤ `depth` (claim: prop-rounding-working)."""
    return (2 * (3.2 * depth + 2.1) + 30) * _U


class Working:
    """Softmax of a group of rows in float64, with a proved relative error."""

    def __init__(self, longest: int) -> None:
        self._buffers = Buffers("t", "index", "high")
        self._e = np.empty(longest)

    def __call__(self, x: Array, n: int, maximum: Array) -> tuple[Array, Array, float]:
        """e^(x − max), 1/Σ by rows, and the bound ε: entry = e/Σ·(1 + δ), |δ| ≤ ε.

        `x` is a flat run of rows, `maximum` a column. Where x − max < −690 the entry is between 0
        and (1 + ε) times what is returned.
        """
        e = self._e[: x.size]
        sums, depth = [], 0.0
        for piece, out in zip(pieces(x, n), pieces(e, n), strict=True):
            depth = max(depth, self._exponentials(piece, maximum, out))
            t = self._buffers.like(piece)[0]
            np.copyto(t, out)
            sums.append(fold_sum(t))
        total = sums[0] if maximum.size > 1 else np.array([math.fsum(np.concatenate(sums))])
        return e, 1 / total[:, None], relative_error(depth)

    def _exponentials(self, x: Array, maximum: Array, e: Array) -> float:
        """Fill `e` with e^(x − max); return the largest max − x that was not cut off."""
        table = tables()
        z, index, poly = self._buffers.like(x)
        index = index.view(np.int64)
        np.subtract(x, maximum, out=z)
        lowest = float(np.minimum.reduce(z, axis=None))
        if lowest < FLOOR:
            np.maximum(z, FLOOR, out=z)
            lowest = FLOOR
        z *= table.inverse  # in units of the table's step
        np.add(z, _MAGIC, out=e)  # its last bits hold k, the nearest integer
        bits = e.view(np.int64)
        np.subtract(e, _MAGIC, out=poly)
        z -= poly  # f = z − k, exact
        np.bitwise_and(bits, SIZE - 1, out=index)
        c = math.log(2) / SIZE
        np.multiply(z, c * c * c / 6, out=poly)
        poly += c * c / 2
        poly *= z
        poly += c
        poly *= z  # e^(cf) − 1
        np.left_shift(bits, 40, out=bits)
        power = np.take(table.power_bits, index, out=z.view(np.int64), mode="clip")
        bits += power  # 2^(k/4096)
        poly *= e
        e += poly
        return -lowest
