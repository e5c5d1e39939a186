"""The truth, to more digits than the format has, and errors in units of the last place."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import exact
from ..exact.families import FAMILIES, draw
from ..formats import FORMATS, Format

Array = NDArray[np.float64]

#: The operations that can be checked.
OPERATIONS = ("softmax", "log_softmax", "logsumexp")
#: Row lengths, and how many rows of each family.
SIZES = {1: 1, 2: 300, 3: 200, 10: 60, 100: 10, 1000: 2, 10_000: 1}


@dataclass(frozen=True)
class Truth:
    """Correctly rounded values, and what rounding took away.

    Attributes
    ----------
    nearest : array of float64
        The numbers of the format nearest to the true values.
    anchor, rest : array of float64
        Their sum is the true value to some thirty digits, save in the subnormal range of float64.
    """

    nearest: Array
    anchor: Array
    rest: Array


def truth(op: str, x: NDArray[Any], axis: int = -1) -> Truth:
    """The truth for an array in one of the formats, or of integers."""
    function = getattr(exact, op)
    result, certificate = function(x, axis, certificate=True)
    nearest = np.asarray(result).astype(np.float64)
    enclosed = np.isfinite(certificate.low) & np.isfinite(certificate.high)
    with np.errstate(all="ignore"):
        middle = certificate.low / 2 + certificate.high / 2
    return Truth(
        nearest,
        np.where(enclosed, certificate.anchor, nearest),
        np.where(enclosed, middle, 0.0),
    )


def errors(got: Array, true: Truth, fmt: Format) -> Array:
    """Distance from the true values, in units of the format's spacing there.

    0 where nan or an infinity is right, inf where it is not (or where one is missing). At most
    1/2 where the result is correctly rounded.

    Examples
    --------
    >>> from softmax_ref.formats import get_format
    >>> true = truth("softmax", np.zeros(2, np.float16))
    >>> errors(np.array([0.5, 0.5 + 2**-10]), true, get_format("float16"))
    array([0., 2.])
    """
    with np.errstate(all="ignore"):  # what is not finite is dealt with below
        error = np.abs((got - true.anchor) - true.rest) / fmt.ulp(true.anchor + true.rest)
    same = right(got, true.nearest)
    error = np.where(same, np.minimum(error, 0.5), error)
    special = ~np.isfinite(got) | ~np.isfinite(true.nearest)
    return np.where(special, np.where(same, 0.0, np.inf), error)


def right(got: Array, nearest: Array) -> NDArray[np.bool_]:
    """Where the two are equal, nan being equal to nan and −0 to 0."""
    same: NDArray[np.bool_] = (got == nearest) | (np.isnan(got) & np.isnan(nearest))
    return same


@dataclass(frozen=True)
class Sample:
    """Rows of one family, all of one length, in the format, and the truth about them."""

    family: str
    x: NDArray[Any]
    true: Truth


@lru_cache(maxsize=32)  # a table asks for the same ones for each library
def samples(op: str, format_name: str, seed: int) -> tuple[Sample, ...]:
    """Draw rows of every family and length.

    Examples
    --------
    >>> sum(sample.true.nearest.size for sample in samples("softmax", "float16", 0)) > 100_000
    True
    """
    fmt = FORMATS[format_name]
    rng = np.random.default_rng(seed)
    drawn = [
        (family, np.stack([draw(family, rng, fmt, n) for _ in range(rows)]))
        for family in FAMILIES
        for n, rows in SIZES.items()
    ]
    return tuple(Sample(family, x, truth(op, x)) for family, x in drawn)
