"""Softmax, log-softmax and log-sum-exp as a careful library computes them.

The row functions at the top are the algorithms: one array of shape (rows, n), reduced along its
last axis. The public functions below them add axes, masks, temperature and the edges.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from array_api_compat import array_namespace, is_torch_array

from ._arrays import Rows, as_array, broadcast, format_name, like, mask_of, number, rows_of
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
        d = _shift(xp, x[:, piece], m, temperature, y[:, piece])
        sums.append(_sum_of_others(xp, xp.exp(d), k - piece.start))
    y -= xp.astype(xp.log1p(_sharp(_total(xp, sums))), y.dtype)


def _fill_logsumexp(y: Any, x: Any) -> None:
    """m + log1p(S), S the sum over all but the maximum."""
    xp = array_namespace(x)
    k, m = _maximum(xp, x)
    # An infinite maximum must not be subtracted from itself: inf − inf is nan, the answer is ±inf.
    shift = xp.where(xp.isinf(m), 0, m)
    sums = []
    for piece in pieces(x):
        sums.append(_sum_of_others(xp, _shifted_exp(xp, x[:, piece], shift), k - piece.start))
    y[:] = (_sharp(m) + xp.log1p(_sharp(_total(xp, sums))))[:, 0]


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


def _shifted_exp(xp: Any, x: Any, shift: Any) -> Any:
    """exp(x − shift) with one temporary array.

    It has no name where it is used, so that its memory is free again for the next piece.
    """
    e = x - shift
    return xp.exp(e, out=e)


def _sum_of_others(xp: Any, e: Any, k: Any) -> Any:
    """Row sums of the exponentials `e`, which are overwritten, without the maximum's in column k.

    That one is exp(0), exactly 1. Subtracting 1 leaves the term out, and keeps it if it is a nan
    (from inf − inf).
    """
    # A row in several pieces is alone in its block, and its maximum is in one of them.
    if len(k) > 1 or 0 <= k[0] < e.shape[-1]:
        e[xp.arange(len(k), device=e.device), k] -= 1
    return e.sum(axis=-1, keepdims=True)


def _sharp(s: Any) -> Any:
    """One number a row, in float64 under NumPy, whose float32 log1p errs by up to 1.7 ulp."""
    return s.astype(np.float64) if isinstance(s, np.ndarray) else s


def _total(xp: Any, sums: list[Any]) -> Any:
    """Sum of the sums over the pieces of a row."""
    if len(sums) == 1:
        return sums[0]
    return xp.concat(sums, axis=-1).sum(axis=-1, keepdims=True)


def _empty(x: Any, shape: tuple[int, ...]) -> Any:
    return array_namespace(x).empty(shape, dtype=x.dtype, device=x.device)


softmax_rows: Operation = Operation(
    value=lambda x, T: by_rows(partial(_fill_softmax, T), _empty(x, x.shape), x),
    vjp=lambda x, p, g, T: softmax_product(p, g) / T,
    jvp=lambda x, p, v, T: softmax_product(p, v) / T,
)

log_softmax_rows: Operation = Operation(
    value=lambda x, T: by_rows(partial(_fill_log_softmax, T), _empty(x, x.shape), x),
    vjp=lambda x, y, g, T: log_softmax_vjp(_exp(y), g) / T,
    jvp=lambda x, y, v, T: log_softmax_jvp(_exp(y), v) / T,
)

logsumexp_rows: Operation = Operation(
    value=lambda x: by_rows(_fill_logsumexp, _empty(x, x.shape[:-1]), x),
    vjp=lambda x, y, g: g[..., None] * softmax_rows(x, 1.0),
    jvp=lambda x, y, v: array_namespace(x).sum(softmax_rows(x, 1.0) * v, axis=-1),
)


def _exp(y: Any) -> Any:
    return array_namespace(y).exp(y)


def _temperature(temperature: Any, rows: Rows) -> float:
    """The temperature, positive and finite in the format in which the work is done."""
    if type(temperature) is float and temperature == 1:
        return temperature
    dtype = np.dtype(format_name(rows.data))

    def fits(t: float) -> bool:
        with np.errstate(all="ignore"):
            return bool(0 < dtype.type(t) < np.inf)

    return number(temperature, "temperature", f"a positive finite number in {dtype.name}", fits)


def _along_rows(
    operation: Operation, x: Any, axis: Axis, where: Any, temperature: Any, masked: float
) -> Any:
    """An operation along `axis`; what `where` leaves out is −inf inside and `masked` outside."""
    rows = rows_of(x, axis)
    temperature = _temperature(temperature, rows)
    if rows.data.shape[-1] == 0:
        return rows.full(rows.data)
    if where is None:
        return rows.full(operation(rows.data, temperature))
    mask = mask_of(where, rows)
    y = operation(_masked(rows, mask)[0], temperature)
    return rows.full(rows.xp.where(mask, y, masked))


def _masked(rows: Rows, mask: Any) -> tuple[Any, Any]:
    """The data with −inf where `mask` is false, and which rows have any entry left.

    A row without any holds zeros: its result is replaced, and no nan arises on the way to it, nor
    in its derivative.
    """
    xp = rows.xp
    some = xp.any(mask, axis=-1, keepdims=True)
    return xp.where(some, xp.where(mask, rows.data, -xp.inf), 0.0), some[..., 0]


def softmax(x: Any, axis: Axis = -1, *, where: Any = None, temperature: float = 1.0) -> Any:
    """Softmax, exp(x_i) / Σ_j exp(x_j), along `axis`, shifted by the maximum.

    Parameters
    ----------
    x : array of shape (..., n, ...)
        Logits: a NumPy array, a PyTorch tensor, or anything that NumPy makes an array of.
        float64, float32, float16 or bfloat16; integers and booleans become float64 first.
    axis : int, tuple of int or None
        The axis or axes over which the probabilities sum to 1; None is all of them.
    where : array of bool that broadcasts to `x`, optional
        False leaves an entry out, whatever it holds: its probability is 0.
    temperature : float
        T in exp(x_i/T), positive and finite. The maximum is subtracted first, then divided.

    Returns
    -------
    array of the shape and format of `x`
        float64 for integers and booleans. float16 and bfloat16 are computed in float32 and rounded
        once. An entry of −inf gives 0. A row that contains nan or +inf, or holds nothing but −inf,
        gives nan; one whose every entry is left out by `where` gives 0. An empty axis gives an
        empty array, a 0-d array gives 1.

    Raises
    ------
    TypeError
        If `x` is not real: "x must hold real numbers in one of …; got complex128."
    ValueError
        "temperature must be a positive finite number in float64; got 0.", or if the shape of
        `where` does not broadcast.
    numpy.exceptions.AxisError
        If `axis` is out of range.

    Notes
    -----
    Error: at most 6 + 3·d ulp in float64, 8 + 3·d ulp in float32 and 0.55 ulp in float16 and
    bfloat16; d: how far the logit is below the largest, over T.

    References
    ----------
    P. Blanchard, D. J. Higham and N. J. Higham, "Accurately computing the log-sum-exp and softmax
    functions", IMA Journal of Numerical Analysis 41 (2021), section 4: the shifted formula.

    Examples
    --------
    >>> import numpy as np
    >>> softmax(np.array([2.0, 1.0, 0.1])).round(6)
    array([0.659001, 0.242433, 0.098566])
    >>> softmax(np.array([1000.0, 500.0, 500.0])).round(6)
    array([1., 0., 0.])
    >>> softmax(np.array([1, 2], dtype=np.uint8)).round(6)
    array([0.268941, 0.731059])
    >>> softmax([1.0, 2.0, np.nan], where=[True, True, False]).round(6)
    array([0.268941, 0.731059, 0.      ])
    """
    return _along_rows(softmax_rows, x, axis, where, temperature, masked=0.0)


def softmin(x: Any, axis: Axis = -1, *, where: Any = None, temperature: float = 1.0) -> Any:
    """Softmax of −x: the smallest entry gets the largest probability.

    Parameters
    ----------
    x, axis, where, temperature
        As for :func:`softmax`. Unsigned integers become float64 before the sign changes.

    Returns
    -------
    array of the shape and format of `x`
        As for :func:`softmax`, with the signs of the infinities exchanged.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As :func:`softmax`.

    Notes
    -----
    Error: at most 6 + 3·d ulp in float64, 8 + 3·d ulp in float32 and 0.55 ulp in float16 and
    bfloat16; d: how far the logit is above the least, over T.

    Examples
    --------
    >>> import numpy as np
    >>> softmin(np.array([0, 2], dtype=np.uint8)).round(6)
    array([0.880797, 0.119203])
    """
    return softmax(-as_array(x), axis, where=where, temperature=temperature)


def log_softmax(x: Any, axis: Axis = -1, *, where: Any = None, temperature: float = 1.0) -> Any:
    """Logarithm of the softmax along `axis`, without forming the softmax.

    Parameters
    ----------
    x, axis, where, temperature
        As for :func:`softmax`.

    Returns
    -------
    array of the shape and format of `x`
        float64 for integers and booleans. The maximum is left out of the sum, so the largest entry
        keeps its digits however near 0 it is. An entry of −inf, or one left out by `where`, gives
        −inf. A row that contains nan or +inf, or holds nothing but −inf, gives nan; one whose every
        entry is left out by `where` gives −inf. An empty axis gives an empty array, a 0-d array
        gives 0.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As :func:`softmax`.

    Notes
    -----
    Error: at most 4 + 3·d ulp in float64, 6 + 3·d ulp in float32 and 0.55 ulp in float16 and
    bfloat16; d as in :mod:`softmax_ref`.

    References
    ----------
    Blanchard, Higham and Higham (2021): the maximum left out of the sum, then log1p.

    Examples
    --------
    >>> import numpy as np
    >>> log_softmax(np.array([1000.0, 960.0]))
    array([-4.24835426e-18, -4.00000000e+01])
    """
    return _along_rows(log_softmax_rows, x, axis, where, temperature, masked=-math.inf)


def logsumexp(
    x: Any,
    axis: Axis = -1,
    *,
    keepdims: bool = False,
    where: Any = None,
    b: Any = None,
    return_sign: bool = False,
) -> Any:
    """log Σ_j b_j exp(x_j) along `axis`; with b = 1 the smooth maximum.

    Parameters
    ----------
    x : array of shape (..., n, ...)
        Logits, as for :func:`softmax`.
    axis : int, tuple of int or None
        The axis or axes to reduce; None is all of them.
    keepdims : bool
        Keep the reduced axes with length 1.
    where : array of bool that broadcasts to `x`, optional
        False leaves an entry out, whatever it holds.
    b : array that broadcasts to `x`, optional
        Weights, of any sign. An entry with weight 0 is left out, whatever it holds. Autograd
        follows them, too: the derivative is exp(x)/Σ b exp(x), also at weight 0; it is taken to be
        0 where `x` is not finite and where the sum is 0.
    return_sign : bool
        Return the logarithm of the absolute value of the sum, and the sign of the sum.

    Returns
    -------
    array of the shape of `x` without `axis`, in the format of `x`
        float64 for integers and booleans. A row that contains nan gives nan, else one that contains
        +inf gives +inf. A row of nothing but −inf, an empty one, or one whose every entry is left
        out, gives −inf. A 0-d array gives itself.
    sign : array of the same shape and format, only if `return_sign`
        1, −1, or 0 where the sum is 0; nan where the logarithm is nan.

    Raises
    ------
    ValueError
        If a weighted sum is negative without `return_sign`: "the sum is negative; pass
        return_sign=True for the logarithm of its absolute value and its sign."
    TypeError, numpy.exceptions.AxisError
        As :func:`softmax`.

    Notes
    -----
    Error: at most 3·ulp + (6 + 2·d)·u·L in float64 and float32, 0.6·ulp + (6 + 2·d)·u·L in
    float16 and bfloat16; without `b`, with L = result − maximum, d and u as in
    :mod:`softmax_ref`.

    References
    ----------
    Blanchard, Higham and Higham (2021): shifted, the maximum left out of the sum, then log1p.

    Examples
    --------
    >>> import numpy as np
    >>> float(logsumexp(np.array([1000.0, 1000.0, 1000.0])).round(6))
    1001.098612
    >>> float(logsumexp(np.array([0.0, -40.0])))
    4.248354255291589e-18
    >>> y, sign = logsumexp(np.array([0.0, 1.0]), b=np.array([1.0, -1.0]), return_sign=True)
    >>> float(y.round(6)), float(sign)  # 1 − e
    (0.541325, -1.0)
    """
    rows = rows_of(x, axis)
    xp, data = rows.xp, rows.data
    mask = None if where is None else mask_of(where, rows)
    if b is None:
        y = _masked_logsumexp(rows, mask)
        sign = xp.where(y == -xp.inf, 0.0, xp.where(xp.isnan(y), y, 1.0))
    else:
        with np.errstate(all="ignore"):
            b = rows.arrange(broadcast(like(b, data, "b"), rows, "b"))
            y, sign = _signed_logsumexp(rows, b.detach() if is_torch_array(b) else b, mask)
            if is_torch_array(b):
                y = y + _change_with_weights(rows, b, mask, y, sign)
    if not return_sign:
        if b is not None and xp.any(sign < 0):
            raise ValueError(
                "the sum is negative; pass return_sign=True for the logarithm of its absolute "
                "value and its sign."
            )
        return rows.reduced(y, keepdims)
    return rows.reduced(y, keepdims), rows.reduced(sign, keepdims)


def _masked_logsumexp(rows: Rows, mask: Any) -> Any:
    """Log-sum-exp of each row over the entries where `mask` is true; −inf if there are none."""
    xp, data = rows.xp, rows.data
    if data.shape[-1] == 0:
        return xp.full(data.shape[:-1], -xp.inf, dtype=data.dtype, device=data.device)
    if mask is None:
        return logsumexp_rows(data)
    data, some = _masked(rows, mask)
    return xp.where(some, logsumexp_rows(data), -xp.inf)


def _signed_logsumexp(rows: Rows, b: Any, mask: Any) -> tuple[Any, Any]:
    """log |Σ b exp(x)| and the sign, each row; b exp(x) = ± exp(x + log |b|)."""
    xp = rows.xp
    used = b != 0 if mask is None else (b != 0) & mask
    x = xp.where(used, rows.data, 0.0) + xp.log(xp.where(used, xp.abs(b), 1.0))
    weighted = replace(rows, data=x)
    plus = _masked_logsumexp(weighted, used & ~(b < 0))
    minus = _masked_logsumexp(weighted, used & (b < 0))
    sign = xp.sign(plus - minus)
    equal = plus == minus  # both infinite, or the sums cancel: the difference is nan or 0
    sign = xp.where(equal, xp.where(plus == xp.inf, xp.nan, 0.0), sign)
    large, small = xp.maximum(plus, minus), xp.minimum(plus, minus)
    d = xp.where(equal, -1.0, small - large)
    # log(1 − exp(d)), by the form that keeps its digits: expm1 for small |d|, log1p for large.
    log_rest = xp.where(d > -0.5, xp.log(-xp.expm1(d)), xp.log1p(-xp.exp(d)))
    y = xp.where(equal, xp.where(plus == xp.inf, xp.nan, -xp.inf), large + log_rest)
    return y, sign


def _change_with_weights(rows: Rows, b: Any, mask: Any, y: Any, sign: Any) -> Any:
    """log of Σ b exp(x) over the same sum with b as a constant: 0, with all derivatives in b.

    y and sign are those of that second sum. Where exp(x − y) would overflow, it is held below:
    0 times infinity would be nan.
    """
    xp, y = rows.xp, y[..., None]
    counts = xp.isfinite(rows.data) & xp.isfinite(y)
    if mask is not None:
        counts = counts & mask
    limit = math.floor(math.log(xp.finfo(b.dtype).max))
    d = xp.where(counts, xp.where(counts, rows.data, 0.0) - xp.where(counts, y, 0.0), -xp.inf)
    share = sign[..., None] * xp.exp(xp.clip(d, max=limit))
    return xp.log1p(xp.sum((b - b.detach()) * share, axis=-1))
