"""Hints for mistakes that nobody has listed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def fits(function: Callable[..., Any], parameters: Sequence[str]) -> bool:
    """Whether `function` can be called with that many arguments."""
    try:
        inspect.signature(function).bind(*parameters)
    except TypeError:
        return False
    except ValueError:  # written in C, with a signature that nobody knows
        return True
    return True


def signature(parameters: Sequence[str]) -> str:
    """The hint for a function that takes other parameters."""
    return f"Your function should take these parameters: {', '.join(parameters)}."


def general(failed: Any, everywhere: Sequence[Any]) -> str:
    """A hint from what happened at the input shown, and from what happened at all of them."""
    if failed.kind == "raised":
        return _raised(failed.returned)
    if failed.kind == "type":
        return _type(failed.returned, failed.expected)
    if failed.kind == "shape":
        return _shape(failed.returned, failed.expected)
    if failed.kind == "dtype":
        return _dtype(failed.returned, failed.expected)
    if failed.kind == "not finite":
        return _not_finite(failed.returned)
    if failed.kind == "modified":
        name = failed.modified
        return f"The caller still needs {name}. Write {name} = {name} - c, which makes a new array."
    return _value(failed, everywhere)


def _raised(error: Exception) -> str:
    if isinstance(error, OverflowError):
        return "math.exp raises above 709.78. Subtract something before the exponential."
    if "math domain" in str(error) or "expected a positive input" in str(error):
        return "That is a logarithm of 0 or of a negative number. Did everything underflow?"
    if "broadcast" in str(error):
        return "The shapes do not fit together. Is a keepdims=True missing?"
    return "Call your function with this input to see the whole traceback."


def _type(returned: Any, expected: np.ndarray) -> str:
    if returned is None:
        return "Your function ends without returning anything. Is the return missing?"
    if expected.dtype.kind == "U":
        return "A list of words was expected."
    return "A number or an array of numbers was expected."


def _shape(returned: np.ndarray, expected: np.ndarray) -> str:
    if returned.size == expected.size:
        return "The number of entries is right. Only their arrangement is not."
    if returned.ndim < expected.ndim:
        return "An axis is lost. Is a sum taken over too many axes?"
    return "Compare the two shapes. Which axis should have been summed, or kept?"


def _dtype(returned: np.ndarray, expected: np.ndarray) -> str:
    if returned.dtype.kind != "f":
        return "Integers cannot hold the answer. Convert to float before you compute."
    return f"The answer should be {expected.dtype}. Where does your function change the format?"


def _not_finite(returned: np.ndarray) -> str:
    if np.any(np.isnan(returned)):
        return "nan comes from inf/inf, 0/0 or inf - inf. Which exponential over- or underflows?"
    return "An infinity: an exponential overflows, or it is the logarithm of an underflowed 0."


def _value(failed: Any, everywhere: Sequence[Any]) -> str:
    returned, expected = failed.returned, failed.expected
    if returned.dtype.kind == "U":
        return "Evaluate the formula by hand for this input, step by step."
    if expected.ndim == 2 and np.allclose(returned.T, expected, rtol=1e-6, atol=1e-12):
        return "This is the transpose of the right answer."
    factor = _factor(everywhere)
    if factor is not None:
        return f"On every input your result is {factor:.4g} times the right one."
    error = np.max(np.abs(returned.astype(np.float64) - expected.astype(np.float64)))
    size = np.max(np.abs(expected.astype(np.float64)))
    if 0 < error < 1e-3 * size:
        return "The first digits are right. Where do nearly equal numbers cancel, or errors add up?"
    return "The input is small enough to work it out by hand. Compare each step."


def _factor(everywhere: Sequence[Any]) -> float | None:
    """The number by which all results differ from the right ones, if there is one."""
    if any(o.kind not in ("right", "value") for o in everywhere):
        return None
    returned = np.concatenate([np.ravel(o.returned).astype(np.float64) for o in everywhere])
    expected = np.concatenate([np.ravel(o.expected).astype(np.float64) for o in everywhere])
    use = np.isfinite(expected) & (np.abs(expected) > 1e-300)
    if use.sum() < 2 or not np.all(np.isfinite(returned[use])):
        return None
    ratio = returned[use] / expected[use]
    same = np.allclose(ratio, ratio[0], rtol=1e-6, atol=0) and np.all(returned[expected == 0] == 0)
    return float(ratio[0]) if same and ratio[0] != 0 else None
