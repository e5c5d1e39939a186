"""log_softmax and log-sum-exp by rows: L = log1p(τ) once a row, then x − max − L or max + L."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..formats import Format
from . import doubledouble, extended, multiprecision
from .blocks import BLOCK, groups
from .certificates import Recorder
from .errorfree import Array, Pair, two_sum
from .extended import Extended, exponential_error
from .rounding import Decision, decide_scaled, decide_sum, nearest
from .rows import (
    DOUBLE_DOUBLE,
    EXACT,
    MULTIPRECISION,
    WORKING,
    Group,
    Ints,
    double_double_sums,
    extended_arguments,
    prepared,
)

Values = NDArray[np.generic]

#: From here on differences of two numbers may overflow: all are scaled by ¼ first.
_LARGE = 2.0**1000
#: Exponent of τ below which only the sign of L matters beside x − max: that is a rounding boundary
#: or more than 2^−860 from the next (claim: lem-rounding-tiny).
_NEGLIGIBLE = -900
_SOME, _MORE = 2.0**-900, 2.0**-860


@dataclass
class _Logs:
    """L of some rows: between high + low + under and high + low + over."""

    high: Array
    low: Array
    under: Array
    over: Array

    def of(self, rows: Ints) -> _Logs:
        return _Logs(self.high[rows], self.low[rows], self.under[rows], self.over[rows])


def _second_logs(t: Pair, exponent: Ints) -> _Logs:
    """From the sums of the double-double stage."""
    tiny = exponent < _NEGLIGIBLE
    scale = np.where(tiny, 0, exponent).astype(np.int32)
    high, low = doubledouble.log1p((np.ldexp(t[0], scale), np.ldexp(t[1], scale)))
    error = 1.01 * (doubledouble.SUM_ERROR + doubledouble.LOG_ERROR) * high
    return _Logs(
        np.where(tiny, 0.0, high),
        np.where(tiny, 0.0, low),
        np.where(tiny, _SOME, -error),
        np.where(tiny, _MORE, error),
    )


@dataclass
class _Rows:
    """What the first sweep leaves of each row."""

    maximum: Array
    limit: Array
    single: NDArray[np.bool_]
    sums: Array
    error: Array


def _first_logs(rows: _Rows, n: int) -> _Logs:
    """From the sums of the extended stage (claim: prop-rounding-log-sum)."""
    high, low = doubledouble.log1p((rows.sums[0], rows.sums[1]))
    relative = rows.error + extended.SUM_ERROR + doubledouble.LOG_ERROR
    error = 1.01 * relative * high + n * 2.0**-990
    return _Logs(high, low, -error, error)


def _sweep(x: Values) -> _Rows:
    count, n = x.shape
    rows = _Rows(
        np.empty(count),
        np.empty(count),
        np.zeros(count, np.bool_),
        np.empty((2, count)),
        np.empty(count),
    )
    evaluate = Extended(max(BLOCK, n))
    for group in prepared(x):
        rows.maximum[group.rows] = group.maximum
        rows.limit[group.rows] = group.limit
        rows.single[group.rows] = group.equal & (group.count == 1)
        rows.sums[:, group.rows] = evaluate.sums(*extended_arguments(group))
        rows.error[group.rows] = exponential_error(group.spread)
    return rows


def logsumexp_rows(x: Values, fmt: Format, record: Recorder) -> Values:
    """Correctly rounded log Σ eˣ of each row of a two-dimensional array, n ≥ 1."""
    rows = _sweep(x)
    out = rows.limit.astype(x.dtype)  # right for special and for single rows
    record.write(slice(None), EXACT, rows.limit, 0.0, 0.0)
    special = ~np.isfinite(rows.limit)
    record.write(special, EXACT, np.nan, np.nan, np.nan)
    index = np.flatnonzero(~(special | rows.single))
    # max + L = max − 0 − (−L)
    ladder = _Ladder(x, fmt, out, record, rows, lambda i: (rows.maximum[i], np.zeros(i.size), i))
    ladder.climb(index, _first_logs(rows, x.shape[1]), sign=-1)
    return out


def log_softmax_rows(x: Values, fmt: Format, record: Recorder) -> Values:
    """Correctly rounded log_softmax of the rows of a two-dimensional array, n ≥ 1."""
    n = x.shape[1]
    out = np.empty_like(x, order="C")
    rows = _sweep(x)
    logs = _first_logs(rows, n)
    left = [np.zeros(0, np.int64)]
    for group in prepared(x):
        found = _first(group, fmt, logs, out, record)
        settled = group.special | rows.single[group.rows]
        left.append(found[~settled[found // n]] + group.rows.start * n)
        if settled.any():
            _settle(group, settled, out, record)
    flat = x.reshape(-1)
    ladder = _Ladder(
        x,
        fmt,
        out,
        record,
        rows,
        lambda i: (flat[i].astype(np.float64), rows.maximum[i // n], i // n),
    )
    ladder.climb(np.concatenate(left), logs, sign=1)
    return out


def _first(group: Group, fmt: Format, logs: _Logs, out: Values, record: Recorder) -> Ints:
    """A quick test for all entries of a group; the indices of what is open."""
    n = group.given.shape[1]
    left = []
    for start in range(0, n, BLOCK):
        columns = slice(start, min(start + BLOCK, n))
        closed = _first_piece(group, columns, fmt, logs, out, record)
        row, column = np.nonzero(~closed)
        left.append(row * n + start + column)
    return np.concatenate(left)


def _first_piece(
    group: Group, columns: slice, fmt: Format, logs: _Logs, out: Values, record: Recorder
) -> NDArray[np.bool_]:
    x = group.x[:, columns]
    high, low, error = (a[group.rows, None] for a in (logs.high, logs.low, logs.over))
    dh, dl = two_sum(x, -group.maximum[:, None])
    s, t = two_sum(dh, -high)
    tail = t + (dl - low)
    # the narrower formats get float64 ends, which must lie outside of the enclosure
    slack = 2.0**-100 if fmt.precision == 53 else 2.0**-51
    e = error + slack * np.abs(s)
    below, above = nearest(fmt, s + (tail - e)), nearest(fmt, s + (tail + e))
    # the sign of zero counts
    closed: NDArray[np.bool_] = below.view(np.int64) == above.view(np.int64)
    n = group.given.shape[1]
    where = np.arange(group.rows.start, group.rows.stop)[:, None] * n + np.arange(n)[columns]
    record.write(where, WORKING, s, tail - e, tail + e)
    if group.spread >= _LARGE:
        gone = np.isneginf(x)
        below = np.where(gone, -np.inf, below)
        record.write(where[gone], EXACT, np.nan, np.nan, np.nan)
        closed = gone | (closed & (np.abs(dh) < _LARGE))
    out[group.rows, columns] = below.astype(out.dtype)
    return closed


def _settle(group: Group, rows: NDArray[np.bool_], out: Values, record: Recorder) -> None:
    """Rows without a finite maximum are nan; a single finite entry gives 0, and −inf elsewhere."""
    n = group.x.shape[1]
    finite = group.x[rows] > -np.inf
    values = np.where(finite, 0.0, -np.inf)
    values[group.special[rows]] = np.nan
    out[group.rows.start + np.flatnonzero(rows)] = values.astype(out.dtype)
    index = (group.rows.start + np.flatnonzero(rows))[:, None] * n + np.arange(n)
    record.write(index, EXACT, np.where(values == 0, 0.0, np.nan), 0.0, 0.0)


class _Ladder:
    """Rounding tests of finer and finer values of L, for entries given by index."""

    def __init__(
        self,
        x: Values,
        fmt: Format,
        out: Values,
        record: Recorder,
        rows: _Rows,
        operands: Callable[[Ints], tuple[Array, Array, Ints]],
    ) -> None:
        self._x, self._fmt, self._out, self._record = x, fmt, out.reshape(-1), record
        self._rows, self._operands = rows, operands

    def climb(self, index: Ints, logs: _Logs, sign: int) -> None:
        """Decide all entries of `index`; their value is x − max − sign·L."""
        index = self._decide(index, logs.of, sign, WORKING)
        if not index.size:
            return
        rows = np.unique(self._operands(index)[2])
        t, exponent = double_double_sums(self._x, rows)
        finer = _second_logs(t, exponent)
        index = self._decide(
            index, lambda r: finer.of(np.searchsorted(rows, r)), sign, DOUBLE_DOUBLE
        )
        index = self._decide_tiny(index, rows, t, exponent, sign)
        self._multiprecision(index, sign)

    def _decide(self, index: Ints, logs_of: Callable[[Ints], _Logs], sign: int, stage: int) -> Ints:
        left = [np.zeros(0, np.int64)]
        for part in groups(index.size, 1):
            chosen = index[part]
            x, maximum, rows = self._operands(chosen)
            decision = _difference(x, maximum, logs_of(rows), sign, self._fmt)
            left.append(self._write(chosen, decision, stage))
        return np.concatenate(left)

    def _write(self, index: Ints, decision: Decision, stage: int) -> Ints:
        done = decision.decided
        self._out[index[done]] = decision.value[done].astype(self._out.dtype)
        parts = (decision.anchor, decision.low, decision.high)
        self._record.write(index[done], stage, *(part[done] for part in parts))
        return index[~done]

    def _decide_tiny(self, index: Ints, rows: Ints, t: Pair, exponent: Ints, sign: int) -> Ints:
        """Where x = max and τ < 2^−860 the value is ∓τ(1 − τ/2 + …)."""
        x, maximum, row = self._operands(index)
        at = np.searchsorted(rows, row)
        tiny = (x == maximum) & (exponent[at] < _NEGLIGIBLE)
        at = at[tiny]
        decision = decide_scaled(
            self._fmt,
            -sign * t[0][at],
            -sign * t[1][at],
            1.25 * doubledouble.SUM_ERROR,
            exponent[at],
        )
        left = self._write(index[tiny], decision, DOUBLE_DOUBLE)
        return np.concatenate([index[~tiny], left])

    def _multiprecision(self, index: Ints, sign: int) -> None:
        _, _, rows = self._operands(index)
        for row in np.unique(rows):
            exact_row = multiprecision.Row(self._x[row].astype(np.float64))
            for i in index[rows == row]:
                if sign < 0:
                    found = multiprecision.logsumexp(exact_row, self._fmt)
                else:
                    value = float(self._x.reshape(-1)[i])
                    found = multiprecision.log_softmax_entry(exact_row, value, self._fmt)
                self._out[i] = found.value
                self._record.write(i, MULTIPRECISION, *found.offsets())


def _difference(x: Array, maximum: Array, logs: _Logs, sign: int, fmt: Format) -> Decision:
    """Rounding test for x − maximum − sign·L."""
    scale = np.where(np.maximum(np.abs(x), np.abs(maximum)) >= _LARGE, 0.25, 1.0)
    dh, dl = two_sum(x * scale, -maximum * scale)
    s, t = two_sum(dh, -sign * logs.high * scale)
    p, q = two_sum(t, dl)
    s, p = two_sum(s, p)
    r = q - sign * logs.low * scale
    ends = (r - sign * logs.under * scale, r - sign * logs.over * scale)
    slack = np.abs(r) * 2.0**-52
    decision = decide_sum(fmt, s, p, np.minimum(*ends) - slack, np.maximum(*ends) + slack)
    widening = np.where(logs.under > 0, _SOME, 0.0)  # there L was only known to be positive
    decision.low -= widening
    decision.high += widening
    return _unscaled(decision, scale)


def _unscaled(decision: Decision, scale: Array) -> Decision:
    """Undo a scaling; what overflows does so by the format's rule, for it was rounded before."""
    largest = np.finfo(np.float64).max
    anchor = np.clip(decision.anchor / scale, -largest, largest)
    moved = (decision.anchor - anchor * scale) / scale  # 0 unless clipped
    low, high = moved + decision.low / scale, moved + decision.high / scale
    slack = np.abs(moved) * 2.0**-52
    return Decision(decision.value / scale, decision.decided, anchor, low - slack, high + slack)
