"""Softmax, log-softmax and log-sum-exp as a careful library computes them.

The row functions at the top are the algorithms: one array of shape (rows, n), reduced along its
last axis. The public functions below them add axes, masks, temperature and the edges.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from array_api_compat import array_namespace

from ._arrays import rows_of
from ._blocks import by_rows, pieces
from ._operations import Operation
from ._products import log_softmax_jvp, log_softmax_vjp, softmax_product

Axis = int | tuple[int, ...] | None


def _fill_softmax(temperature: float, p: Any, x: Any) -> None:
    """exp((x − m)/T) over its sum. No exponent is above 0; the sum is between 1 and n."""
    xp = array_namespace(x)
    _, m = _maximum(xp, x)
    sums = []
    for piece in pieces(x):
        e = _shift(xp, x[:, piece], m, temperature, p[:, piece])
        xp.exp(e, out=e)
        sums.append(e.sum(axis=-1, keepdims=True))
    p /= _total(xp, sums)


def _fill_log_softmax(temperature: float, y: Any, x: Any) -> None:
    """(x − m)/T − log1p(S), S the sum over all but the maximum: the largest entry is −log1p(S)."""
    xp = array_namespace(x)
    k, m = _maximum(xp, x)
    sums = []
    for piece in pieces(x):
        e = xp.exp(_shift(xp, x[:, piece], m, temperature, y[:, piece]))
        sums.append(_sum_of_others(xp, e, k - piece.start))
    y -= xp.log1p(_total(xp, sums))


def _fill_logsumexp(y: Any, x: Any) -> None:
    """m + log1p(S), S the sum over all but the maximum."""
    xp = array_namespace(x)
    k, m = _maximum(xp, x)
    # An infinite maximum must not be subtracted from itself: inf − inf is nan, the answer is ±inf.
    shift = xp.where(xp.isinf(m), 0, m)
    sums = []
    for piece in pieces(x):
        e = x[:, piece] - shift
        sums.append(_sum_of_others(xp, xp.exp(e, out=e), k - piece.start))
    y[:] = (m + xp.log1p(_total(xp, sums)))[:, 0]


def _maximum(xp: Any, x: Any) -> tuple[Any, Any]:
    """Column of each row's maximum, (rows,), and the maximum, (rows, 1); a nan is a maximum."""
    k = x.argmax(axis=-1)
    return k, x[xp.arange(len(k), device=x.device), k][:, None]


def _shift(xp: Any, x: Any, m: Any, temperature: float, out: Any) -> Any:
    """(x − m)/T. The subtraction comes first: x/T may overflow, and rounds where x − m does not."""
    xp.subtract(x, m, out=out)
    if temperature != 1:
        out /= temperature
    return out


def _sum_of_others(xp: Any, e: Any, k: Any) -> Any:
    """Row sums of the exponentials `e`, which are overwritten, without the maximum's in column k.

    That one is exp(0), exactly 1. Subtracting 1 leaves the term out, and keeps it if it is a nan
    (from inf − inf).
    """
    # A row in several pieces is alone in its block, and its maximum is in one of them.
    if len(k) > 1 or 0 <= k[0] < e.shape[-1]:
        e[xp.arange(len(k), device=e.device), k] -= 1
    return e.sum(axis=-1, keepdims=True)


def _total(xp: Any, sums: list[Any]) -> Any:
    """Sum of the sums over the pieces of a row."""
    if len(sums) == 1:
        return sums[0]
    return xp.concat(sums, axis=-1).sum(axis=-1, keepdims=True)


def _empty(x: Any, shape: tuple[int, ...]) -> Any:
    return array_namespace(x).empty(shape, dtype=x.dtype, device=x.device)


softmax_rows = Operation(
    value=lambda x, T: by_rows(partial(_fill_softmax, T), _empty(x, x.shape), x),
    vjp=lambda x, p, g, T: softmax_product(p, g) / T,
    jvp=lambda x, p, v, T: softmax_product(p, v) / T,
)

log_softmax_rows = Operation(
    value=lambda x, T: by_rows(partial(_fill_log_softmax, T), _empty(x, x.shape), x),
    vjp=lambda x, y, g, T: log_softmax_vjp(_exp(y), g) / T,
    jvp=lambda x, y, v, T: log_softmax_jvp(_exp(y), v) / T,
)

logsumexp_rows = Operation(
    value=lambda x: by_rows(_fill_logsumexp, _empty(x, x.shape[:-1]), x),
    vjp=lambda x, y, g: g[..., None] * softmax_rows(x, 1.0),
    jvp=lambda x, y, v: array_namespace(x).sum(softmax_rows(x, 1.0) * v, axis=-1),
)


def _exp(y: Any) -> Any:
    return array_namespace(y).exp(y)


def softmax(x: Any, axis: Axis = -1) -> Any:
    """Softmax, exp(x_i) / Σ_j exp(x_j), along `axis`, shifted by the maximum.

    Parameters
    ----------
    x : array of shape (..., n, ...)
        Logits: a NumPy array, a PyTorch tensor, or anything that NumPy makes an array of.
        float64, float32, float16 or bfloat16; integers and booleans become float64 first.
    axis : int, tuple of int or None
        The axis or axes over which the probabilities sum to 1; None is all of them.

    Returns
    -------
    array of the shape and format of `x`
        float64 for integers and booleans. float16 and bfloat16 are computed in float32 and rounded
        once. An entry of −inf gives 0. A row that contains nan or +inf, or holds nothing but −inf,
        gives nan. An empty axis gives an empty array, a 0-d array gives 1.

    Raises
    ------
    TypeError
        If `x` is not real: "x must hold real numbers in one of …; got complex128."
    numpy.exceptions.AxisError
        If `axis` is out of range.

    References
    ----------
    P. Blanchard, D. J. Higham and N. J. Higham, "Accurately computing the log-sum-exp and softmax
    functions", IMA Journal of Numerical Analysis 41 (2021), algorithm 3.2.

    Examples
    --------
    >>> import numpy as np
    >>> softmax(np.array([2.0, 1.0, 0.1])).round(6)
    array([0.659001, 0.242433, 0.098566])
    >>> softmax(np.array([1000.0, 500.0, 500.0])).round(6)
    array([1., 0., 0.])
    >>> softmax(np.array([1, 2], dtype=np.uint8)).round(6)
    array([0.268941, 0.731059])
    """
    rows = rows_of(x, axis)
    if rows.data.shape[-1] == 0:
        return rows.full(rows.data)
    return rows.full(softmax_rows(rows.data, 1.0))


def log_softmax(x: Any, axis: Axis = -1) -> Any:
    """Logarithm of the softmax along `axis`, without forming the softmax.

    Parameters
    ----------
    x : array of shape (..., n, ...)
        Logits, as for :func:`softmax`.
    axis : int, tuple of int or None
        The axis or axes over which the probabilities sum to 1; None is all of them.

    Returns
    -------
    array of the shape and format of `x`
        float64 for integers and booleans. The maximum is left out of the sum, so the largest entry
        keeps its digits however near 0 it is. An entry of −inf gives −inf. A row that contains nan
        or +inf, or holds nothing but −inf, gives nan. An empty axis gives an empty array, a 0-d
        array gives 0.

    Raises
    ------
    TypeError
        If `x` is not real: "x must hold real numbers in one of …; got complex128."
    numpy.exceptions.AxisError
        If `axis` is out of range.

    References
    ----------
    Blanchard, Higham and Higham (2021), section 3: the maximum left out of the sum, then log1p.

    Examples
    --------
    >>> import numpy as np
    >>> log_softmax(np.array([1000.0, 960.0]))
    array([-4.24835426e-18, -4.00000000e+01])
    """
    rows = rows_of(x, axis)
    if rows.data.shape[-1] == 0:
        return rows.full(rows.data)
    return rows.full(log_softmax_rows(rows.data, 1.0))


def logsumexp(x: Any, axis: Axis = -1, *, keepdims: bool = False) -> Any:
    """log Σ_j exp(x_j) along `axis`, the smooth maximum.

    Parameters
    ----------
    x : array of shape (..., n, ...)
        Logits, as for :func:`softmax`.
    axis : int, tuple of int or None
        The axis or axes to reduce; None is all of them.
    keepdims : bool
        Keep the reduced axes with length 1.

    Returns
    -------
    array of the shape of `x` without `axis`, in the format of `x`
        float64 for integers and booleans. A row that contains nan gives nan, else one that contains
        +inf gives +inf. A row of nothing but −inf, or an empty one, gives −inf. A 0-d array gives
        itself.

    Raises
    ------
    TypeError
        If `x` is not real: "x must hold real numbers in one of …; got complex128."
    numpy.exceptions.AxisError
        If `axis` is out of range.

    References
    ----------
    Blanchard, Higham and Higham (2021), algorithm 3.1 and section 3.

    Examples
    --------
    >>> import numpy as np
    >>> float(logsumexp(np.array([1000.0, 1000.0, 1000.0])).round(6))
    1001.098612
    >>> float(logsumexp(np.array([0.0, -40.0])))
    4.248354255291589e-18
    """
    rows = rows_of(x, axis)
    data, xp = rows.data, rows.xp
    if data.shape[-1] == 0:
        empty = xp.full(data.shape[:-1], -xp.inf, dtype=data.dtype, device=data.device)
        return rows.reduced(empty, keepdims)
    return rows.reduced(logsumexp_rows(data), keepdims)
