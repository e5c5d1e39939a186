"""The table of edges: what each function gives where the formula has nothing to say.

:data:`EDGES` is the one home of these values. :func:`edges` adds what is not a single row: batches,
axes, integers and very many entries.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import exact
from ..formats import Format
from .calling import Answer
from .truth import right

Array = NDArray[np.float64]
Values = float | list[float]
_INF, _NAN = math.inf, math.nan
_LOG_2 = math.log(2)

#: Entries that are neither 0, 1 nor infinite may be off by a hundredth of the largest of them, or
#: by 16 unit roundoffs in a coarse format: an edge asks whether the answer is a number and which
#: one, and the families ask for its digits.
_SHARE, _ROUNDOFFS = 0.01, 16

#: name -> input, and softmax, log_softmax and logsumexp of it.
EDGES: dict[str, tuple[Values, Values, Values, Values]] = {
    "one entry": ([3.0], [1.0], [0.0], 3.0),
    "0-d": (3.0, 1.0, 0.0, 3.0),
    "no entries": ([], [], [], -_INF),
    "some −inf": ([-_INF, 2.0, 2.0], [0.0, 0.5, 0.5], [-_INF, -_LOG_2, -_LOG_2], 2.0 + _LOG_2),
    "all but one −inf": ([-_INF, 7.0, -_INF], [0.0, 1.0, 0.0], [-_INF, 0.0, -_INF], 7.0),
    "all −inf": ([-_INF, -_INF], [_NAN, _NAN], [_NAN, _NAN], -_INF),
    "+inf": ([0.0, _INF], [_NAN, _NAN], [_NAN, _NAN], _INF),
    "+inf twice": ([_INF, 0.0, _INF], [_NAN] * 3, [_NAN] * 3, _INF),
    "+inf beside −inf": ([-_INF, _INF], [_NAN, _NAN], [_NAN, _NAN], _INF),
    "nan": ([_NAN, 0.0], [_NAN, _NAN], [_NAN, _NAN], _NAN),
    "nan last": ([0.0, _NAN], [_NAN, _NAN], [_NAN, _NAN], _NAN),
    "nan beside +inf": ([_INF, _NAN], [_NAN, _NAN], [_NAN, _NAN], _NAN),
    "nan beside −inf": ([_NAN, -_INF], [_NAN, _NAN], [_NAN, _NAN], _NAN),
    "large": ([1000.0, 1000.0], [0.5, 0.5], [-_LOG_2, -_LOG_2], 1000.0 + _LOG_2),
    "very negative": ([-1000.0, -1000.0], [0.5, 0.5], [-_LOG_2, -_LOG_2], -1000.0 + _LOG_2),
    "far apart": ([-1000.0, 1.0, 1000.0], [0.0, 0.0, 1.0], [-2000.0, -999.0, 0.0], 1000.0),
}

#: So many ones have no sum in float16: the largest number is 65,504, and 65,520 rounds to inf.
MANY = 65_520


@dataclass(frozen=True)
class Edge:
    """An input, the axis, and what belongs there."""

    name: str
    x: NDArray[Any]
    axis: int
    expected: Array


@dataclass(frozen=True)
class EdgeResult:
    """Whether a function has an edge right.

    Attributes
    ----------
    name : str
        The edge.
    right : bool
    x : array
        The input, in its format.
    axis : int
    got : array of float64 or None
        None if the function raised, or is not at fault for its values.
    expected : array of float64
    fault : str
        What is wrong, in words; empty if nothing is.
    """

    name: str
    right: bool
    x: NDArray[Any]
    axis: int
    got: Array | None
    expected: Array
    fault: str = ""


#: Where the conduct is looked at.
_ORDINARY = "axis −1 of a matrix"


def edges(op: str, fmt: Format) -> Iterator[Edge]:
    """All edges that the format can hold.

    Examples
    --------
    >>> from softmax_ref.formats import get_format
    >>> names = [edge.name for edge in edges("softmax", get_format("float8_e4m3fn"))]
    >>> "+inf" in names, "nan" in names  # it has no infinity
    (False, True)
    """
    column = 1 + ("softmax", "log_softmax", "logsumexp").index(op)
    for name, row in EDGES.items():
        x = np.asarray(fmt.round(np.array(row[0])))
        if np.array_equal(x.astype(np.float64), row[0], equal_nan=True):
            expected = np.asarray(fmt.round(np.array(row[column]))).astype(np.float64)
            yield Edge(name, x, -1, expected)
    for name, x, axis in _arrays(fmt):
        expected = np.asarray(getattr(exact, op)(x, axis)).astype(np.float64)
        yield Edge(name, x, axis, expected)


def _arrays(fmt: Format) -> Iterator[tuple[str, NDArray[Any], int]]:
    def rounded(x: Any) -> NDArray[Any]:
        return np.asarray(fmt.round(np.asarray(x, float)))

    largest = fmt.max
    yield "largest and its negative", rounded([largest, -largest]), -1
    yield "largest twice", rounded([largest, largest]), -1
    yield "65,520 equal entries", rounded(np.zeros(MANY)), -1
    yield "a row beside nan", rounded([[0.0, 1.0], [_NAN, 0.0], [2.0, 0.0]]), -1
    if fmt.has_infinity:
        yield "a row beside all −inf", rounded([[0.0, 1.0], [-_INF, -_INF], [2.0, 0.0]]), -1
    matrix = np.array([[0.0, 1.0, 2.0], [3.0, 0.0, 1.0]])
    yield _ORDINARY, rounded(matrix), -1
    yield "axis 0 of a matrix", rounded(matrix), 0
    yield "axis 1 of three", rounded(np.stack([matrix, 3 - matrix])), 1
    if fmt.name == "float64":  # which is what integers become
        yield "uint8", np.array([1, 2], np.uint8), -1
        yield "int8", np.array([100, -100], np.int8), -1
        yield "bool", np.array([True, False]), -1


def judge(ask: Callable[[NDArray[Any], int], Answer], op: str, fmt: Format) -> Iterator[EdgeResult]:
    """Ask a function for its answers, and compare them with what belongs there.

    Integers, booleans and 0-d arrays need not be offered: where they raise there is no result.
    """
    for edge in edges(op, fmt):
        answer = ask(edge.x, edge.axis)
        optional = edge.x.dtype.kind in "iub" or edge.x.ndim == 0
        if answer.values is None and optional:
            continue
        fault = _fault(edge, answer, fmt, op)
        yield EdgeResult(
            edge.name, not fault, edge.x, edge.axis, answer.values, edge.expected, fault
        )
        if edge.name == _ORDINARY:
            yield from _conduct(edge, answer, fmt)


def _fault(edge: Edge, answer: Answer, fmt: Format, op: str) -> str:
    if answer.values is None:
        return answer.error
    if answer.values.shape != edge.expected.shape:
        return f"returned shape {answer.values.shape} where {edge.expected.shape} belongs"
    if not np.all(_agrees(answer.values, edge.expected, fmt)):
        return "returned the wrong values"
    if op == "softmax" and np.any((answer.values == 0) & np.signbit(answer.values)):
        return "returned −0, and a probability is not negative"
    return ""


def _conduct(edge: Edge, answer: Answer, fmt: Format) -> Iterator[EdgeResult]:
    """Whether a function keeps the format, and leaves its input alone, at an ordinary input."""
    kept = answer.dtype in ("", fmt.name)
    for name, as_it_should, fault in (
        ("keeps the format", kept, f"returned {answer.dtype} for {fmt.name}"),
        ("leaves its input alone", not answer.modified, "wrote into its input"),
    ):
        yield EdgeResult(
            name,
            as_it_should,
            edge.x,
            edge.axis,
            None,
            edge.expected,
            "" if as_it_should else fault,
        )


def _agrees(got: Array, expected: Array, fmt: Format) -> NDArray[np.bool_]:
    inexact = np.isfinite(expected) & (expected != 0) & (expected != 1)
    largest = np.max(np.abs(expected), where=inexact, initial=0.0)
    allowed = max(_SHARE, _ROUNDOFFS * fmt.unit_roundoff) * largest + fmt.smallest_subnormal
    with np.errstate(invalid="ignore"):
        near: NDArray[np.bool_] = np.abs(got - expected) <= allowed
    agrees: NDArray[np.bool_] = right(got, expected) | (inexact & near)
    return agrees
