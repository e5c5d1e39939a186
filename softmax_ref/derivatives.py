"""Derivatives of softmax: the Jacobian, and products with it that never form it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._arrays import like, rows_of, same_shape
from ._products import complement, softmax_product
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

    Examples
    --------
    >>> import numpy as np
    >>> jacobian(np.array([0.0, 0.0]))
    array([[ 0.25, -0.25],
           [-0.25,  0.25]])
    >>> jacobian(np.zeros((3, 5)), axis=0).shape
    (5, 3, 3)
    """
    rows = rows_of(x, axis)
    xp = rows.xp
    p = softmax_rows(rows.data, 1.0)
    eye = xp.eye(p.shape[-1], dtype=p.dtype, device=p.device)
    diagonal = p * complement(p)
    J = xp.where(eye == 1, diagonal[..., None], -p[..., :, None] * p[..., None, :])
    return rows.reduced(J)


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

    Examples
    --------
    >>> import numpy as np
    >>> softmax_jvp(np.array([0.0, 0.0]), np.array([1.0, 0.0]))
    array([ 0.25, -0.25])
    """
    return _product(x, v, axis, "v")


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

    Examples
    --------
    >>> import numpy as np
    >>> softmax_vjp(np.array([0.0, 0.0]), np.array([1.0, 0.0]))
    array([ 0.25, -0.25])
    """
    return _product(x, g, axis, "g")


def _product(x: Any, v: Any, axis: int, name: str) -> Any:
    rows = rows_of(x, axis)
    v = like(v, rows.data, name)
    same_shape(v, rows, name, "x")
    return rows.full(softmax_product(softmax_rows(rows.data, 1.0), rows.arrange(v)))
