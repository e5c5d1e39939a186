"""Where a formula stops working, found among the numbers of a format."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from softmax_ref.formats import Format

SAFE_LOGIT = -10.0  # exp(-10) is a normal number in every format that the experiments use


def destroyed(probabilities: NDArray) -> NDArray[np.bool_]:
    """Say which rows of probabilities are lost: they add up to nan, to inf, or to nothing.

    Parameters
    ----------
    probabilities : array of shape (..., n)
        What a softmax returned, in any format.

    Returns
    -------
    array of bool, shape (...)

    Examples
    --------
    >>> destroyed(np.array([[0.5, 0.5], [np.nan, 0.0], [0.0, 0.0]]))
    array([False,  True,  True])
    """
    total = probabilities.astype(np.float64).sum(axis=-1)
    return ~((total > 0) & (total < np.inf))


def last_working_input(
    works: Callable[[float], bool], number_format: Format
) -> tuple[float, float] | None:
    """Find the two neighbours of a format between which something stops working.

    Parameters
    ----------
    works : callable
        Whether it works at a number; once it fails it must fail at all larger ones.
    number_format : Format

    Returns
    -------
    tuple of float or None
        The last number at which it works and the next one, at which it does not; None if it works
        up to the largest number of the format.

    Raises
    ------
    ValueError
        If it does not even work at `SAFE_LOGIT`.

    Examples
    --------
    >>> from softmax_ref.formats import get_format
    >>> last_working_input(lambda x: x < 2, get_format("float16"))
    (1.9990234375, 2.0)
    """
    if works(number_format.max):
        return None
    low, high = SAFE_LOGIT, 1.0
    if not works(low):
        raise ValueError(f"It does not work at {low}, where it should.")
    while works(high):
        low, high = high, min(2 * high, number_format.max)
    return bisect(works, low, high, number_format)


def bisect(
    works: Callable[[float], bool], low: float, high: float, number_format: Format
) -> tuple[float, float]:
    """Narrow an interval down to two neighbours; it works at `low` and fails at `high`."""
    # The middle, rounded to the format, lies strictly between the two until they are neighbours.
    while (middle := float(number_format.round((low + high) / 2))) not in (low, high):
        low, high = (middle, high) if works(middle) else (low, middle)
    return low, high
