"""Where a function stops working: the largest logit, gap and number of entries it can bear."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..formats import Format
from .calling import Callee
from .truth import Array, truth

#: The most entries that are tried.
MOST = 131_072
#: A result within this factor of the truth counts: a threshold is a cliff, not a lost digit.
_LOOSE = 0.5


@dataclass(frozen=True)
class Thresholds:
    """The last number that works, or None where all do; nan where not even the first does.

    Attributes
    ----------
    logit : float or None
        Largest c with a right result at [c, c].
    negative_logit : float or None
        Most negative c with a right result at [c, c].
    gap : float or None
        Largest d with a right second entry at [0, −d], as far as the true value is not lost in
        underflow. None for logsumexp, which has no second entry.
    margin : float or None
        Largest d with a right first entry at [0, −d], as far as the true value is not lost in
        underflow. Log-probability and log-sum-exp are there about e^−d, and 0 has no digit of it.
    entries : int or None
        Largest number of equal entries with a right result, up to :data:`MOST`.
    """

    logit: float | None
    negative_logit: float | None
    gap: float | None
    margin: float | None
    entries: float | None


def thresholds(callee: Callee, op: str, fmt: Format) -> Thresholds:
    """Measure where a function stops working.

    Examples
    --------
    >>> from softmax_ref import textbook
    >>> from softmax_ref.conformance.calling import adapt
    >>> from softmax_ref.formats import get_format
    >>> f = get_format("float16")
    >>> found = thresholds(adapt(textbook.softmax), "softmax", f)
    >>> found.logit is not None and found.logit < f.exp_overflow()[1]
    True
    """

    def works(values: list[float], entry: int | slice = slice(None)) -> bool:
        x = np.asarray(fmt.round(np.array(values)))
        got, nearest = callee(x).values, truth(op, x).nearest
        if got is None or got.shape != nearest.shape:
            return False
        return _close(np.atleast_1d(got)[entry], np.atleast_1d(nearest)[entry], fmt)

    # As long as e^−d has some digits.
    deepest = fmt.next_down(-math.log(8 * fmt.smallest_subnormal))
    furthest = fmt.max if op == "log_softmax" else deepest
    negative = _last(lambda c: works([-c, -c]), fmt.max, fmt)
    return Thresholds(
        logit=_last(lambda c: works([c, c]), fmt.max, fmt),
        negative_logit=None if negative is None else -negative,
        gap=None if op == "logsumexp" else _last(lambda d: works([0.0, -d], -1), furthest, fmt),
        margin=_last(lambda d: works([0.0, -d], 0), deepest, fmt),
        entries=_last_count(lambda n: _close(*_equal_entries(callee, op, n, fmt), fmt)),
    )


def _equal_entries(callee: Callee, op: str, n: int, fmt: Format) -> tuple[Array, Array]:
    """The first entry of the result at n zeros, and what belongs there."""
    got = callee(np.zeros(n, fmt.dtype)).values
    exact = {"softmax": 1 / n, "log_softmax": -math.log(n), "logsumexp": math.log(n)}[op]
    return np.full(1, np.nan) if got is None else np.ravel(got)[:1], np.array([exact])


def _close(got: Array, nearest: Array, fmt: Format) -> bool:
    with np.errstate(invalid="ignore"):
        error = np.abs(got - nearest)
    allowed = _LOOSE * np.abs(nearest) + fmt.smallest_subnormal
    return bool(np.all((got == nearest) | (error <= allowed)))


def _last(works: Callable[[float], bool], most: float, fmt: Format) -> float | None:
    """The number of the format up to which it works, by bisection between 1 and `most`."""
    most = float(fmt.round(most))
    if works(most):
        return None
    low, high = 1.0, most
    if not works(low):
        return math.nan
    while True:
        far = high > 4 * low
        middle = float(fmt.round(math.sqrt(low) * math.sqrt(high) if far else low / 2 + high / 2))
        if middle in (low, high):
            return low
        low, high = (middle, high) if works(middle) else (low, middle)


def _last_count(works: Callable[[int], bool]) -> float | None:
    if works(MOST):
        return None
    low, high = 1, MOST
    if not works(low):
        return math.nan
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if works(middle) else (low, middle)
    return low
