"""How rows are cut so that intermediates stay in cache, and sums have a known depth.

A *group* is a run of whole rows with at most :data:`BLOCK` entries, or one longer row.
A group is worked on in *pieces*, two-dimensional views with at most :data:`WIDTH` columns: short
rows stay whole, a long row becomes several piece rows, whose sums are added in the end.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from .errorfree import Array, Pair

#: Entries of a piece.
BLOCK = 16_384
#: Most columns of a piece: the error of a sum is proved for as many.
WIDTH = 4096


def groups(rows: int, n: int) -> Iterator[slice]:
    """Runs of rows that make a group."""
    step = max(1, BLOCK // n)
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def pieces(flat: Array, n: int) -> list[Array]:
    """Views of a group, given as one contiguous run of rows of length `n`."""
    if n <= WIDTH:
        return [flat.reshape(-1, n)]
    whole = flat.size - flat.size % WIDTH
    cuts = list(range(0, whole, BLOCK)) + [whole]
    views = [flat[a:b].reshape(-1, WIDTH) for a, b in zip(cuts, cuts[1:], strict=False)]
    return views + ([flat[whole:].reshape(1, -1)] if whole < flat.size else [])


class Buffers:
    """Arrays that are used again for each piece: allocation costs more than the arithmetic."""

    def __init__(self, *names: str) -> None:
        self._flat = {name: np.empty(BLOCK) for name in names}

    def like(self, piece: Array) -> list[Array]:
        """One array for each name, in the shape of the piece."""
        return [flat[: piece.size].reshape(piece.shape) for flat in self._flat.values()]


def fold_sum(a: Array) -> Array:
    """Sums of the rows of `a`, which is overwritten; ⌈log₂ n⌉ + 11 additions deep.

    Halves are added to each other until 16 columns are left (claim: lem-rounding-sum).
    """
    n = a.shape[1]
    while n > 16:
        half = n // 2
        a[:, :half] += a[:, n - half : n]
        n -= half
    return np.add.reduce(a[:, :n], axis=1)


def sum_of_pieces(parts: list[Array]) -> Pair:
    """Sum of a few numbers as a double-double: each part of it is rounded once."""
    values = np.concatenate(parts).tolist()
    high = math.fsum(values)
    return np.array([high]), np.array([math.fsum([*values, -high])])
