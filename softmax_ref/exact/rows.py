"""What all three functions need to know of their rows before any exponential."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import doubledouble
from .blocks import BLOCK, groups
from .errorfree import Array, Pair, add
from .extended import Extended

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

#: Stages of a certificate, by number.
STAGES = ("exact case", "working precision", "double-double", "multiprecision")
EXACT, WORKING, DOUBLE_DOUBLE, MULTIPRECISION = range(4)


@dataclass
class Group:
    """Some rows in float64.

    Attributes
    ----------
    rows : slice
        Where they stand among all rows.
    x : array of float64, shape (rows, n)
        Rows without a finite maximum are replaced by zeros.
    maximum : array of float64, shape (rows,)
        0 in rows without a finite maximum.
    where : array of int, shape (rows,)
        Column of the (first) maximum.
    limit : array of float64, shape (rows,)
        The maximum as it was: nan, inf or −inf mark the special rows.
    equal : array of bool, shape (rows,)
        All finite entries are equal.
    count : array of int, shape (rows,)
        Number of finite entries; only right where a row has −inf or is special.
    spread : float
        Largest x_max − x_i of the group; inf where it overflows.
    """

    rows: slice
    x: Array
    maximum: Array
    where: Ints
    limit: Array
    equal: Bools
    count: Ints
    spread: float

    @property
    def flat_where(self) -> Ints:
        """Index of the maxima in the flattened group."""
        return np.arange(self.where.size) * self.x.shape[1] + self.where

    @property
    def special(self) -> Bools:
        """Rows without a finite maximum."""
        return ~np.isfinite(self.limit)


def prepare(x: NDArray[np.generic], rows: slice) -> Group:
    """The group of `rows` of the two-dimensional array `x`."""
    values = np.ascontiguousarray(x[rows]).astype(np.float64, copy=False)
    where = values.argmax(axis=1)
    limit = values[np.arange(where.size), where]
    least = values.min(axis=1)
    count = np.full(where.size, values.shape[1])
    equal = least == limit
    gaps = np.isneginf(least) | ~np.isfinite(limit)
    if gaps.any():
        finite = np.isfinite(values[gaps])
        count[gaps] = finite.sum(axis=1)
        equal[gaps] = (values[gaps] == limit[gaps, None]).sum(axis=1) == count[gaps]
    special = ~np.isfinite(limit)
    if special.any():
        values = values.copy()
        values[special] = 0.0
        equal = equal & ~special
    maximum = np.where(special, 0.0, limit)
    spread = float((maximum - values.min(axis=1)).max())
    return Group(rows, values, maximum, where, limit, equal, count, spread)


def prepared(x: NDArray[np.generic]) -> Iterator[Group]:
    """All groups of the rows of `x`."""
    for rows in groups(*x.shape):
        yield prepare(x, rows)


def extended_sums(x: NDArray[np.generic], rows: Ints) -> Pair:
    """T of the chosen rows to 2^−73."""
    n = x.shape[1]
    t = np.empty((2, rows.size))
    evaluate = Extended(max(BLOCK, n))
    for part in groups(rows.size, n):
        group = prepare(x[rows[part]], slice(None))
        t[:, part] = evaluate.sums(
            group.x.reshape(-1), n, group.maximum[:, None], group.flat_where
        )
    return t[0], t[1]


def double_double_sums(x: NDArray[np.generic], rows: Ints) -> tuple[Pair, Ints]:
    """T of the chosen rows to 2^−98, with a power of two apart."""
    t, exponent = np.empty((2, rows.size)), np.empty(rows.size, np.int64)
    for part in groups(rows.size, x.shape[1]):
        group = prepare(x[rows[part]], slice(None))
        t[:, part], exponent[part] = doubledouble.sums(group.x, group.maximum, group.where)
    return (t[0], t[1]), exponent


def one_plus(t: Pair) -> Pair:
    """1 + T."""
    return add((np.ones_like(t[0]), np.zeros_like(t[0])), t)
