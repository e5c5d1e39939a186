"""Derivatives of softmax, log_softmax and logsumexp.

The matrices, and the products with them that never form a matrix: JVP for a direction of the
logits, VJP for a gradient with respect to the result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from ._arrays import Rows, like, rows_of, same_shape
from ._blocks import map_rows
from ._products import complement, softmax_product
from ._products import log_softmax_jvp as jvp_of_log
from ._products import log_softmax_vjp as vjp_of_log
from .stable import softmax_rows


def jacobian_by_loop(x: Any) -> np.ndarray:
    """Jacobian of softmax for one vector, entry by entry, as one would write it by hand.

    Parameters
    ----------
    x : array of shape (n,)
        Logits.

    Returns
    -------
    NumPy array of shape (n, n), float64
        Row i, column j: ∂p_i/∂x_j, which is p_i(1 − p_i) where i = j and −p_i p_j elsewhere.

    Raises
    ------
    ValueError
        If `x` is not a vector.

    Examples
    --------
    >>> jacobian_by_loop([0.0, 0.0])
    array([[ 0.25, -0.25],
           [-0.25,  0.25]])
    """
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 1:
        raise ValueError(f"x must be a vector; got an array of shape {x.shape}.")
    e = np.exp(x - x.max())
    p = e / e.sum()
    J = np.empty((len(p), len(p)))
    for i in range(len(p)):
        for j in range(len(p)):
            if i == j:
                J[i, j] = p[i] * (1 - p[i])
            else:
                J[i, j] = -p[i] * p[j]
    return J


def jacobian(x: Any, axis: int = -1) -> Any:
    """Jacobian of softmax, diag(p) − ppᵀ, for each vector along `axis`.

    Parameters
    ----------
    x : array of shape (..., n, ...)
        Logits, as for :func:`softmax_ref.softmax`.
    axis : int
        The axis of the classes.

    Returns
    -------
    array of shape (..., n, n), in the format of `x`
        `axis` is removed, and two axes of length n are added at the end: ``[..., i, j]`` is
        ∂p_i/∂x_j. The matrix is symmetric. A 0-d array counts as one class and gives ``[[0.]]``.

    Raises
    ------
    numpy.exceptions.AxisError
        If `axis` is out of range.

    Notes
    -----
    Error: at most 6 + 2·d ulp in float64, 12 + 2·d ulp in float32 and 0.6 ulp in float16 and
    bfloat16; d: the sum of the row's and the column's, as in :mod:`softmax_ref`.

    Examples
    --------
    >>> import numpy as np
    >>> jacobian(np.array([0.0, 0.0]))
    array([[ 0.25, -0.25],
           [-0.25,  0.25]])
    >>> jacobian(np.zeros((3, 5)), axis=0).shape
    (5, 3, 3)
    """
    rows = _vector_rows(x, axis)
    return rows.reduced(_covariance(_probabilities(rows.data)))


def logsumexp_hessian(x: Any, axis: int = -1) -> Any:
    """Hessian of log-sum-exp for each vector along `axis`: the Jacobian of softmax.

    The gradient of log-sum-exp is softmax, so its Hessian is :func:`jacobian`, which see.

    Parameters
    ----------
    x, axis
        As for :func:`jacobian`.

    Returns
    -------
    array of shape (..., n, n), in the format of `x`
        diag(p) − ppᵀ, symmetric and positive semidefinite.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As :func:`jacobian`.

    Notes
    -----
    Error: at most 6 + 2·d ulp in float64, 12 + 2·d ulp in float32 and 0.6 ulp in float16 and
    bfloat16; d as for :func:`jacobian`.

    Examples
    --------
    >>> import numpy as np
    >>> logsumexp_hessian(np.array([0.0, 0.0]))
    array([[ 0.25, -0.25],
           [-0.25,  0.25]])
    """
    return jacobian(x, axis)


def log_softmax_jacobian(x: Any, axis: int = -1) -> Any:
    """Jacobian of log_softmax, I − 1pᵀ, for each vector along `axis`.

    Parameters
    ----------
    x, axis
        As for :func:`jacobian`.

    Returns
    -------
    array of shape (..., n, n), in the format of `x`
        ``[..., i, j]`` is ∂ log p_i / ∂x_j: 1 − p_i on the diagonal, −p_j elsewhere. Every row sums
        to 0. The matrix is not symmetric.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As :func:`jacobian`.

    Notes
    -----
    Error: at most 6 + 2·d ulp in float64, 12 + 2·d ulp in float32 and 0.55 ulp in float16 and
    bfloat16; d that of the column, as in :mod:`softmax_ref`.

    Examples
    --------
    >>> import numpy as np
    >>> log_softmax_jacobian(np.array([0.0, np.log(3.0)]))
    array([[ 0.75, -0.75],
           [-0.25,  0.25]])
    """
    rows = _vector_rows(x, axis)
    p = _probabilities(rows.data)
    return rows.reduced(_with_diagonal(complement(p), -p[..., None, :]))


def _vector_rows(x: Any, axis: Any) -> Rows:
    if isinstance(axis, tuple) or axis is None:
        raise TypeError(f"axis must be one integer; got {axis!r}.")
    return rows_of(x, axis)


def _probabilities(logits: Any) -> Any:
    return softmax_rows(logits, 1.0) if logits.shape[-1] else logits


def _covariance(p: Any) -> Any:
    """diag(p) − ppᵀ."""
    return _with_diagonal(p * complement(p), -p[..., :, None] * p[..., None, :])


def _with_diagonal(diagonal: Any, elsewhere: Any) -> Any:
    xp = array_namespace(diagonal)
    i = xp.arange(diagonal.shape[-1], device=diagonal.device)
    return xp.where(i[:, None] == i, diagonal[..., None], elsewhere)


def softmax_jvp(x: Any, v: Any, axis: int = -1) -> Any:
    """Jacobian of softmax at `x` times `v`: the change of the probabilities in the direction v.

    p ∘ (v − pᵀv), in O(n) time and memory. The vector is first shifted by its entry at the largest
    probability, which changes nothing in exact arithmetic and saves the digits of that entry.

    Parameters
    ----------
    x : array of shape (..., n, ...)
        Logits, as for :func:`softmax_ref.softmax`.
    v : array of the shape of `x`
        The direction. It is converted to the format of `x`.
    axis : int
        The axis of the classes.

    Returns
    -------
    array of the shape and format of `x`

    Raises
    ------
    ValueError
        If the shapes differ: "v must have the shape of x, (3,); got (2,)."

    Notes
    -----
    Error: at most ulp + (20 + 2·d)·u·V in every format; with V = p (max v − min v), d and u as
    in :mod:`softmax_ref`.

    Examples
    --------
    >>> import numpy as np
    >>> softmax_jvp(np.array([0.0, 0.0]), np.array([1.0, 0.0]))
    array([ 0.25, -0.25])
    """
    return _product(softmax_product, x, v, axis, "v")


def softmax_vjp(x: Any, g: Any, axis: int = -1) -> Any:
    """Gradient with respect to `x` of Σ g·softmax(x): the backward pass of softmax.

    The Jacobian is symmetric, so this is the same product as :func:`softmax_jvp`.

    Parameters
    ----------
    x : array of shape (..., n, ...)
        Logits, as for :func:`softmax_ref.softmax`.
    g : array of the shape of `x`
        Gradient with respect to the probabilities. It is converted to the format of `x`.
    axis : int
        The axis of the classes.

    Returns
    -------
    array of the shape and format of `x`

    Raises
    ------
    ValueError
        If the shapes differ: "g must have the shape of x, (3,); got (2,)."

    Notes
    -----
    Error: at most ulp + (20 + 2·d)·u·V in every format; with V = p (max g − min g), d and u as
    in :mod:`softmax_ref`.

    Examples
    --------
    >>> import numpy as np
    >>> softmax_vjp(np.array([0.0, 0.0]), np.array([1.0, 0.0]))
    array([ 0.25, -0.25])
    """
    return _product(softmax_product, x, g, axis, "g")


def log_softmax_jvp(x: Any, v: Any, axis: int = -1) -> Any:
    """Jacobian of log_softmax at `x` times `v`: v − pᵀv, in O(n) time and memory.

    Parameters
    ----------
    x, v, axis
        As for :func:`softmax_jvp`.

    Returns
    -------
    array of the shape and format of `x`

    Raises
    ------
    ValueError
        If the shapes differ: "v must have the shape of x, (3,); got (2,)."

    Notes
    -----
    Error: at most ulp + 20·u·V in every format; with V = max v − min v, u as in
    :mod:`softmax_ref`.

    Examples
    --------
    >>> import numpy as np
    >>> log_softmax_jvp(np.array([0.0, 0.0]), np.array([1.0, 0.0]))
    array([ 0.5, -0.5])
    """
    return _product(jvp_of_log, x, v, axis, "v")


def log_softmax_vjp(x: Any, g: Any, axis: int = -1) -> Any:
    """Gradient with respect to `x` of Σ g·log_softmax(x): g − p Σ g, in O(n) time and memory.

    The entry of the largest probability is computed as the negative sum of the others.

    Parameters
    ----------
    x, g, axis
        As for :func:`softmax_vjp`.

    Returns
    -------
    array of the shape and format of `x`

    Raises
    ------
    ValueError
        If the shapes differ: "g must have the shape of x, (3,); got (2,)."

    Notes
    -----
    Error: at most ulp + (30 + 2·d)·u·G in every format; with G = abs(g) + p Σ abs(g), but at
    the largest probability the sum of the others' G; d and u as in :mod:`softmax_ref`.

    Examples
    --------
    >>> import numpy as np
    >>> log_softmax_vjp(np.array([0.0, 0.0]), np.array([1.0, 0.0]))
    array([ 0.5, -0.5])
    >>> log_softmax_vjp(np.array([40.0, 0.0]), np.array([1.0, 0.0]))
    array([ 4.24835426e-18, -4.24835426e-18])
    """
    return _product(vjp_of_log, x, g, axis, "g")


def logsumexp_jvp(x: Any, v: Any, axis: int = -1) -> Any:
    """Derivative of log-sum-exp at `x` in the direction `v`: pᵀv.

    Parameters
    ----------
    x, v, axis
        As for :func:`softmax_jvp`.

    Returns
    -------
    array of the shape of `x` without `axis`, in the format of `x`

    Raises
    ------
    ValueError
        If the shapes differ: "v must have the shape of x, (3,); got (2,)."

    Notes
    -----
    Error: at most ulp + 20·u·V in every format; with V = max abs(v), u as in
    :mod:`softmax_ref`.

    Examples
    --------
    >>> import numpy as np
    >>> float(logsumexp_jvp(np.array([0.0, 0.0]), np.array([1.0, 0.0])))
    0.5
    """
    rows, v = _pair(x, v, axis, "v")
    xp = rows.xp
    y = map_rows(lambda x, v: xp.sum(_probabilities(x) * v, axis=-1), rows.data, v, reduced=True)
    return rows.reduced(y)


def logsumexp_vjp(x: Any, g: Any, axis: int = -1) -> Any:
    """Gradient with respect to `x` of Σ g·logsumexp(x): g times the probabilities.

    Parameters
    ----------
    x, axis
        As for :func:`softmax_vjp`.
    g : array of the shape of `x` without `axis`
        Gradient with respect to the log-sum-exp. It is converted to the format of `x`.

    Returns
    -------
    array of the shape and format of `x`

    Raises
    ------
    ValueError
        If the shape does not fit: "g must have the shape of x without its axis, (); got (2,)."

    Notes
    -----
    Error: at most 6 + 2·d ulp in float64, 10 + 2·d ulp in float32 and 0.55 ulp in float16 and
    bfloat16; d as in :mod:`softmax_ref`.

    Examples
    --------
    >>> import numpy as np
    >>> logsumexp_vjp(np.array([0.0, 0.0]), 3.0)
    array([1.5, 1.5])
    """
    rows = _vector_rows(x, axis)
    g = like(g, rows.data, "g")
    shape = rows.data.shape[:-1]
    same_shape(g, shape, "g", "x without its axis")
    return rows.full(map_rows(lambda x, g: g[..., None] * _probabilities(x), rows.data, g))


def _pair(x: Any, v: Any, axis: int, name: str) -> tuple[Rows, Any]:
    rows = _vector_rows(x, axis)
    v = like(v, rows.data, name)
    same_shape(v, rows.shape, name, "x")
    return rows, rows.arrange(v)


def _product(product: Callable[[Any, Any], Any], x: Any, v: Any, axis: int, name: str) -> Any:
    """A product with a Jacobian, row by row; of nothing where there are no classes."""
    rows, v = _pair(x, v, axis, name)
    if rows.data.shape[-1] == 0:
        return rows.full(rows.data)
    return rows.full(map_rows(lambda x, v: product(_probabilities(x), v), rows.data, v))
