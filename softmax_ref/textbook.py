"""Softmax as textbooks print it.

These functions compute the printed formula in the format that they are given, and nothing else.
They overflow, they underflow, and that is their job: the book measures where.
The versions to use are in :mod:`softmax_ref.stable` and :mod:`softmax_ref.losses`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from array_api_compat import array_namespace, is_torch_array


def _array(x: Any) -> Any:
    """A tensor as it is, anything else as a NumPy array; integers become float64."""
    if is_torch_array(x):
        return x
    x = np.asarray(x)
    return x.astype(np.float64) if x.dtype.kind in "iub" else x


def softmax(x: Any, axis: int = -1) -> Any:
    """exp(x) divided by its sum along `axis`.

    Parameters
    ----------
    x : array of shape (..., n, ...)
        Logits, in any floating-point format.
    axis : int
        The axis of the classes.

    Returns
    -------
    array of the shape and format of `x`
        ``inf / inf`` is nan where an exponential overflows, ``0 / 0`` is nan where all underflow.

    Examples
    --------
    >>> import numpy as np
    >>> softmax(np.array([2.0, 1.0, 0.1])).round(6)
    array([0.659001, 0.242433, 0.098566])
    >>> with np.errstate(over="ignore", invalid="ignore"):
    ...     softmax(np.array([1000.0, 500.0, 500.0]))
    array([nan,  0.,  0.])
    """
    x = _array(x)
    xp = array_namespace(x)
    e = xp.exp(x)
    return e / xp.sum(e, axis=axis, keepdims=True)


def log_softmax(x: Any, axis: int = -1) -> Any:
    """The logarithm of the textbook softmax.

    Parameters
    ----------
    x : array of shape (..., n, ...)
        Logits, in any floating-point format.
    axis : int
        The axis of the classes.

    Returns
    -------
    array of the shape and format of `x`
        −inf where a probability underflows, nan where the softmax is nan.

    Examples
    --------
    >>> import numpy as np
    >>> with np.errstate(divide="ignore"):
    ...     log_softmax(np.array([0.0, -800.0]))
    array([  0., -inf])
    """
    x = _array(x)
    return array_namespace(x).log(softmax(x, axis))


def logsumexp(x: Any, axis: int = -1) -> Any:
    """log of the sum of exp(x) along `axis`.

    Parameters
    ----------
    x : array of shape (..., n, ...)
        Logits, in any floating-point format.
    axis : int
        The axis of the classes.

    Returns
    -------
    array of the shape of `x` without `axis`, in the format of `x`
        inf where the sum overflows, −inf where every exponential underflows.

    Examples
    --------
    >>> import numpy as np
    >>> with np.errstate(over="ignore"):
    ...     print(logsumexp(np.array([1000.0, 1000.0])))
    inf
    """
    x = _array(x)
    xp = array_namespace(x)
    return xp.log(xp.sum(xp.exp(x), axis=axis))


def cross_entropy(logits: Any, target: Any, axis: int = -1) -> Any:
    """−log(softmax(logits)[target]), one loss for each row.

    Parameters
    ----------
    logits : array of shape (..., n, ...)
        In any floating-point format.
    target : array of integers of the shape of `logits` without `axis`
        Index of the right class.
    axis : int
        The axis of the classes.

    Returns
    -------
    array of the shape of `target`, in the format of `logits`
        inf where the target's probability underflows, nan where the softmax is nan.

    Examples
    --------
    >>> import numpy as np
    >>> with np.errstate(divide="ignore"):
    ...     cross_entropy(np.array([[0.0, 1.0], [0.0, -800.0]]), np.array([1, 1]))
    array([0.31326169,        inf])
    """
    p = softmax(logits, axis)
    xp = array_namespace(p)
    index = xp.expand_dims(xp.asarray(target), axis=axis)
    return xp.squeeze(-xp.log(xp.take_along_axis(p, index, axis=axis)), axis=axis)
