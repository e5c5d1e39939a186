"""What all three functions need to know of their rows before any exponential."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from . import doubledouble
from .blocks import BLOCK, groups
from .errorfree import Array, Pair, fast_two_sum, two_sum
from .extended import Extended, exponential_error

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

#: Stages of a certificate, by number.
STAGES = ("exact case", "working precision", "double-double", "multiprecision")
EXACT, WORKING, DOUBLE_DOUBLE, MULTIPRECISION = range(4)


@dataclass
class Group:
    """Some rows.

    Attributes
    ----------
    rows : slice
        Where they stand among all rows.
    given : array, shape (rows, n)
        In the format they came in. Rows without a finite maximum are replaced by zeros.
    maximum : array of float64, shape (rows,)
        0 in rows without a finite maximum.
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
    given: NDArray[np.generic]
    maximum: Array
    limit: Array
    equal: Bools
    count: Ints
    spread: float

    @cached_property
    def x(self) -> Array:
        """The rows in float64."""
        return self.given.astype(np.float64, copy=False)

    @cached_property
    def where(self) -> Ints:
        """Column of the (first) maximum of each row."""
        column: Ints = self.x.argmax(axis=1)
        return column

    @property
    def flat_where(self) -> Ints:
        """Index of the maxima in the flattened group."""
        index: Ints = np.arange(self.limit.size) * self.given.shape[1] + self.where
        return index

    @property
    def special(self) -> Bools:
        """Rows without a finite maximum."""
        special: Bools = ~np.isfinite(self.limit)
        return special


def prepare(x: NDArray[np.generic], rows: slice) -> Group:
    """The group of `rows` of the two-dimensional array `x`."""
    given = np.ascontiguousarray(x[rows])
    # NumPy finds extrema of its own formats fast, and of the others by way of Python
    fast = given if given.dtype.kind == "f" and given.itemsize > 2 else given.astype(np.float64)
    limit = fast.max(axis=1).astype(np.float64, copy=False)
    least = fast.min(axis=1).astype(np.float64, copy=False)
    count = np.full(limit.size, given.shape[1])
    equal = least == limit
    special = ~np.isfinite(limit)
    gaps = special | np.isneginf(least)
    maximum = limit
    if gaps.any():
        count[gaps] = np.isfinite(fast[gaps]).sum(axis=1)
        equal[gaps] = (fast[gaps] == limit[gaps, None]).sum(axis=1) == count[gaps]
        equal &= ~special
    if special.any():
        given = given.copy()
        given[special] = 0
        maximum, least = np.where(special, 0.0, limit), np.where(special, 0.0, least)
    return Group(rows, given, maximum, limit, equal, count, float((maximum - least).max()))


def prepared(x: NDArray[np.generic]) -> Iterator[Group]:
    """All groups of the rows of `x`."""
    for rows in groups(*x.shape):
        yield prepare(x, rows)


def extended_sums(x: NDArray[np.generic], rows: Ints) -> tuple[Pair, Array]:
    """τ of the chosen rows, and the relative error of its terms."""
    n = x.shape[1]
    t, error = np.empty((2, rows.size)), np.empty(rows.size)
    evaluate = Extended(max(BLOCK, n))
    for part in groups(rows.size, n):
        group = prepare(x[rows[part]], slice(None))
        t[:, part] = evaluate.sums(*extended_arguments(group))
        error[part] = exponential_error(group.spread)
    return (t[0], t[1]), error


def extended_arguments(group: Group) -> tuple[Array, int, Array, Ints, float]:
    """What :meth:`Extended.sums` takes."""
    n = group.given.shape[1]
    return group.x.reshape(-1), n, group.maximum[:, None], group.flat_where, group.spread


def double_double_sums(x: NDArray[np.generic], rows: Ints) -> tuple[Pair, Ints]:
    """τ of the chosen rows to 2^−98, with a power of two apart."""
    t, exponent = np.empty((2, rows.size)), np.empty(rows.size, np.int64)
    for part in groups(rows.size, x.shape[1]):
        group = prepare(x[rows[part]], slice(None))
        t[:, part], exponent[part] = doubledouble.sums(group.x, group.maximum, group.where)
    return (t[0], t[1]), exponent


def one_plus(t: Pair) -> Pair:
    """1 + τ with relative error 2u², for τ ≥ 0."""
    s, low = two_sum(np.ones_like(t[0]), t[0])
    return fast_two_sum(s, low + t[1])
