"""The three functions: arguments, axes and shapes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..formats import FORMATS, Format
from .certificates import Certificate, Recorder
from .entries import softmax_rows
from .logarithms import log_softmax_rows, logsumexp_rows

Axis = int | tuple[int, ...] | None
Array = NDArray[Any]
Rows = Callable[[Array, Format, Recorder], Array]


@overload
def softmax(x: ArrayLike, axis: Axis = -1, *, certificate: Literal[False] = False) -> Array: ...


@overload
def softmax(
    x: ArrayLike, axis: Axis = -1, *, certificate: Literal[True]
) -> tuple[Array, Certificate]: ...


def softmax(
    x: ArrayLike, axis: Axis = -1, *, certificate: bool = False
) -> Array | tuple[Array, Certificate]:
    """Correctly rounded softmax: each entry is the representable number nearest to the true one.

    Parameters
    ----------
    x : array_like
        Logits, of any shape, in float64, float32, float16, bfloat16, float8_e4m3fn or float8_e5m2.
        Integers and booleans become float64 first.
    axis : int, tuple of int or None
        Along which the entries sum to 1; None takes the whole array.
    certificate : bool
        Return also which stage decided each entry, and an enclosure of its true value.

    Returns
    -------
    array
        In the shape and format of `x`. Ties go to even, underflow is gradual.
        0 at −inf; nan for a slice that holds nan or +inf, or nothing but −inf.
    Certificate
        If `certificate`.

    Raises
    ------
    TypeError
        If `x` is not of a supported format: it names the format and the valid ones.
    numpy.exceptions.AxisError
        If an axis is out of range.

    References
    ----------
    The book's chapter on correct rounding; claim thm-rounding-certified.

    Examples
    --------
    >>> import numpy as np
    >>> softmax(np.array([2.0, 1.0, 0.1])).round(6)
    array([0.659001, 0.242433, 0.098566])
    >>> softmax(np.array([1.7e308, -1.7e308]))
    array([1., 0.])
    """
    return _apply(softmax_rows, x, axis, certificate, keepdims=None)


@overload
def log_softmax(x: ArrayLike, axis: Axis = -1, *, certificate: Literal[False] = False) -> Array: ...


@overload
def log_softmax(
    x: ArrayLike, axis: Axis = -1, *, certificate: Literal[True]
) -> tuple[Array, Certificate]: ...


def log_softmax(
    x: ArrayLike, axis: Axis = -1, *, certificate: bool = False
) -> Array | tuple[Array, Certificate]:
    """Correctly rounded logarithm of softmax, x − log Σ eˣ.

    Parameters
    ----------
    x, axis, certificate
        As for :func:`softmax`.

    Returns
    -------
    array
        In the shape and format of `x`. −inf at −inf; 0 at a single finite entry, and −0 where the
        true value, which is negative, is nearest to zero; what is too negative overflows as the
        format does. nan for a slice that holds nan or +inf, or nothing but −inf.
    Certificate
        If `certificate`.

    Raises
    ------
    TypeError, numpy.exceptions.AxisError
        As :func:`softmax`.

    Examples
    --------
    The largest entry, of which a logarithm of the quotient would leave nothing:

    >>> import numpy as np
    >>> print(log_softmax(np.array([40.0, 0.0])))
    [-4.24835426e-18 -4.00000000e+01]

    A value below the middle of two float16 numbers by less than float64 can show:

    >>> log_softmax(np.array([71.375, -52.40625], dtype=np.float16)).tolist()
    [-0.0, -123.8125]
    """
    return _apply(log_softmax_rows, x, axis, certificate, keepdims=None)


@overload
def logsumexp(
    x: ArrayLike,
    axis: Axis = -1,
    *,
    keepdims: bool = False,
    certificate: Literal[False] = False,
) -> Array: ...


@overload
def logsumexp(
    x: ArrayLike, axis: Axis = -1, *, keepdims: bool = False, certificate: Literal[True]
) -> tuple[Array, Certificate]: ...


def logsumexp(
    x: ArrayLike, axis: Axis = -1, *, keepdims: bool = False, certificate: bool = False
) -> Array | tuple[Array, Certificate]:
    """Correctly rounded log Σ eˣ, near its zeros too.

    Parameters
    ----------
    x, axis, certificate
        As for :func:`softmax`.
    keepdims : bool
        Keep the reduced axes, with length 1.

    Returns
    -------
    array or scalar
        In the format of `x`. −inf for an empty slice or nothing but −inf; +inf for a slice that
        holds +inf and no nan; nan for a slice that holds nan.
    Certificate
        If `certificate`.

    Raises
    ------
    TypeError, numpy.exceptions.AxisError
        As :func:`softmax`.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.full(2, -np.log(2))
    >>> print(logsumexp(x))  # −log 2 rounds to something else: the sum is not 1
    2.3190468138462996e-17
    """
    return _apply(logsumexp_rows, x, axis, certificate, keepdims=keepdims)


def _apply(
    function: Rows, x: ArrayLike, axis: Axis, certificate: bool, keepdims: bool | None
) -> Array | tuple[Array, Certificate]:
    """Bring the axes to the end, work on rows, and restore the shape (None keeps all axes)."""
    array, fmt = _real(x)
    axes = _axes(axis, array.ndim)
    kept = [i for i in range(array.ndim) if i not in axes]
    order = kept + list(axes)
    n = math.prod(array.shape[i] for i in axes)
    outer = [array.shape[i] for i in kept]
    rows = np.ascontiguousarray(array.transpose(order)).reshape(math.prod(outer), n)
    reduces = keepdims is not None
    record = Recorder(rows.shape[0] if reduces else rows.size, certificate)
    with np.errstate(all="ignore"):  # infinities and underflow are dealt with, not signalled
        out = function(rows, fmt, record) if rows.size else _of_nothing(rows, reduces)

    def restore(values: Array) -> Array:
        if reduces:
            shape = [1 if i in axes else array.shape[i] for i in range(array.ndim)]
            return values.reshape(shape if keepdims else outer)
        shape = [array.shape[i] for i in order]
        return values.reshape(shape).transpose(np.argsort(order))

    result = restore(out)
    result = result[()] if result.ndim == 0 else result
    return (result, record.certificate(restore)) if certificate else result


def _real(x: ArrayLike) -> tuple[Array, Format]:
    array = np.asarray(x)
    if array.dtype.kind in "iub":
        array = array.astype(np.float64)
    if array.dtype.name not in FORMATS:
        raise TypeError(
            f"x must hold real numbers in one of {', '.join(FORMATS)}, integers or booleans; "
            f"got {array.dtype.name}."
        )
    return array.astype(array.dtype.newbyteorder("="), copy=False), FORMATS[array.dtype.name]


def _axes(axis: Axis, ndim: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(ndim))
    if ndim == 0 and axis in (0, -1):
        return ()
    return np.lib.array_utils.normalize_axis_tuple(axis, ndim, "axis")


def _of_nothing(rows: Array, reduces: bool) -> Array:
    """Empty slices: empty, or −inf for their log-sum-exp."""
    if not reduces:
        return rows
    return np.full(rows.shape[0], -np.inf).astype(rows.dtype)
