"""Functions along the last axis with their derivatives in closed form.

An operation is a value and the two linear maps of its derivative.
NumPy needs the value alone; under PyTorch all three become one node of the autograd graph, so that
the backward pass is the closed form and only the output is kept for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from array_api_compat import is_torch_array


@dataclass(frozen=True, eq=False)
class Operation:
    """A function of an array, and of numbers that are constants, with its derivative.

    Attributes
    ----------
    value : callable
        ``value(x, *constants)`` gives y.
    vjp : callable
        ``vjp(x, y, g, *constants)`` gives the gradient of Σ g·y with respect to x.
    jvp : callable
        ``jvp(x, y, v, *constants)`` gives the derivative of y in the direction v.
    """

    value: Callable[..., Any]
    vjp: Callable[..., Any]
    jvp: Callable[..., Any]

    def __call__(self, x: Any, *constants: float) -> Any:
        if not is_torch_array(x):
            return self.value(x, *constants)
        from ._autograd import apply

        return apply(self, x, *constants)
