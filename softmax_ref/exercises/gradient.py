"""The code exercise of the chapter *The gradient p − y*."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np

from .. import softmax
from ..textbook import softmax as textbook_softmax
from . import _truth
from ._checker import Exercise, Wrong, register


def batch_gradient(x: Any, t: Any, w: Any) -> Any:
    """Return the gradient of the weighted mean of the losses of the rows that count."""
    counts = t != -100
    t = np.where(counts, t, 0)
    weight = np.where(counts, w[t], 0.0)
    residual = softmax(x) - np.eye(x.shape[1])[t]
    return weight[:, None] * residual / weight.sum()


def _batch_gradient_truth(x: Any, t: Any, w: Any) -> list[list[Decimal]]:
    weights = [Decimal(0) if i == -100 else Decimal(float(w[i])) for i in t]
    return [
        [c * (p - (j == i)) / sum(weights) for j, p in enumerate(_truth.softmax(row))]
        for row, i, c in zip(x, t, weights, strict=True)
    ]


def _parts(x: Any, t: Any, w: Any, softmax: Any = softmax) -> tuple[Any, Any]:
    """The weights of the rows as a column, 0 where ignored, and p - y."""
    counts = t != -100
    safe = np.where(counts, t, 0)
    return np.where(counts, w[safe], 0.0)[:, None], softmax(x) - np.eye(x.shape[1])[safe]


def _divided_by_rows(x: Any, t: Any, w: Any) -> Any:
    weight, residual = _parts(x, t, w)
    return weight * residual / len(t)


def _divided_by_count(x: Any, t: Any, w: Any) -> Any:
    weight, residual = _parts(x, t, w)
    return weight * residual / np.sum(t != -100)


def _not_divided(x: Any, t: Any, w: Any) -> Any:
    weight, residual = _parts(x, t, w)
    return weight * residual


def _unweighted(x: Any, t: Any, w: Any) -> Any:
    return batch_gradient(x, t, np.ones_like(w))


def _ignored_as_class_0(x: Any, t: Any, w: Any) -> Any:
    return batch_gradient(x, np.where(t == -100, 0, t), w)


def _ignored_in_the_divisor(x: Any, t: Any, w: Any) -> Any:
    weight, residual = _parts(x, t, w)
    return weight * residual / w[np.where(t == -100, 0, t)].sum()


def _weights_by_column(x: Any, t: Any, w: Any) -> Any:
    weight, residual = _parts(x, t, w)
    return (weight > 0) * w * residual / weight.sum()


def _no_max_subtraction(x: Any, t: Any, w: Any) -> Any:
    weight, residual = _parts(x, t, w, textbook_softmax)
    return weight * residual / weight.sum()


def _along_the_wrong_axis(x: Any, t: Any, w: Any) -> Any:
    weight, residual = _parts(x, t, w, lambda z: softmax(z, axis=0))
    return weight * residual / weight.sum()


_ONE, _TWO = np.array([1.0, 1.0]), np.array([1.0, 3.0])

register(
    Exercise(
        name="gradient-batch",
        task="Return the gradient of the weighted mean loss; the target -100 is ignored.",
        solution=batch_gradient,
        inputs=[
            (np.array([[0.0, 0.0]]), np.array([0]), _ONE),
            (np.array([[0.0, 0.0]]), np.array([1]), _TWO),
            (np.array([[1000.0, 0.0]]), np.array([1]), _ONE),
            (np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([0, 1]), _ONE),
            (np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([0, 1]), _TWO),
            (np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([1, -100]), _ONE),
            (np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([-100, 1]), _TWO),
            (
                np.array([[2.0, 1.0, 0.1], [1.0, 2.0, 5.0], [0.0, 0.0, 1.0], [3.0, 1.0, 0.0]]),
                np.array([0, 1, -100, 1]),
                np.array([1.0, 2.0, 0.5]),
            ),
        ],
        truth=_batch_gradient_truth,
        oracle="(P - Y) times the weights over their sum, in 60-digit arithmetic",
        absolute=64,
        because="Entries are at most 1, each from a softmax of a few u; p - y is a difference.",
        wrong=[
            Wrong(
                "divided by the number of rows",
                _divided_by_rows,
                "The weighted mean divides by the sum of the weights, not by the number of rows.",
            ),
            Wrong(
                "divided by the number of rows that count",
                _divided_by_count,
                "You count rows. Add up their weights instead.",
            ),
            Wrong("not divided", _not_divided, "This is the gradient of the sum. Divide it."),
            Wrong(
                "weights forgotten",
                _unweighted,
                "Row b counts w[t[b]] times. Your rows all count once.",
            ),
            Wrong(
                "ignored rows taken for class 0",
                _ignored_as_class_0,
                "A row with the target -100 still counts. Its weight must be 0.",
            ),
            Wrong(
                "ignored rows in the divisor",
                _ignored_in_the_divisor,
                "An ignored row must not count in the divisor either.",
            ),
            Wrong(
                "weights by column",
                _weights_by_column,
                "The weight belongs to the row, by its target, and not to each class.",
            ),
            Wrong(
                "no max subtraction",
                _no_max_subtraction,
                "Your softmax overflows at a logit of 1000. Use one that subtracts the maximum.",
            ),
            Wrong(
                "softmax along the wrong axis",
                _along_the_wrong_axis,
                "Each row is one sample. Take softmax along the last axis.",
            ),
            Wrong(
                "wrong sign",
                lambda x, t, w: -batch_gradient(x, t, w),
                "This is y - p, the direction of descent. The gradient is p - y.",
            ),
        ],
    )
)
