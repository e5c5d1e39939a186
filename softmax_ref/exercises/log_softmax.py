"""The code exercise of the chapter on log_softmax."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np

from .. import softmax
from . import _truth
from ._checker import Exercise, Wrong, register


def log_softmax(x: Any, axis: int) -> Any:
    """Return log_softmax along an axis, with one maximum left out of each sum."""
    k = x.argmax(axis=axis, keepdims=True)
    z = x - np.take_along_axis(x, k, axis)
    e = np.exp(z)
    np.put_along_axis(e, k, 0, axis)
    return z - np.log1p(e.sum(axis=axis, keepdims=True))


def _shifted(x: Any, axis: int | None) -> Any:
    return x - x.max(axis=axis, keepdims=True)


def _maximum_inside(x: Any, axis: int | None) -> Any:
    z = _shifted(x, axis)
    return z - np.log(np.exp(z).sum(axis=axis, keepdims=True))


def _maximum_counted_twice(x: Any, axis: int) -> Any:
    z = _shifted(x, axis)
    return z - np.log1p(np.exp(z).sum(axis=axis, keepdims=True))


def _no_maximum_at_all(x: Any, axis: int) -> Any:
    z = _shifted(x, axis)
    return z - np.log1p(np.where(z < 0, np.exp(z), 0).sum(axis=axis, keepdims=True))


def _maximum_added_back(x: Any, axis: int) -> Any:
    return x - (x.max(axis=axis, keepdims=True) - log_softmax(x, axis).max(axis, keepdims=True))


def _no_keepdims(x: Any, axis: int) -> Any:
    z = _shifted(x, axis)
    return z - np.log1p(np.exp(z).sum(axis=axis) - 1)


def _log_softmax_truth(x: Any, axis: int) -> Any:
    rows = np.moveaxis(x, axis, -1)
    result = np.empty(rows.shape, dtype=object)
    for index in np.ndindex(rows.shape[:-1]):
        lse = _truth.logsumexp(rows[index])
        result[index] = [Decimal(float(v)) - lse for v in rows[index]]
    return np.moveaxis(result, -1, axis)


register(
    Exercise(
        name="logsoftmax-code",
        task="Return log_softmax along an axis, with the digits of the largest entry.",
        solution=log_softmax,
        inputs=[
            (np.array([7.0]), 0),
            (np.array([0.0, 0.0]), 0),
            (np.array([1.0, 0.0]), 0),
            (np.array([1000.0, 1000.0]), 0),
            (np.array([0.0, -40.0], np.float32), 0),
            (np.array([0.0, -40.0]), -1),
            (np.array([1000.0, 960.0]), -1),
            (np.array([0.0, -800.0, -1.0]), -1),
            (np.array([2.0, 1.0, 0.1]), -1),
            (np.array([-1000.0, -1000.0, -1030.0]), -1),
            (np.array([[1.0, 2.0], [30.0, 0.0]]), -1),
            (np.array([[1.0, 2.0], [30.0, 0.0]]), 0),
            (np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 5.0]], np.float32), 0),
            (np.array([[1.0, 2.0, 3.0], [-40.0, 0.0, -41.0]]), 1),
            (np.round(30 * np.sin(np.arange(20.0)), 1).reshape(5, 4), 1),
            (np.round(30 * np.sin(np.arange(24.0)), 1).reshape(2, 3, 4), 1),
        ],
        truth=_log_softmax_truth,
        oracle="x less log-sum-exp, in 60-digit arithmetic",
        relative=256,
        same_dtype=True,
        because="Rounding x - max costs up to the gap to the next logit in units u, at most 60 "
        "here; exp, the sum and log1p add a few. Whoever adds 1 first is off by 1e-13 or more.",
        wrong=[
            Wrong(
                "the maximum in the sum",
                _maximum_inside,
                "1 + s keeps few digits of a small s, and the logarithm needs them all. Leave the "
                "maximum out before you add, and use log1p.",
            ),
            Wrong(
                "log of softmax",
                lambda x, axis: np.log(softmax(x, axis=axis)),
                "A probability that has been rounded to 0 or 1 has no logarithm worth having. "
                "Never form it.",
            ),
            Wrong(
                "no shift",
                lambda x, axis: x - np.log(np.exp(x).sum(axis=axis, keepdims=True)),
                "The exponentials overflow. Subtract the maximum first.",
            ),
            Wrong(
                "the maximum counted twice",
                _maximum_counted_twice,
                "log1p adds 1 for the maximum. It must not be in the sum as well.",
            ),
            Wrong(
                "every maximum left out",
                _no_maximum_at_all,
                "Where two logits are equally large only one of them may be left out.",
            ),
            Wrong(
                "the maximum added back",
                _maximum_added_back,
                "max + log1p(s) is rounded at the size of max. Subtract max from x, never add it.",
            ),
            Wrong(
                "axis ignored",
                lambda x, axis: log_softmax(x, -1),
                "Maximum and sum must run along the axis that was asked for.",
            ),
            Wrong(
                "over the whole array",
                lambda x, axis: log_softmax(x.ravel(), 0).reshape(x.shape),
                "You treat the whole array as one row. Use axis in argmax and in sum.",
            ),
            Wrong(
                "no keepdims",
                _no_keepdims,
                "The sum has lost an axis. keepdims=True lets each row meet its own.",
            ),
            Wrong(
                "sign",
                lambda x, axis: 2 * _shifted(x, axis) - log_softmax(x, axis),
                "Logarithms of probabilities are not positive: subtract log1p.",
            ),
        ],
    )
)
