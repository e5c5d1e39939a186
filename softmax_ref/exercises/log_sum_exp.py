"""The code exercises of the chapter on log-sum-exp."""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import numpy as np

from .. import logsumexp, softmax
from . import _truth
from ._checker import Exercise, Wrong, register


def log_difference(a: float, b: float) -> float:
    """Return log(exp(a) - exp(b)) for finite a >= b."""
    d = a - b
    if d == 0:
        return -math.inf
    if d < math.log(2):
        return a + math.log(-math.expm1(-d))
    return a + math.log1p(-math.exp(-d))


def running_lse(stream: Iterable[float]) -> float:
    """Return LSE of an iterable of numbers below infinity, read once."""
    m, total = -math.inf, 0.0
    for v in stream:
        if v > m:
            m, total = v, total * math.exp(m - v) + 1.0
        elif v > -math.inf:
            total += math.exp(v - m)
    return m + math.log(total) if total else -math.inf


def mean_loss(x: Any, t: Any) -> Any:
    """Return the mean of LSE(x) - x_t over the rows of a batch."""
    return np.mean(logsumexp(x, axis=-1) - x[np.arange(len(t)), t])


register(
    Exercise(
        name="lse-difference",
        task="Return log(exp(a) - exp(b)) for finite a >= b.",
        solution=log_difference,
        inputs=[
            (0.0, 0.0),
            (1.0, 0.0),
            (2.0, 1.0),
            (1000.0, 999.0),
            (-1000.0, -1001.0),
            (0.0, -0.125),
            (0.0, -40.0),
            (0.0, -1e-10),
            (0.0, -1000.0),
        ],
        truth=lambda a, b: (Decimal(a).exp() - Decimal(b).exp()).ln(),
        oracle="the definition in 60-digit arithmetic",
        relative=64,
        because="Five operations, each within a few u, and no input where the two terms of "
        "a + log(...) cancel.",
        wrong=[
            Wrong(
                "the definition",
                lambda a, b: -math.inf if a == b else math.log(math.exp(a) - math.exp(b)),
                "The definition is right for moderate numbers only. Factor out exp(a).",
            ),
            Wrong(
                "the definition, without a == b",
                lambda a, b: math.log(math.exp(a) - math.exp(b)),
                "For a = b the logarithm of 0 is asked for. Return -inf, and then see what "
                "a = 1000 does.",
            ),
            Wrong(
                "1 - exp(-d)",
                lambda a, b: -math.inf if a == b else a + math.log(1 - math.exp(b - a)),
                "1 - exp(-d) rounds away what matters. expm1 and log1p do not.",
            ),
            Wrong(
                "log1p everywhere",
                lambda a, b: -math.inf if a == b else a + math.log1p(-math.exp(b - a)),
                "For small d, exp(-d) is rounded to a number near 1. Use expm1 there.",
            ),
            Wrong(
                "expm1 everywhere",
                lambda a, b: -math.inf if a == b else a + math.log(-math.expm1(b - a)),
                "For large d, -expm1(-d) is rounded to a number near 1. Use log1p there.",
            ),
            Wrong(
                "equality forgotten",
                lambda a, b: a + math.log(-math.expm1(b - a)),
                "For a = b nothing is left: the answer is -inf, and math.log raises at 0.",
            ),
            Wrong(
                "sum instead of difference",
                lambda a, b: a + math.log1p(math.exp(b - a)),
                "This is log(exp(a) + exp(b)).",
            ),
            Wrong(
                "difference of the logarithms",
                lambda a, b: a - b,
                "a - b is the logarithm of the quotient, not of the difference.",
            ),
        ],
    )
)


def _two_readings(stream: Iterable[float]) -> float:
    m = max(stream, default=-math.inf)
    total = sum(math.exp(v - m) for v in stream)
    return m + math.log(total) if total else -math.inf


def _definition(stream: Iterable[float]) -> float:
    total = sum(math.exp(v) for v in stream)
    return math.log(total) if total else -math.inf


def _from_zero(stream: Iterable[float]) -> float:
    m, total = 0.0, 0.0
    for v in stream:
        if v > m:
            m, total = v, total * math.exp(m - v)
        total += math.exp(v - m)
    return m + math.log(total) if total else -math.inf


def _first_as_reference(stream: Iterable[float]) -> float:
    m, total = -math.inf, 0.0
    for v in stream:
        m = v if m == -math.inf else m
        total += math.exp(v - m) if v > -math.inf else 0.0
    return m + math.log(total) if total else -math.inf


def _rescaled(stream: Iterable[float], factor: Any, one: float = 1.0) -> float:
    """The running sum with a mistake: another factor at a new maximum, or the 1 forgotten."""
    m, total = -math.inf, 0.0
    for v in stream:
        if v > m:
            m, total = v, (total * factor(m, v) if total else 0.0) + one
        elif v > -math.inf:
            total += math.exp(v - m)
    return m + math.log(total) if total else -math.inf


def _infinite_difference(stream: Iterable[float]) -> float:
    m, total = -math.inf, 0.0
    for v in stream:
        larger = max(m, v)
        total = total * math.exp(m - larger) + math.exp(v - larger)
        m = larger
    return m + math.log(total) if total else -math.inf


def _nothing_special(stream: Iterable[float]) -> float:
    m, total = -math.inf, 0.0
    for v in stream:
        if v > m:
            m, total = v, total * math.exp(m - v) + 1.0
        elif v > -math.inf:
            total += math.exp(v - m)
    return m + math.log(total)


def _maximum(stream: Iterable[float]) -> float:
    return max(stream, default=-math.inf)


_BY_DEFINITION = "Your exponentials overflow or underflow. Measure them from the largest so far."

register(
    Exercise(
        name="lse-stream",
        task="Return LSE of logits that arrive one at a time and are read once.",
        solution=running_lse,
        inputs=[
            ([],),
            ([-math.inf],),
            ([5.0],),
            ([-1000.0],),
            ([1000.0],),
            ([0.0, 0.0],),
            ([0.0, 1.0],),
            ([-math.inf, 1.0],),
            ([1.0, -math.inf],),
            ([-math.inf, -math.inf],),
            ([0.0, 1000.0],),
            ([2.0, 1.0, 0.1],),
            ([1000.0, 1000.0, 1000.0],),
            ([-1000.0, -1000.0, -1000.0],),
            ([round(300 * math.sin(i), 1) for i in range(20)],),
        ],
        truth=_truth.logsumexp,
        oracle="the definition in 60-digit arithmetic",
        prepare=lambda stream: (iter(stream),),
        relative=256,
        because="Rounding a running sum of 20 terms and the differences of logits, up to 600, "
        "costs less than 100 u of the result.",
        wrong=[
            Wrong(
                "the stream read twice",
                _two_readings,
                "The stream is empty after the first reading. Keep the sum up to date as you go.",
            ),
            Wrong("no max subtraction", _definition, _BY_DEFINITION),
            Wrong(
                "maximum starts at 0",
                _from_zero,
                "With 0 as the first maximum, very negative logits underflow. Start at -inf.",
            ),
            Wrong(
                "measured from the first logit",
                _first_as_reference,
                "You measure from the first logit, and a much larger one overflows. Follow the "
                "maximum.",
            ),
            Wrong(
                "no rescaling",
                lambda stream: _rescaled(stream, lambda m, v: 1.0),
                "At a new maximum the old sum must shrink: multiply it by exp(old - new).",
            ),
            Wrong(
                "rescaled the wrong way",
                lambda stream: _rescaled(stream, lambda m, v: math.exp(v - m)),
                "At a new maximum the old sum grows in your function. The factor is "
                "exp(old - new).",
            ),
            Wrong(
                "the new maximum not counted",
                lambda stream: _rescaled(stream, lambda m, v: math.exp(m - v), one=0.0),
                "The new maximum is an entry too: it adds exp(0) = 1 to the sum.",
            ),
            Wrong(
                "-inf minus -inf",
                _infinite_difference,
                "-inf - (-inf) is nan. Skip an entry of -inf: it adds nothing.",
            ),
            Wrong(
                "log of an empty sum",
                _nothing_special,
                "math.log raises at 0. If nothing was added, return -inf.",
            ),
            Wrong("the maximum only", _maximum, "This is the maximum. LSE adds the log of a sum."),
        ],
    )
)


def _mean_loss_truth(x: Any, t: Any) -> Decimal:
    losses = [_truth.logsumexp(row) - Decimal(float(row[j])) for row, j in zip(x, t, strict=True)]
    return sum(losses, Decimal(0)) / len(losses)


def _losses(x: Any, t: Any) -> Any:
    return logsumexp(x, axis=-1) - x[np.arange(len(t)), t]


register(
    Exercise(
        name="lse-mean-loss",
        task="Return the mean of the loss LSE(x) - x_t over the rows of a batch.",
        solution=mean_loss,
        inputs=[
            (np.array([[5.0]]), np.array([0])),
            (np.array([[0.0, 0.0]]), np.array([0])),
            (np.array([[1.0, 0.0]]), np.array([1])),
            (np.array([[1000.0, 0.0]]), np.array([0])),
            (np.array([[1000.0, 0.0]]), np.array([1])),
            (np.array([[2.0, 1.0, 0.1]]), np.array([1])),
            (np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([1, 1])),
            (np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 5.0]]), np.array([0, 2])),
            (np.round(3 * np.sin(np.arange(20.0)), 1).reshape(5, 4), np.arange(5) % 4),
        ],
        truth=_mean_loss_truth,
        oracle="the definition in 60-digit arithmetic",
        absolute=64,
        relative=64,
        because="A loss is a difference of numbers below 10 (or is large), each within a few u.",
        wrong=[
            Wrong(
                "log of softmax",
                lambda x, t: -np.log(softmax(x)[np.arange(len(t)), t]).mean(),
                "The target's probability underflows to 0 before you take its logarithm. Compute "
                "LSE(x) - x_t.",
            ),
            Wrong(
                "mean over the wrong count",
                lambda x, t: (np.eye(x.shape[1])[t] * _losses(x, t)[:, None]).mean(),
                "You divide by the number of all entries. Divide by the number of rows.",
            ),
            Wrong(
                "sum instead of mean",
                lambda x, t: _losses(x, t).sum(),
                "This is the sum over the rows. Divide by their number.",
            ),
            Wrong(
                "one loss for each row",
                _losses,
                "These are the losses of the rows. Their mean was asked for.",
            ),
            Wrong(
                "x[:, t]",
                lambda x, t: (logsumexp(x, axis=-1)[:, None] - x[:, t]).mean(),
                "x[:, t] takes every target from every row. Row i needs target i: "
                "x[np.arange(len(t)), t].",
            ),
            Wrong(
                "LSE over the whole batch",
                lambda x, t: (logsumexp(x, axis=None) - x[np.arange(len(t)), t]).mean(),
                "Your LSE runs over all rows together. Give it axis=-1.",
            ),
            Wrong(
                "no max subtraction",
                lambda x, t: (np.log(np.exp(x).sum(axis=-1)) - x[np.arange(len(t)), t]).mean(),
                "exp overflows at a logit of 1000. Subtract the maximum, and add it back.",
            ),
            Wrong("wrong sign", lambda x, t: -_losses(x, t).mean(), "A loss is never negative."),
            Wrong(
                "logarithm to base 2",
                lambda x, t: _losses(x, t).mean() / math.log(2),
                "Your result is in bits. With the natural logarithm it is in nats.",
            ),
            Wrong(
                "largest logit instead of the target's",
                lambda x, t: (logsumexp(x, axis=-1) - x.max(axis=-1)).mean(),
                "You subtract the largest logit. Subtract the target's.",
            ),
        ],
    )
)
