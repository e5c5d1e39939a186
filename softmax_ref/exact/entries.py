"""Softmax by rows: a first stage over everything, then the later ones over what it leaves open."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..formats import Format
from . import doubledouble, extended, multiprecision
from .blocks import BLOCK, WIDTH, groups
from .certificates import Recorder
from .errorfree import Array, Pair, divide, two_prod, two_sum
from .extended import Extended, exponential_error
from .rounding import Decision, decide_scaled
from .rows import (
    DOUBLE_DOUBLE,
    EXACT,
    MULTIPRECISION,
    WORKING,
    Group,
    Ints,
    double_double_sums,
    extended_arguments,
    extended_sums,
    one_plus,
    prepared,
)
from .working import Working, relative_error

#: Below, products of the extended stage could underflow.
_SMALL = -600.0
#: e^−746 is less than half the least positive float64.
_ZERO = -746.0

Values = NDArray[np.generic]


def softmax_rows(x: Values, fmt: Format, record: Recorder) -> Values:
    """Correctly rounded softmax of the rows of a two-dimensional array, n ≥ 1."""
    out = np.empty_like(x, order="C")
    maxima = np.empty(x.shape[0])
    first: _Extended | _Working
    if fmt.precision == 53:
        first = _Extended(x.shape, out.view(np.float64), record)
    else:
        first = _Working(x.shape, out, record, fmt)
    left = [np.zeros(0, np.int64)]
    for group in prepared(x):
        maxima[group.rows] = group.maximum
        found = first(group)
        settled = group.special | group.equal
        left.append(found[~settled[found // x.shape[1]]] + group.rows.start * x.shape[1])
        if settled.any():
            _settle(group, fmt, out, record)
    index = np.concatenate(left)
    if index.size:
        _later(x, fmt, out, record, index, maxima, first.known)
    return out


class _Working:
    """First stage of the narrower formats."""

    def __init__(self, shape: tuple[int, int], out: Values, record: Recorder, fmt: Format) -> None:
        self._evaluate = Working(max(BLOCK, shape[1]))
        self._above = np.empty(BLOCK, out.dtype)
        self._out, self._record, self._fmt = out.reshape(-1), record, fmt

    def __call__(self, group: Group) -> Ints:
        """Write results; return the indices, within the group, of what is open."""
        n, start = group.given.shape[1], _flat(group).start
        e, reciprocal = self._evaluate(
            group.given.reshape(-1), n, group.maximum[:, None], group.spread
        )
        left = []
        for at, low, high in self._evaluate.ends(e, n, reciprocal, relative_error(group.spread)):
            where = slice(start + at.start, start + at.stop)
            if self._record.wanted:
                low *= e[at] > 1e-290  # what was raised from below has 0 as its lower end
                self._record.write(where, WORKING, low, 0.0, high - low)
            below, above = self._out[where], self._above[: low.size]
            self._round(low, below)
            self._round(high, above)
            bits = f"u{below.dtype.itemsize}"
            left.append(np.flatnonzero(below.view(bits) != above.view(bits)) + at.start)
        return np.concatenate(left)

    def known(self, x: Values, rows: Ints) -> tuple[Pair, Array]:
        """τ of some rows and the relative error of its terms."""
        return extended_sums(x, rows)

    def _round(self, x: Array, out: Values) -> None:
        np.copyto(
            out, x if self._fmt.name == "float32" else self._fmt.round(x), casting="same_kind"
        )


def _flat(group: Group) -> slice:
    """Where the group stands among all entries."""
    n = group.given.shape[1]
    return slice(group.rows.start * n, group.rows.stop * n)


class _Extended:
    """First stage of float64."""

    def __init__(self, shape: tuple[int, int], out: Array, record: Recorder) -> None:
        self._evaluate = Extended(max(BLOCK, shape[1]))
        self._out, self._record = out.reshape(-1), record
        self._sums, self._errors = np.empty((2, shape[0])), np.empty(shape[0])

    def __call__(self, group: Group) -> Ints:
        """Write results; return the indices, within the group, of what is open."""
        x, n, where = group.x.reshape(-1), group.x.shape[1], _flat(group)
        t = self._evaluate.sums(*extended_arguments(group))
        self._sums[:, group.rows] = t
        self._errors[group.rows] = exponential_error(group.spread)
        total = one_plus(t)
        left = self._evaluate.entries(x.size, n, total, self._out[where])
        if self._record.wanted:
            ends = self._evaluate.enclosures(x.size, n, total, self._out[where])
            self._record.write(where, WORKING, self._out[where], *ends)
        if group.spread > -_SMALL:
            left = self._small(group, left)
        return left

    def known(self, x: Values, rows: Ints) -> tuple[Pair, Array]:
        """τ of some rows and the relative error of its terms."""
        return (self._sums[0][rows], self._sums[1][rows]), self._errors[rows]

    def _small(self, group: Group, left: Ints) -> Ints:
        """Entries whose products may have underflowed are zero, or open."""
        z = (group.x - group.maximum[:, None]).reshape(-1)
        zero = np.flatnonzero(z < _ZERO)
        start = _flat(group).start
        self._out[start + zero] = 0.0
        self._record.write(start + zero, WORKING, 0.0, 0.0, 0.0)
        return np.union1d(left[z[left] >= _SMALL], np.flatnonzero((z >= _ZERO) & (z < _SMALL)))


def _settle(group: Group, fmt: Format, out: Values, record: Recorder) -> None:
    """Rows without a finite maximum are nan; m equal finite entries give 1/m, and 0 at −inf."""
    rows = np.flatnonzero(group.special)
    out[group.rows.start + rows] = np.nan
    record.write(_entries(group, rows), EXACT, np.nan, np.nan, np.nan)
    rows = np.flatnonzero(group.equal)
    m = group.count[rows].astype(np.float64)
    quotient = 1 / m
    product, error = two_prod(quotient, m)
    rest = ((1 - product) - error) / m
    decision = decide_scaled(fmt, quotient, rest, 0.0, np.zeros(rows.size, np.int64))
    finite = np.isfinite(group.x[rows])
    values = np.where(finite, decision.value[:, None], 0.0)
    out[group.rows.start + rows] = values.astype(out.dtype)
    repeated = (np.where(finite, part[:, None], 0.0).ravel() for part in _parts(decision))
    record.write(_entries(group, rows), EXACT, *repeated)


def _parts(decision: Decision) -> tuple[Array, Array, Array]:
    return decision.anchor, decision.low, decision.high


def _entries(group: Group, rows: Ints) -> Ints:
    """Indices among all entries of the entries of some rows of the group."""
    n = group.x.shape[1]
    first: Ints = (group.rows.start + rows) * n
    return (first[:, None] + np.arange(n)).ravel()


def _later(
    x: Values,
    fmt: Format,
    out: Values,
    record: Recorder,
    index: Ints,
    maxima: Array,
    known: Callable[[Values, Ints], tuple[Pair, Array]],
) -> None:
    """Double-double for the entries in `index`, again with better sums, then multiprecision."""
    n = x.shape[1]
    flat_x, flat_out = x.reshape(-1), out.reshape(-1)

    def decide(index: Ints, rows: Ints, t: Pair, error: Array) -> Ints:
        total = one_plus(t)
        left = [np.zeros(0, np.int64)]
        for part in groups(index.size, 1):
            chosen = index[part]
            at = np.searchsorted(rows, chosen // n)
            high, low, exponent = _numerators(flat_x[chosen], maxima[chosen // n])
            quotient = divide((high, low), (total[0][at], total[1][at]))
            decision = decide_scaled(fmt, *quotient, error[at] + 2.0**-97, exponent)
            done = decision.decided
            flat_out[chosen[done]] = decision.value[done].astype(out.dtype)
            record.write(chosen[done], DOUBLE_DOUBLE, *(a[done] for a in _parts(decision)))
            left.append(chosen[~done])
        return np.concatenate(left)

    rows = np.unique(index // n)
    t, error = known(x, rows)
    largest = np.minimum(t[0], -(-n // WIDTH))  # at most 1 in each piece, at most τ in all
    index = decide(index, rows, t, 1.01 * error + extended.SUM_ERROR * largest / (1 + t[0]))
    if not index.size:
        return
    rows = np.unique(index // n)
    t, exponent = double_double_sums(x, rows)
    scale = np.maximum(exponent, -2000).astype(np.int32)
    t = np.ldexp(t[0], scale), np.ldexp(t[1], scale)
    index = decide(index, rows, t, np.full(rows.size, doubledouble.SUM_ERROR))
    for row in np.unique(index // n):
        exact_row = multiprecision.Row(x[row].astype(np.float64))
        for i in index[index // n == row]:
            found = multiprecision.softmax_entry(exact_row, float(flat_x[i]), fmt)
            flat_out[i] = found.value
            record.write(i, MULTIPRECISION, *found.offsets())


def _numerators(x: Values, maxima: Array) -> tuple[Array, Array, Ints]:
    """e^(x − max) as a double-double and a power of two."""
    zh, zl = two_sum(x.astype(np.float64), -maxima)
    below = zh < doubledouble.FLOOR
    mantissa, exponent = doubledouble.exponential(
        np.where(below, doubledouble.FLOOR, zh), np.where(below, 0.0, zl)
    )
    return *mantissa, exponent
