"""The code exercises of the chapter on the Jacobian."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np

from .. import softmax
from ..textbook import softmax as textbook_softmax
from . import _truth
from ._checker import Exercise, Wrong, register


def log_softmax_vjp(x: Any, g: Any) -> Any:
    """Return g times the Jacobian of log_softmax, row by row."""
    return g - softmax(x) * g.sum(axis=-1, keepdims=True)


def forward_jacobian(x: Any) -> Any:
    """Return the Jacobian of softmax at the vector x from n + 1 evaluations of softmax."""
    h = 2.0**-24  # a power of two near the best step, so that x + h is exact for moderate x
    columns = [(softmax(x + h * e) - softmax(x)) / h for e in np.eye(x.size)]
    return np.stack(columns, axis=1)


def log_softmax_jacobian(x: Any) -> Any:
    """Return I - 1 pᵀ: row i, column j is the derivative of log p_i by x_j."""
    return np.eye(x.size) - softmax(x)


def target_gradient(x: Any, t: int) -> Any:
    """Return p_t - 1 with all its digits: minus the sum of the other probabilities."""
    return -np.delete(softmax(x), t).sum()


def _log_softmax_vjp_truth(x: Any, g: Any) -> list[list[Decimal]]:
    result = []
    for x_row, g_row in zip(x, g, strict=True):
        g_exact = [Decimal(float(v)) for v in g_row]
        p = _truth.softmax(x_row)
        result.append([v - p_i * sum(g_exact) for v, p_i in zip(g_exact, p, strict=True)])
    return result


def _in_place_vjp(x: Any, g: Any) -> Any:
    g -= softmax(x) * g.sum(axis=-1, keepdims=True)
    return g


_FIVE_BY_FOUR = np.round(3 * np.sin(np.arange(20.0)), 1).reshape(5, 4)

register(
    Exercise(
        name="jacobian-log-softmax-vjp",
        task="Return g times the Jacobian of log_softmax for each row of a batch.",
        solution=log_softmax_vjp,
        inputs=[
            (np.array([[0.0]]), np.array([[1.0]])),
            (np.array([[0.0, 0.0]]), np.array([[1.0, 0.0]])),
            (np.array([[0.0, 0.0]]), np.array([[1.0, 1.0]])),
            (np.array([[1.0, 0.0]]), np.array([[1.0, 0.0]])),
            (np.array([[1000.0, 0.0]]), np.array([[1.0, 1.0]])),
            (np.array([[2.0, 1.0, 0.1]]), np.array([[1.0, -2.0, 0.5]])),
            (np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([[1.0, 0.0], [1.0, 1.0]])),
            (np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 5.0]]), np.eye(3)[[2, 0]]),
            (_FIVE_BY_FOUR, _FIVE_BY_FOUR[::-1].copy()),
        ],
        truth=_log_softmax_vjp_truth,
        oracle="g - p Σg, with softmax by its definition in 60-digit arithmetic",
        absolute=1024,
        because="g and the sum of g are below 10 and n below 6: rounding costs some 100 u. "
        "Entries near 0 are differences, so the error is not relative to them.",
        wrong=[
            Wrong(
                "transposed Jacobian",
                lambda x, g: g - (softmax(x) * g).sum(axis=-1, keepdims=True),
                "You multiplied by the transpose, which is the JVP. The Jacobian of log_softmax is "
                "not symmetric: the sum of g belongs with p.",
            ),
            Wrong(
                "VJP of softmax",
                lambda x, g: softmax(x) * (g - (softmax(x) * g).sum(axis=-1, keepdims=True)),
                "This is the VJP of softmax. Which one does log_softmax have?",
            ),
            Wrong(
                "sum over the whole batch",
                lambda x, g: g - softmax(x) * g.sum(),
                "With two rows the sum of g mixes them. Give the sum axis=-1.",
            ),
            Wrong(
                "no keepdims",
                lambda x, g: g - softmax(x) * g.sum(axis=-1),
                "The sum of each row must stay a column: keepdims=True. Without it a square batch "
                "gives wrong numbers, and no error.",
            ),
            Wrong(
                "softmax along the wrong axis",
                lambda x, g: g - softmax(x, axis=0) * g.sum(axis=-1, keepdims=True),
                "Each row is one sample. Take softmax along the last axis.",
            ),
            Wrong(
                "mean instead of sum",
                lambda x, g: g - softmax(x) * g.mean(axis=-1, keepdims=True),
                "p is multiplied by the sum of g, not by its mean.",
            ),
            Wrong(
                "no max subtraction",
                lambda x, g: g - textbook_softmax(x) * g.sum(axis=-1, keepdims=True),
                "Your softmax overflows at a logit of 1000. Use one that subtracts the maximum.",
            ),
            Wrong(
                "wrong sign",
                lambda x, g: softmax(x) * g.sum(axis=-1, keepdims=True) - g,
                "All signs are reversed.",
            ),
            Wrong(
                "g overwritten",
                _in_place_vjp,
                "Your function changed g. Write g - ..., which makes a new array, for g -= ...",
            ),
        ],
    )
)


def _jacobian_truth(x: Any) -> list[list[Decimal]]:
    p = _truth.softmax(x)
    return [[p_i * ((i == j) - p_j) for j, p_j in enumerate(p)] for i, p_i in enumerate(p)]


def _forward(x: Any, h: float, divisor: float) -> Any:
    columns = [(softmax(x + h * e) - softmax(x)) / divisor for e in np.eye(x.size)]
    return np.stack(columns, axis=1)


def _nudged_in_place(x: Any) -> Any:
    h, p = 2.0**-24, softmax(x)
    J = np.empty((x.size, x.size))
    for j in range(x.size):
        x[j] += h
        J[:, j] = (softmax(x) - p) / h
        x[j] -= h / 2
    return J


register(
    Exercise(
        name="jacobian-forward",
        task="Return the Jacobian of softmax at a vector by forward differences.",
        solution=forward_jacobian,
        inputs=[
            (np.array([0.0]),),
            (np.array([0.0, 0.0]),),
            (np.array([1.0, 0.0]),),
            (np.array([2.0, 1.0, 0.1]),),
            (np.array([0.0, 0.0, -1.0, 3.0]),),
        ],
        truth=_jacobian_truth,
        oracle="p_i (δ_ij - p_j) in 60-digit arithmetic",
        absolute=1e-7 * 2**53,
        because="The best step leaves 7e-9. An error of 1e-7 allows any step within a factor "
        "of ten of it, and central differences.",
        wrong=[
            Wrong(
                "step too large",
                lambda x: _forward(x, 1e-3, 1e-3),
                "Your step is so large that the curve bends under it. See what 1e-8 does, "
                "then find the best.",
            ),
            Wrong(
                "step too small",
                lambda x: _forward(x, 1e-12, 1e-12),
                "Your step is so small that the rounding errors of softmax, divided by it, show. "
                "See what 1e-8 does, then find the best.",
            ),
            Wrong(
                "not divided by the step",
                lambda x: _forward(x, 2.0**-24, 1.0),
                "A difference is not yet a quotient. Divide by h.",
            ),
            Wrong(
                "divided by 2h",
                lambda x: _forward(x, 2.0**-24, 2.0**-23),
                "Half of the right result: 2h is the divisor of central differences.",
            ),
            Wrong(
                "all logits nudged together",
                lambda x: np.stack([(softmax(x + 1e-8) - softmax(x)) / 1e-8] * x.size, axis=1),
                "softmax does not change if all logits move together. Move one at a time.",
            ),
            Wrong(
                "nudged in place",
                _nudged_in_place,
                "Your function changed x. Add h times a unit vector, which makes a new array.",
            ),
        ],
    )
)


def _log_softmax_jacobian_truth(x: Any) -> list[list[Decimal]]:
    p = _truth.softmax(x)
    return [[(i == j) - p_j for j, p_j in enumerate(p)] for i in range(len(p))]


register(
    Exercise(
        name="jacobian-log-softmax",
        task="Return the Jacobian of log_softmax at a vector.",
        solution=log_softmax_jacobian,
        inputs=[
            (np.array([0.0]),),
            (np.array([0.0, 0.0]),),
            (np.array([1.0, 0.0]),),
            (np.array([1000.0, 0.0]),),
            (np.array([2.0, 1.0, 0.1]),),
            (np.array([0.0, 0.0, -1.0, 3.0]),),
        ],
        truth=_log_softmax_jacobian_truth,
        oracle="δ_ij - p_j in 60-digit arithmetic",
        absolute=64,
        because="No entry exceeds 1. A diagonal entry near 0 is a difference from 1.",
        wrong=[
            Wrong(
                "transposed Jacobian",
                lambda x: np.eye(x.size) - softmax(x)[:, None],
                "The rows of your result do not sum to 0. Is the matrix transposed?",
            ),
            Wrong(
                "Jacobian of softmax",
                lambda x: np.diag(softmax(x)) - np.outer(softmax(x), softmax(x)),
                "This is the Jacobian of softmax. Divide row i by p_i.",
            ),
            Wrong(
                "no identity",
                lambda x: -np.tile(softmax(x), (x.size, 1)),
                "The diagonal lacks its 1: log p_i contains x_i itself.",
            ),
            Wrong(
                "diagonal only",
                lambda x: np.diag(1 - softmax(x)),
                "Every logit moves every probability. The entries off the diagonal are not 0.",
            ),
            Wrong(
                "no max subtraction",
                lambda x: np.eye(x.size) - textbook_softmax(x),
                "Your softmax overflows at a logit of 1000. Use one that subtracts the maximum.",
            ),
            Wrong(
                "the diagonal returned as a vector",
                lambda x: 1 - softmax(x),
                "The Jacobian is a matrix: one row for each probability, one column for each "
                "logit.",
            ),
        ],
    )
)

register(
    Exercise(
        name="jacobian-target",
        task="Return the derivative of -log p_t by the target's logit, with all its digits.",
        solution=target_gradient,
        inputs=[
            (np.array([5.0]), 0),
            (np.array([0.0, 0.0]), 0),
            (np.array([0.0, 1.0]), 1),
            (np.array([20.0, 0.0], np.float32), 0),
            (np.array([40.0, 0.0]), 0),
            (np.array([1000.0, 0.0]), 1),
            (np.array([2.0, 1.0, 0.1]), 1),
            (np.array([0.0, 25.0, -1.0, 3.0], np.float32), 1),
        ],
        truth=lambda x, t: -sum(p for j, p in enumerate(_truth.softmax(x)) if j != t),
        oracle="minus the sum of the other probabilities in 60-digit arithmetic",
        relative=256,
        because="Probabilities within the range of the format carry an error of n + 2 u and the "
        "error of x - max, here below 50 u. p_t - 1 loses every digit.",
        wrong=[
            Wrong(
                "p_t - 1",
                lambda x, t: softmax(x)[t] - 1,
                "p_t is rounded before you subtract 1, and what you want is in the lost digits. "
                "Add up the other probabilities.",
            ),
            Wrong(
                "wrong sign",
                lambda x, t: np.delete(softmax(x), t).sum(),
                "Raising the target's logit lowers the loss: the derivative is negative.",
            ),
            Wrong(
                "derivative of log p_t instead of the loss",
                lambda x, t: 1 - softmax(x)[t],
                "Two things: the sign (the loss is minus log p_t), and the digits that 1 - p_t "
                "loses.",
            ),
            Wrong(
                "always class 0",
                lambda x, t: -softmax(x)[1:].sum(),
                "The target is class t, which need not be the first.",
            ),
            Wrong(
                "the whole gradient",
                lambda x, t: softmax(x) - np.eye(x.size)[t],
                "One number was asked for, the entry of the target.",
            ),
            Wrong(
                "no max subtraction",
                lambda x, t: -np.delete(textbook_softmax(x), t).sum(),
                "Your softmax overflows at a logit of 1000. Use one that subtracts the maximum.",
            ),
        ],
    )
)
