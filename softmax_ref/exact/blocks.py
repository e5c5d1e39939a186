"""How rows are cut so that intermediates stay in cache, and sums have a known depth.

A *group* is a run of whole rows with at most :data:`BLOCK` entries, or one longer row.
A group is worked on in *pieces*, two-dimensional views with at most :data:`WIDTH` columns: short
rows stay whole, a long row becomes several piece rows, whose sums are added in the end.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .errorfree import Array, Pair

Scalar = TypeVar("Scalar", bound=np.generic)

#: Entries of a piece.
BLOCK = 32_768
#: Most columns of a piece: the error of a sum is proved for as many.
WIDTH = 1024


def groups(rows: int, n: int) -> Iterator[slice]:
    """Runs of rows that make a group; a row of several pieces is a group of its own."""
    step = max(1, BLOCK // n) if n <= WIDTH else 1
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def pieces(flat: NDArray[Scalar], n: int) -> list[NDArray[Scalar]]:
    """Views of a group, given as one contiguous run of rows of length `n`."""
    if n <= WIDTH:
        return [flat.reshape(-1, n)]
    whole = flat.size - flat.size % WIDTH
    cuts = itertools.pairwise([*range(0, whole, BLOCK), whole])
    views = [flat[a:b].reshape(-1, WIDTH) for a, b in cuts]
    return views + ([flat[whole:].reshape(1, -1)] if whole < flat.size else [])


class Buffers:
    """Arrays that are used again for each piece: allocation costs more than the arithmetic."""

    def __init__(self, count: int) -> None:
        self._flat = np.empty((count, BLOCK))

    def like(self, piece: NDArray[Any]) -> list[Array]:
        """Arrays in the shape of the piece."""
        return [flat[: piece.size].reshape(piece.shape) for flat in self._flat]


def short_sum(a: Array) -> Array:
    """Sums of the rows of `a`; with at most 1024 columns, relative error at most 78u.

    Parts of 64 columns first, so that no term goes through more than 63 + 15 additions, in
    whatever order NumPy adds (claim: lem-rounding-sum).
    """
    parts = np.add.reduceat(a, np.arange(0, a.shape[1], 64), axis=1)
    total: Array = np.add.reduce(parts, axis=1)
    return total


def sum_of_pieces(parts: list[Array]) -> Pair:
    """Sum of a few numbers as a double-double: each part of it is rounded once."""
    values = np.concatenate(parts).tolist()
    high = math.fsum(values)
    return np.array([high]), np.array([math.fsum([*values, -high])])
