"""Errors of softmax and log-sum-exp against their exact values, with the published bounds."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import special

import softmax_ref
from experiments.underflow import to_torch
from softmax_ref import textbook
from softmax_ref.conformance.truth import Truth, truth
from softmax_ref.formats import Format

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Exact:
    """The true softmax, (m, n), and log-sum-exp, (m,), of rows of logits."""

    softmax: Truth
    logsumexp: Truth


def exact_values(x: Array) -> Exact:
    """Return the true values for rows of float64; x is (m, n)."""
    return Exact(truth("softmax", x), truth("logsumexp", x))


def error(computed: NDArray, true: Truth) -> Array:
    """Return the absolute error of what was computed, as float64."""
    # The first difference is between neighbours, and exact: the error keeps its digits.
    return np.abs((computed.astype(np.float64) - true.anchor) - true.rest)


def ulps(computed: NDArray, true: Truth, number_format: Format) -> Array:
    """Return the error in units of the distance between the format's numbers at the truth.

    Examples
    --------
    >>> from softmax_ref.formats import get_format
    >>> one = exact_values(np.zeros((1, 1))).softmax
    >>> ulps(np.array([[1.0 + 2.0**-10]]), one, get_format("float16"))
    array([[1.]])
    """
    return error(computed, true) / number_format.ulp(true.anchor)


@dataclass(frozen=True)
class Library:
    """One implementation of both functions; each takes rows of logits in their format."""

    name: str
    softmax: Callable[[NDArray], NDArray]
    logsumexp: Callable[[NDArray], NDArray]
    log_softmax: Callable[[NDArray], NDArray]
    shifted: bool = True  # whether it subtracts the maximum first


def libraries() -> list[Library]:
    """Return the implementations that the experiment compares."""
    return [
        Library(
            "textbook", textbook.softmax, textbook.logsumexp, textbook.log_softmax, shifted=False
        ),
        Library("NumPy formula", _shifted_softmax, _shifted_logsumexp, _shifted_log_softmax),
        Library(
            "SciPy",
            lambda x: special.softmax(x, axis=-1),
            lambda x: special.logsumexp(x, axis=-1),
            lambda x: special.log_softmax(x, axis=-1),
        ),
        Library(
            "torch",
            lambda x: _by_torch(torch.softmax, x),
            lambda x: _by_torch(torch.logsumexp, x),
            lambda x: _by_torch(torch.log_softmax, x),
        ),
        Library("softmax_ref", softmax_ref.softmax, softmax_ref.logsumexp, softmax_ref.log_softmax),
    ]


def _by_torch(function: Callable, x: NDArray) -> NDArray:
    return function(to_torch(x), dim=-1).to(torch.float64).numpy().astype(x.dtype)


def _shifted_softmax(x: NDArray) -> NDArray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def _shifted_logsumexp(x: NDArray) -> NDArray:
    largest = x.max(axis=-1, keepdims=True)
    return largest[..., 0] + np.log(np.exp(x - largest).sum(axis=-1))


def _shifted_log_softmax(x: NDArray) -> NDArray:
    return x - _shifted_logsumexp(x)[..., None]


def softmax_bound(x: Array, u: float, *, shifted: bool) -> Array:
    """Return the published bound on the normwise relative error of softmax, one for each row.

    The largest error of a row's entries, relative to its largest entry.

    References
    ----------
    P. Blanchard, D. J. Higham and N. J. Higham, IMA J. Numer. Anal. 41(4), 2021: (n + 3)u without
    the shift, (n + 2 + 2(x_max − x_min))u with it, to first order in u.
    """
    n = x.shape[-1]
    if not shifted:
        return np.full(len(x), (n + 3) * u)
    return (n + 2 + 2 * np.ptp(x, axis=-1)) * u


def logsumexp_bound(x: Array, y: Array, u: float, *, shifted: bool) -> Array:
    """Return the published bound on the relative error of log-sum-exp, one for each row.

    References
    ----------
    As for :func:`softmax_bound`: (1 + (n + 1)/|y|)u without the shift, |(y + n − x_min)/y|u with.
    """
    n = x.shape[-1]
    if not shifted:
        return (1 + (n + 1) / np.abs(y)) * u
    return np.abs((y + n - x.min(axis=-1)) / y) * u


def entry_bound(x: Array, p: Array, u: float) -> Array:
    """Return a first-order bound on the relative error of each entry of the shifted softmax.

    Rounding the difference x_i − x_max makes the relative error |x_i − x_max|u in its exponential.
    The sum gets the mean of these, weighted by p, and the roundings of n − 1 additions; two more
    come from the exponential and the quotient, and one from the other exponentials.
    """
    gap = x.max(axis=-1, keepdims=True) - x
    return (gap + np.sum(p * gap, axis=-1, keepdims=True) + x.shape[-1] + 2) * u
