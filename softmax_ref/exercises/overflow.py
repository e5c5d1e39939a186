"""The code exercises of the chapter on overflow."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np

from .. import logsumexp, textbook
from ..formats import FORMATS
from . import _truth
from ._checker import Exercise, Wrong, register


def softmax(x: Any) -> Any:
    """Return softmax along the last axis; integers become float64 first."""
    if x.dtype.kind in "iub":
        x = x.astype(np.float64)
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def sigmoid(z: float) -> float:
    """Return 1 / (1 + exp(-z)) without an exponential of a positive number."""
    if z >= 0:
        return 1 / (1 + math.exp(-z))
    return math.exp(z) / (1 + math.exp(z))


def fate(x: Any) -> list[str]:
    """Foretell each entry of the textbook softmax in float32: nan, zero or number."""
    x = x.astype(np.float64)
    largest = math.log(FORMATS["float32"].max)
    smallest = math.log(FORMATS["float32"].smallest_subnormal / 2)
    lse = logsumexp(x)
    if x.max() < smallest:  # every exponential is 0: 0/0
        return ["nan"] * x.size
    if lse > largest:  # the sum is infinite: inf/inf or 0
        return ["nan" if v > largest else "zero" for v in x]
    return ["number" if min(v, v - lse) > smallest else "zero" for v in x]


def _softmax_truth(x: Any) -> Any:
    return [_softmax_truth(row) for row in x] if x.ndim > 1 else _truth.softmax(x)


def _in_place(x: Any) -> Any:
    x = x if x.dtype.kind == "f" else x.astype(np.float64)
    x -= x.max(axis=-1, keepdims=True)
    np.exp(x, out=x)
    x /= x.sum(axis=-1, keepdims=True)
    return x


def _floats(x: Any) -> Any:
    return x if x.dtype.kind == "f" else x.astype(np.float64)


def _quotient(shifted: Any) -> Any:
    """The textbook formula along the last axis of logits that something was done to."""
    e = np.exp(shifted)
    return e / e.sum(axis=-1, keepdims=True)


register(
    Exercise(
        name="overflow-softmax",
        task="Return softmax along the last axis: large logits, integers, single -inf.",
        solution=softmax,
        inputs=[
            (np.array([0.0]),),
            (np.array([1000.0]),),
            (np.array([-1000.0]),),
            (np.array([0.0, 0.0]),),
            (np.array([1.0, 0.0]),),
            (np.array([1, 0]),),
            (np.array([1, 2], np.uint8),),
            (np.array([100, -100], np.int8),),
            (np.array([1.0, 0.0], np.float32),),
            (np.array([1000.0, 999.0]),),
            (np.array([1420.0, 0.0]),),
            (np.array([0.0, -np.inf]),),
            (np.array([2.0, 1.0, 0.1]),),
            (np.array([-1000.0, 1.0, 1000.0]),),
            (np.array([[1.0, 0.0], [0.0, 0.0]]),),
            (np.array([[1000.0, 999.0], [0.0, 1.0]]),),
            (np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 5.0]]),),
            (np.array([[[1.0, 2.0], [3.0, 5.0]], [[0.0, 0.0], [4.0, 8.0]]]),),
            (np.round(30 * np.sin(np.arange(20.0)), 1).reshape(5, 4),),
        ],
        truth=_softmax_truth,
        oracle="the definition in 60-digit arithmetic",
        relative=4096,
        same_dtype=True,
        because="Rounding x - max costs up to the spread of x in units u, here 60 where the "
        "result is not 0; exp and the sum add a few. Slips cost 1e-6 and more.",
        wrong=[
            Wrong(
                "no max subtraction",
                lambda x: _quotient(_floats(x)),
                "The exponentials overflow. Subtract the largest logit of each row first.",
            ),
            Wrong(
                "no max subtraction and no axis",
                lambda x: np.exp(_floats(x)) / np.exp(_floats(x)).sum(),
                "The exponentials overflow, and the sum runs over all rows. Subtract each row's "
                "maximum, and give the sum axis=-1.",
            ),
            Wrong(
                "mean subtracted",
                lambda x: _quotient(_floats(x) - _floats(x).mean(axis=-1, keepdims=True)),
                "Subtracting the mean still leaves a large positive logit. Subtract the maximum.",
            ),
            Wrong(
                "absolute maximum subtracted",
                lambda x: _quotient(_floats(x) - np.abs(_floats(x)).max(axis=-1, keepdims=True)),
                "If all logits are negative, their largest absolute value is not their maximum.",
            ),
            Wrong(
                "logits clipped",
                lambda x: _quotient(np.clip(_floats(x), -700, 700)),
                "Clipping moves the logits by different amounts. Subtract the same number from "
                "all.",
            ),
            Wrong(
                "maximum of the whole array",
                lambda x: _quotient(_floats(x) - x.max()),
                "With the maximum of the whole array, a row far below it underflows. Take each "
                "row's own.",
            ),
            Wrong(
                "sum over the whole array",
                lambda x: _one_sum(_floats(x)),
                "All rows together sum to 1. Each row should: give the sum axis=-1.",
            ),
            Wrong(
                "first axis",
                lambda x: textbook.softmax(_floats(x) - _floats(x).max(axis=0), axis=0),
                "The columns sum to 1. Each row should: axis=-1.",
            ),
            Wrong(
                "no keepdims",
                lambda x: _without_keepdims(_floats(x)),
                "Maximum and sum must stay columns: keepdims=True. Without it a square array "
                "gives wrong numbers, and no error.",
            ),
            Wrong(
                "integer input wraps around",
                lambda x: _quotient(x - x.max(axis=-1, keepdims=True)),
                "Small integers wrap around when you subtract. Convert integers to float64 first.",
            ),
            Wrong(
                "always float64",
                lambda x: _quotient(
                    x.astype(np.float64) - x.astype(np.float64).max(axis=-1, keepdims=True)
                ),
                "float32 logits should give float32 probabilities. Convert integers only.",
            ),
            Wrong(
                "integer result",
                lambda x: softmax(x).astype(x.dtype),
                "Integers cannot hold probabilities. Convert the logits, not the result.",
            ),
            Wrong(
                "epsilon in the denominator",
                lambda x: _with_epsilon(_floats(x)),
                "The number added to the sum biases every result. After the shift the sum is at "
                "least 1: nothing needs to be added.",
            ),
            Wrong(
                "log of softmax",
                lambda x: np.log(softmax(x)),
                "You returned the logarithms of the probabilities.",
            ),
            Wrong(
                "not divided by the sum",
                lambda x: np.exp(_floats(x) - _floats(x).max(axis=-1, keepdims=True)),
                "The result does not sum to 1. Divide by the sum of the exponentials.",
            ),
            Wrong(
                "x overwritten",
                _in_place,
                "Your function changed x. Write x = x - ..., which makes a new array, for x -= ...",
            ),
        ],
    )
)


def _one_sum(x: Any) -> Any:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum()


def _without_keepdims(x: Any) -> Any:
    e = np.exp(x - x.max(axis=-1))
    return e / e.sum(axis=-1)


def _with_epsilon(x: Any) -> Any:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / (e.sum(axis=-1, keepdims=True) + np.float32(1e-6))


_CANCELLED = (
    "For a very negative z two numbers near 1 cancel, and every digit of the small result is lost."
)

register(
    Exercise(
        name="overflow-sigmoid",
        task="Return the logistic sigmoid of any finite float.",
        solution=sigmoid,
        inputs=[(z,) for z in (0.0, 1.0, -1.0, -40.0, 40.0, 700.0, -700.0, 1000.0, -1000.0)],
        truth=lambda z: 1 / (1 + (-Decimal(z)).exp()),
        oracle="the definition in 60-digit arithmetic",
        relative=64,
        because="An exponential, an addition and a division cost less than 4 u.",
        wrong=[
            Wrong(
                "math.exp(-z) everywhere",
                lambda z: 1 / (1 + math.exp(-z)),
                "math.exp raises above 709.78, and -z is large where z is very negative. Use the "
                "other form there.",
            ),
            Wrong(
                "the other form everywhere",
                lambda z: math.exp(z) / (1 + math.exp(z)),
                "math.exp raises above 709.78. Use 1 / (1 + exp(-z)) where z is positive.",
            ),
            Wrong(
                "infinity over infinity",
                lambda z: np.exp(z) / (1 + np.exp(z)),
                "inf / inf is nan. Use 1 / (1 + exp(-z)) where z is positive.",
            ),
            Wrong(
                "1 minus the large part",
                lambda z: 1 - 1 / (1 + np.exp(z)),
                _CANCELLED,
            ),
            Wrong(
                "by tanh",
                lambda z: 0.5 * (1 + math.tanh(z / 2)),
                _CANCELLED,
            ),
            Wrong(
                "argument clipped",
                lambda z: 1 / (1 + math.exp(-min(max(z, -30.0), 30.0))),
                "Clipping is not needed, and it makes small results wrong by many orders.",
            ),
            Wrong(
                "wrong sign",
                lambda z: sigmoid(-z),
                "A large z should give 1. Look at the sign in the exponent.",
            ),
        ],
    )
)


def _fate_truth(x: Any) -> list[str]:
    with np.errstate(all="ignore"):  # overflow is what is asked for
        p = textbook.softmax(x)
    return ["nan" if np.isnan(v) else "zero" if v == 0 else "number" for v in p]


def _fate(
    all_underflow: bool = True,
    the_sum: bool = True,
    numerator: bool = True,
    quotient: bool = True,
    fmt: str = "float32",
) -> Callable[[Any], list[str]]:
    """A function that leaves out what is switched off."""
    largest = math.log(FORMATS[fmt].max)
    smallest = math.log(FORMATS[fmt].smallest_subnormal) - math.log(2)

    def forecast(x: Any) -> list[str]:
        x = x.astype(np.float64)
        lse = logsumexp(x) if the_sum else x.max()
        if all_underflow and x.max() < smallest:
            return ["nan"] * x.size
        if lse > largest:
            return ["nan" if v > largest else "zero" for v in x]
        sizes = [min(v if numerator else 0.0, v - lse if quotient else 0.0) for v in x]
        return ["number" if size > smallest else "zero" for size in sizes]

    return forecast


def _row(*logits: float) -> tuple[np.ndarray]:
    return (np.array(logits, dtype=np.float32),)


register(
    Exercise(
        name="overflow-foretell",
        task='Foretell the float32 textbook softmax: "nan", "zero" or "number" for each logit.',
        solution=fate,
        inputs=[
            _row(0),
            _row(88),
            _row(89),
            _row(-100),
            _row(-105),
            _row(0, 0),
            _row(0, -105),
            _row(88, 88),
            _row(88.5, 88.5),
            _row(89, 0),
            _row(60, -60),
            _row(-101, -110),
            _row(1000, 1000),
            _row(1000, -1000),
            _row(1000, 500, 500),
            _row(88, 88, 88),
            _row(100, 50, -50),
            _row(-200, -300, -400),
            _row(80, 80, 80, 80, 80, 80, 80, 80),
            _row(87, 87, 87, 87, 87, 87, 87, 87),
        ],
        truth=_fate_truth,
        oracle="softmax_ref.textbook.softmax in float32, away from every threshold",
        because="Words are compared, not numbers. No input lies so near a threshold that a "
        "rounding could decide.",
        wrong=[
            Wrong(
                "forgets the sum",
                _fate(the_sum=False),
                "No exponential overflows here, but their sum does.",
            ),
            Wrong(
                "forgets 0/0",
                _fate(all_underflow=False),
                "Every exponential underflows, and so does their sum: 0/0.",
            ),
            Wrong(
                "forgets that an exponential may underflow",
                _fate(all_underflow=False, numerator=False),
                "The quotient would be a number, but the exponential has underflowed before the "
                "division.",
            ),
            Wrong(
                "forgets that the quotient may underflow",
                _fate(quotient=False),
                "The exponential is not 0, but divided by the sum it underflows.",
            ),
            Wrong(
                "forgets underflow",
                _fate(all_underflow=False, numerator=False, quotient=False),
                "Exponentials of very negative logits are 0 in float32.",
            ),
            Wrong(
                "the limits of float64",
                _fate(fmt="float64"),
                "float32 overflows at 88.72. Those are the limits of float64.",
            ),
            Wrong(
                "foretells the stable softmax",
                lambda x: ["number" if v - logsumexp(x) > -103.9 else "zero" for v in x],
                "This is the fate of the stable softmax. The textbook formula overflows.",
            ),
            Wrong(
                "one nan spoils the row",
                lambda x: ["nan"] * x.size if "nan" in _fate_truth(x) else _fate_truth(x),
                "A finite exponential over an infinite sum is 0, not nan.",
            ),
        ],
    )
)
