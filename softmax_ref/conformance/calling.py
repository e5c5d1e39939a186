"""Calling somebody's function: which arrays it takes, what it calls its axis, what it answers."""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..formats import Format

Function = Callable[..., Any]
ARRAYS = ("numpy", "torch")
_AXIS_NAMES = ("axis", "dim")


@dataclass(frozen=True)
class Answer:
    """What a function did with one input.

    Attributes
    ----------
    values : array of float64 or None
        What it returned; None if it raised, or returned no array of numbers.
    dtype : str
        Format of what it returned.
    error : str
        "raised OverflowError: math range error", or empty.
    modified : bool
        Whether it wrote into its input.
    """

    values: NDArray[np.float64] | None
    dtype: str = ""
    error: str = ""
    modified: bool = False


@dataclass(frozen=True)
class Callee:
    """A function together with the way to call it."""

    function: Function
    array: str  #: "numpy" or "torch"
    axis_name: str  #: "axis" or "dim"

    def __call__(self, x: NDArray[Any], axis: int = -1) -> Answer:
        """Call it on a copy of `x`, whose values and format it gets unchanged."""
        given = _tensor(x) if self.array == "torch" else x.copy()
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a function may warn of what it gets wrong
                returned = self.function(given, **{self.axis_name: axis})
                values, dtype = _numbers(returned)
                modified = not np.array_equal(_numbers(given)[0], _wide(x), equal_nan=True)
        except Exception as error:  # whatever it raises is what there is to report
            return Answer(None, error=f"raised {_sentence(error)}")
        return Answer(values, dtype, modified=modified)


def _tensor(x: NDArray[Any]) -> Any:
    import torch

    wide = x if x.dtype.kind in "iub" else x.astype(np.float64)
    return torch.tensor(wide).to(getattr(torch, x.dtype.name))  # exact: the format has the values


def _numbers(y: Any) -> tuple[NDArray[np.float64], str]:
    """The values as float64, and the name of the format they came in."""
    if hasattr(y, "detach"):  # a tensor
        import torch

        return y.detach().cpu().to(torch.float64).numpy(), str(y.dtype).removeprefix("torch.")
    array = np.asarray(y)
    return _wide(array), array.dtype.name


def _wide(x: NDArray[Any]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):  # signalling nans
        return x.astype(np.float64)


def _sentence(error: BaseException) -> str:
    first = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def adapt(function: Function, array: str | None = None) -> Callee:
    """Find out how to call a function, by calling it on two zeros in float32.

    Parameters
    ----------
    function : callable
        Takes an array and ``axis`` (or ``dim``), by keyword.
    array : {"numpy", "torch"}, optional
        What to pass. By default the first with which the function works; tensors first if it
        belongs to torch.

    Raises
    ------
    TypeError
        If it cannot be called: "function must be callable; got an int."
        Or so: "function works with neither axis= nor dim=: it raised TypeError: …"
    ValueError
        If `array` is something else: "array must be numpy or torch; got 'jax'."

    Examples
    --------
    >>> from scipy import special
    >>> adapt(special.softmax).array
    'numpy'
    >>> import torch
    >>> adapt(torch.softmax).array
    'torch'
    """
    if not callable(function):
        raise TypeError(
            f"function must be callable; got a value of type {type(function).__name__}."
        )
    if array not in (None, *ARRAYS):
        raise ValueError(f"array must be numpy or torch; got {array!r}.")
    first = ""
    for library in [array] if array else _likely(function):
        for axis_name in _AXIS_NAMES:
            callee = Callee(function, library, axis_name)
            for dtype in ("float32", "float64"):
                answer = callee(np.zeros((1, 2), dtype))
                if answer.values is not None:
                    return callee
                first = first or answer.error
    raise TypeError(f"function works with neither axis= nor dim=: it {first.rstrip('.')}.")


def _likely(function: Function) -> tuple[str, ...]:
    if not _installed("torch"):
        return ("numpy",)
    module = getattr(function, "__module__", None) or ""
    return ARRAYS[::-1] if module.partition(".")[0] == "torch" else ARRAYS


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def offered(callee: Callee, fmt: Format) -> str:
    """Why the function cannot be used with a format, or nothing if it can."""
    try:
        answer = callee(np.zeros((1, 2), fmt.dtype))
    except AttributeError as error:  # torch has no such dtype
        return _sentence(error)
    return answer.error


def find(target: str) -> Function:
    """Import what ``module:name`` says.

    Raises
    ------
    ValueError
        "target must look like package.module:function; got 'numpy'.", or "there is no
        'softmaxx' in scipy.special.", or "module 'scypy' cannot be imported: …"

    Examples
    --------
    >>> find("scipy.special:softmax").__name__
    'softmax'
    """
    module_name, colon, path = target.partition(":")
    if not (module_name and colon and path):
        raise ValueError(f"target must look like package.module:function; got {target!r}.")
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:  # a module may raise anything while it is imported
        raise ValueError(
            f"module {module_name!r} cannot be imported: {_sentence(error)}."
        ) from None
    for name in path.split("."):
        if not hasattr(found, name):
            raise ValueError(f"there is no {name!r} in {module_name}.")
        found = getattr(found, name)
    if not callable(found):
        raise ValueError(f"target {target} cannot be called: its type is {type(found).__name__}.")
    function: Function = found
    return function
