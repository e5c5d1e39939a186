"""Difference quotients of the cross-entropy loss in a number format, and what theory expects."""

from collections.abc import Callable

import mpmath
import numpy as np
from numpy.typing import NDArray

from softmax_ref import cross_entropy, softmax
from softmax_ref.formats import Format

Array = NDArray[np.float64]


def losses(points: Array, target: int, number_format: Format) -> Array:
    """Return the loss of each point, computed in a format whose numbers the points are."""
    targets = np.full(points.shape[:-1], target)
    values = cross_entropy(points.astype(number_format.dtype), targets, reduction="none")
    return values.astype(np.float64)


def difference_quotients(
    points: Array, target: int, h: float, number_format: Format, *, central: bool
) -> Array:
    """Return the difference quotients of the loss in each logit, every number in the format.

    Parameters
    ----------
    points : array of shape (m, n)
        Logits that are numbers of the format.
    target : int
        The right class.
    h : float
        The step.
    number_format : Format
    central : bool
        Whether to step to both sides, or forward only.

    Returns
    -------
    array of shape (m, n)
        nan where the step is lost: the logit plus the step rounds to the logit.
    """
    steps = h * np.eye(points.shape[1])
    forward = number_format.round(points[:, None, :] + steps).astype(np.float64)
    backward = number_format.round(points[:, None, :] - central * steps).astype(np.float64)
    # The distance that was really gone, not the one that was asked for: it is exact.
    distance = np.einsum("mii->mi", forward - backward)
    rise = losses(forward, target, number_format) - losses(backward, target, number_format)
    with np.errstate(invalid="ignore", divide="ignore"):  # a lost step: 0/0
        return number_format.round(rise / distance).astype(np.float64)


def derivatives(points: Array, target: int) -> tuple[Array, Array, Array]:
    """Return the first three derivatives of the loss in each logit, in float64.

    With p the probability of the class: p − y, p (1 − p) and p (1 − p)(1 − 2p).
    """
    p = softmax(points)
    first = p - (np.arange(points.shape[1]) == target)
    return first, p * (1 - p), p * (1 - p) * (1 - 2 * p)


def exact_gradient(points: Array, target: int) -> Array:
    """Return p − y from 60-digit arithmetic, rounded once to float64; shape of `points`."""
    with mpmath.workdps(60):
        exact = []
        for row in points:
            terms = [mpmath.exp(float(x)) for x in row]
            total = mpmath.fsum(terms)
            exact.append([float(e / total - (i == target)) for i, e in enumerate(terms)])
    return np.array(exact)


def best_step(u: float, loss: float, derivative: float, *, central: bool) -> float:
    """Return the step at which the truncation and the rounding error are in balance.

    Central: h²/6·|L‴| + u|L|/h is least at h = (3u|L|/|L‴|)^⅓.  Forward: h/2·|L″| + 2u|L|/h is
    least at h = 2·(u|L|/|L″|)^½.

    Parameters
    ----------
    u : float
        Unit roundoff.
    loss : float
        |L|, the size of the function.
    derivative : float
        |L‴| for the central quotient, |L″| for the forward one.
    """
    return (3 * u * loss / derivative) ** (1 / 3) if central else 2 * (u * loss / derivative) ** 0.5


def expected_error(h: Array, u: float, loss: float, derivative: float, *, central: bool) -> Array:
    """Return truncation plus rounding error of a difference quotient, to first order."""
    if central:
        return h**2 / 6 * derivative + u * loss / h
    return h / 2 * derivative + 2 * u * loss / h


def slope(h: Array, errors: Array) -> float:
    """Return the slope of a straight line through errors on doubly logarithmic axes."""
    return float(np.polyfit(np.log(h), np.log(errors), 1)[0])


def gradient_at_target(margin: float, number_format: Format, how: Callable) -> float:
    """Return the gradient at the target of two logits, the right one larger by a margin."""
    return float(how(number_format.round(np.array([[margin, 0.0]])))[0, 0])
