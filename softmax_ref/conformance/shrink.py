"""Making a counterexample small enough to be read: fewer rows, fewer entries, shorter numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..formats import Format

Array = NDArray[Any]
Fails = Callable[[Array], bool]
#: How many inputs are tried at most.
TRIALS = 600
#: Tried first, with the sign of what they replace.
_ROUND = (0.0, *range(1, 16), 20.0, 30.0, 50.0, 100.0, 200.0, 500.0, 1000.0)


def shrink(x: Array, fails: Fails, fmt: Format, trials: int = TRIALS) -> Array:
    """Drop what is not needed from an input that fails, and shorten its numbers.

    Parameters
    ----------
    x : array of shape (m, n)
        In the format, finite or not; it fails.
    fails : callable
        Whether an array of two dimensions fails in the same way.
    fmt : Format
    trials : int
        How many inputs may be tried.

    Returns
    -------
    array of shape (at most m, at most n)
        It fails, too. Fewer entries come first, then numbers with fewer digits.

    Examples
    --------
    >>> from softmax_ref.formats import get_format
    >>> x = np.array([[0.1, 7.3, 2.2], [1.7, 0.3, 0.9]], np.float32)
    >>> shrink(x, lambda y: bool(y.size and y.max() > 5.5), get_format("float32"))
    array([[6.]], dtype=float32)
    """
    budget = _Budget(fails, trials)
    for axis in (0, 1):
        x = _drop(x, axis, budget)
    return _shorten(x, budget, fmt)


class _Budget:
    """The predicate, until it has been asked often enough."""

    def __init__(self, fails: Fails, trials: int) -> None:
        self._fails, self.left = fails, trials

    def __call__(self, x: Array) -> bool:
        if self.left <= 0 or not x.size:
            return False
        self.left -= 1
        return self._fails(x)


def _drop(x: Array, axis: int, fails: _Budget) -> Array:
    """Delete runs of rows or columns, long ones first, while it still fails."""
    length = x.shape[axis] // 2
    while length:
        start = 0
        while start < x.shape[axis]:
            fewer = np.delete(x, np.s_[start : start + length], axis=axis)
            if fails(fewer):
                x = fewer
            else:
                start += length
        length //= 2
    return x


def _shorten(x: Array, fails: _Budget, fmt: Format) -> Array:
    """Replace each entry by the shortest number that will do, until nothing changes."""
    before = None
    while before is None or not np.array_equal(before, x, equal_nan=True):
        before = x
        for index in np.ndindex(x.shape):
            if fails.left <= 0:
                return x
            x = _shorten_entry(x, index, fails, fmt)
    return x


def _shorten_entry(x: Array, index: tuple[int, ...], fails: _Budget, fmt: Format) -> Array:
    for value in _simpler(float(x[index]), fmt):
        changed = x.copy()
        changed[index] = value
        if fails(changed):
            return changed
    return x


def _simpler(value: float, fmt: Format) -> Iterator[float]:
    """Numbers of the format that are shorter to write, or as short and smaller; simplest first."""
    if not np.isfinite(value) or value == 0:
        return
    candidates = list(np.copysign(_ROUND, value))
    for digits in range(1, 6):
        rounded = float(np.format_float_scientific(value, digits - 1, unique=False))
        step = 10.0 ** (np.floor(np.log10(abs(rounded))) + 1 - digits)
        candidates += [rounded, rounded + np.copysign(step, value)]
    length = _length(value, fmt)
    for candidate in candidates:
        y = float(fmt.round(float(candidate)))
        if _length(y, fmt) < length:
            yield y


def _length(value: float, fmt: Format) -> tuple[int, float]:
    return len(written(value, fmt)), abs(value)


def written(value: float, fmt: Format) -> str:
    """The shortest decimal number that rounds to this number of the format.

    Examples
    --------
    >>> from softmax_ref.formats import get_format
    >>> written(float(np.float32(0.1)), get_format("float32"))
    '0.1'
    >>> written(float(np.float32(1e-40)), get_format("float32"))
    '1e-40'
    """
    if not np.isfinite(value):
        return str(value)
    for digits in range(1, 18):
        text = f"{value:.{digits}g}"
        if float(fmt.round(float(text))) == value:
            return _tidy(text)
    return repr(value)


def _tidy(text: str) -> str:
    mantissa, e, exponent = text.partition("e")
    if e and -4 <= int(exponent) < 6:
        return f"{float(text):.0f}" if int(exponent) >= 0 else text
    return f"{mantissa}e{int(exponent)}" if e else mantissa
