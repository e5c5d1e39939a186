"""Errors of softmax and log-sum-exp against their exact values, with the published bounds."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import special

import softmax_ref
import softmax_ref.exact
from experiments.underflow import to_torch
from softmax_ref import textbook
from softmax_ref.formats import Format

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """Exact values, each as a float64 near it and the rest.

    Attributes
    ----------
    softmax, logsumexp : tuple of two arrays of float64
        Shapes (m, n) and (m,).  Where the value is above 1e-300 the sum of the two is right to a
        thousandth of the distance between two numbers of float64.
    """

    softmax: tuple[Array, Array]
    logsumexp: tuple[Array, Array]


def truth(x: Array) -> Truth:
    """Enclose softmax and log-sum-exp of rows of float64 and return the middles; x is (m, n).

    The enclosures are certified by :mod:`softmax_ref.exact`.
    """
    return Truth(_middle(softmax_ref.exact.softmax, x), _middle(softmax_ref.exact.logsumexp, x))


def _middle(function: Callable, x: Array) -> tuple[Array, Array]:
    _, certificate = function(x, certificate=True)
    return certificate.anchor, (certificate.low + certificate.high) / 2


def error(computed: NDArray, exact: tuple[Array, Array]) -> Array:
    """Return the absolute error of what was computed, as float64."""
    # The first difference is between neighbours, and exact: the error keeps its digits.
    return np.abs((computed.astype(np.float64) - exact[0]) - exact[1])


def ulps(computed: NDArray, exact: tuple[Array, Array], number_format: Format) -> Array:
    """Return the error in units of the distance between the format's numbers at the truth.

    Examples
    --------
    >>> from softmax_ref.formats import get_format
    >>> ulps(np.array([1.0 + 2.0**-10]), (np.array([1.0]), np.array([0.0])), get_format("float16"))
    array([1.])
    """
    _, exponent = np.frexp(exact[0])
    exponent = np.maximum(exponent - 1, number_format.min_exponent)
    return error(computed, exact) / np.ldexp(1.0, exponent - number_format.precision + 1)


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
