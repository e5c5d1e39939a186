"""What every function does first: take the array as it comes, and lay it out as rows.

NumPy arrays and PyTorch tensors go through the same code.
The array namespace is taken from the input, and PyTorch is never imported here: a tensor can only
arrive after its owner has imported it.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from numbers import Real
from typing import Any

import numpy as np
from array_api_compat import array_namespace, is_torch_array

#: Format of the input -> format in which the work is done.
WORKING_FORMAT = {
    "float64": "float64",
    "float32": "float32",
    "float16": "float32",
    "bfloat16": "float32",
}


def format_name(x: Any) -> str:
    """Name of the array's dtype, the same for NumPy and PyTorch: ``"float32"``."""
    return _name(x.dtype)


@cache  # NumPy builds the name anew each time
def _name(dtype: Any) -> str:
    return dtype.name if isinstance(dtype, np.dtype) else str(dtype).removeprefix("torch.")


def is_integer(x: Any) -> bool:
    """Whether the array holds signed or unsigned integers (booleans are not integers)."""
    return format_name(x).lstrip("u").startswith("int")


def as_array(x: Any, name: str = "x") -> Any:
    """`x` as an array of real numbers: tensors as they are, anything else by NumPy.

    Integers and booleans become float64, so that no later subtraction wraps around.

    Raises
    ------
    TypeError
        If `x` holds anything but real numbers in a supported format; it names `name`.
    """
    array = x if is_torch_array(x) else np.asarray(x)
    dtype = format_name(array)
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array; pass its data and where=~mask instead.")
    if dtype in WORKING_FORMAT:
        return array
    if is_integer(array) or dtype == "bool":
        xp = array_namespace(array)
        return xp.astype(array, xp.float64)
    raise TypeError(
        f"{name} must hold real numbers in one of {', '.join(WORKING_FORMAT)}, "
        f"integers or booleans; got {dtype}."
    )


def widen(x: Any) -> Any:
    """`x` in the format in which the work is done: float32 for the half formats."""
    wide = WORKING_FORMAT[format_name(x)]
    if wide == format_name(x) and (is_torch_array(x) or x.dtype.isnative):
        return x
    xp = array_namespace(x)
    with np.errstate(invalid="ignore"):  # a signalling nan
        return xp.astype(x, getattr(xp, wide))


def like(value: Any, x: Any, name: str) -> Any:
    """`value` as an array in the namespace, working format and device of the array `x`."""
    xp = array_namespace(x)
    given = as_array(value, name)
    if is_torch_array(x) and not is_torch_array(given):
        given = xp.asarray(given)
    if is_torch_array(given) and not is_torch_array(x):
        raise TypeError(f"{name} is a PyTorch tensor where the other argument is a NumPy array.")
    if is_torch_array(x):
        given = given.to(x.device)
    with np.errstate(all="ignore"):  # what the format of x has not becomes inf or 0 in it
        return xp.astype(given, widen(x).dtype, copy=False)


def same_shape(value: Any, shape: tuple[int, ...], name: str, other: str) -> None:
    """Raise ValueError unless `value` has the shape, which is that of `other`."""
    if tuple(value.shape) != tuple(shape):
        raise ValueError(
            f"{name} must have the shape of {other}, {tuple(shape)}; got {tuple(value.shape)}."
        )


def normalize_axes(axis: int | tuple[int, ...] | None, ndim: int) -> tuple[int, ...]:
    """The axes as non-negative integers, each once.

    Raises
    ------
    numpy.exceptions.AxisError
        If an axis is out of range.
    ValueError
        If an axis is given twice.
    TypeError
        If an axis is not an integer.
    """
    if axis is None:
        return tuple(range(ndim))
    axes = []
    for a in axis if isinstance(axis, tuple) else (axis,):
        if isinstance(a, bool) or not hasattr(a, "__index__"):
            raise TypeError(f"axis must be an integer, a tuple of integers or None; got {axis!r}.")
        a = a.__index__()
        if ndim == 0 and a in (-1, 0):
            continue
        if not -ndim <= a < ndim:
            raise np.exceptions.AxisError(a, ndim)
        axes.append(a % ndim)
    if len(set(axes)) < len(axes):
        raise ValueError(f"axis must not name the same axis twice; got {axis!r}.")
    return tuple(axes)


def mask_of(where: Any, rows: Rows) -> Any:
    """`where` as booleans laid out like the rows' data."""
    given = where if is_torch_array(where) else np.asarray(where)
    if format_name(given) != "bool":
        raise TypeError(f"where must hold booleans; got {format_name(given)}.")
    return rows.arrange(broadcast(given, rows, "where"))


def broadcast(value: Any, rows: Rows, name: str) -> Any:
    """`value` broadcast to the shape of the array that came, on its device."""
    xp = rows.xp
    if is_torch_array(rows.data):
        value = value if is_torch_array(value) else xp.asarray(value)
        value = value.to(rows.data.device)
    elif is_torch_array(value):
        raise TypeError(f"{name} is a PyTorch tensor where the other argument is a NumPy array.")
    try:
        return xp.broadcast_to(value, rows.shape)
    except (ValueError, RuntimeError):
        raise ValueError(
            f"{name} must have a shape that broadcasts to that of x, {rows.shape}; "
            f"got {tuple(value.shape)}."
        ) from None


def one_of(value: Any, valid: tuple[str, ...], name: str) -> None:
    """Raise ValueError, with the valid values and the nearest, unless `value` is one of them."""
    if value not in valid:
        near = difflib.get_close_matches(str(value), valid, n=1, cutoff=0)[0]
        raise ValueError(
            f"{name} must be one of {', '.join(valid)}; got {value!r}, nearest to {near!r}."
        )


def number(value: Any, name: str, allowed: str, test: Callable[[float], bool]) -> float:
    """`value` as a float; TypeError unless it is a number, ValueError unless the test holds."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be {allowed}; got {type(value).__name__}.")
    if not test(float(value)):
        raise ValueError(f"{name} must be {allowed}; got {value!r}.")
    return float(value)


@dataclass(frozen=True)
class Rows:
    """An array seen as rows: the reduced axes are the last one, in the working format.

    A 0-d array is one row of one entry.
    """

    data: Any  #: shape (..., n)
    xp: Any  #: the array namespace
    dtype: Any  #: format of the results
    shape: tuple[int, ...]  #: of the array that came
    axes: tuple[int, ...]  #: reduced axes of the array that came

    @property
    def kept(self) -> tuple[int, ...]:
        """The axes that are not reduced, in order."""
        return tuple(a for a in range(len(self.shape)) if a not in self.axes)

    def arrange(self, y: Any) -> Any:
        """Any array of the original shape, laid out like `data`."""
        if self.axes == (len(self.shape) - 1,):
            return y
        y = self.xp.permute_dims(y, self.kept + self.axes)
        n = math.prod(self.shape[a] for a in self.axes)
        return self.xp.reshape(y, (*(self.shape[a] for a in self.kept), n))

    def full(self, y: Any) -> Any:
        """A result of the layout of `data`, back in the original shape and format."""
        if self.axes == (len(self.shape) - 1,):
            return self._finish(y)
        order = self.kept + self.axes
        y = self.xp.reshape(y, tuple(self.shape[a] for a in order))
        inverse = tuple(order.index(a) for a in range(len(order)))
        return self._finish(self.xp.permute_dims(y, inverse))

    def reduced(self, y: Any, keepdims: bool = False) -> Any:
        """A result with one number a row, back in the original shape without the axes."""
        if keepdims:
            sizes = (1 if a in self.axes else size for a, size in enumerate(self.shape))
            y = self.xp.reshape(y, tuple(sizes))
        return self._finish(y)

    def _finish(self, y: Any) -> Any:
        """The one rounding to the format of the input; NumPy's 0-d results become scalars."""
        if y.dtype != self.dtype:
            with np.errstate(over="ignore", under="ignore"):  # inf and 0 are what the format has
                y = self.xp.astype(y, self.dtype)
        return y[()] if isinstance(y, np.ndarray) and y.ndim == 0 else y


def rows_of(x: Any, axis: int | tuple[int, ...] | None, name: str = "x") -> Rows:
    """Check `x` and lay it out as rows along `axis`."""
    x = as_array(x, name)
    shape = tuple(x.shape)
    axes = normalize_axes(axis, len(shape))
    rows = Rows(widen(x), array_namespace(x), x.dtype, shape, axes)
    return replace(rows, data=rows.arrange(rows.data))
