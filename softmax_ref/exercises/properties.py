"""The code exercises of the chapter on the properties of softmax."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np

from .. import softmax
from ._checker import Exercise, Wrong, register


def centred_logits(p: Any) -> Any:
    """Return the logits with sum 0 whose softmax is p, row by row."""
    logs = np.log(p)
    return logs - logs.mean(axis=-1, keepdims=True)


def reheat(p: Any, T: float) -> Any:
    """Return the probabilities at temperature T, given those at temperature 1."""
    return softmax(np.log(p) / T)


def _centred_truth(p: Any) -> list[list[Decimal]]:
    logs = [[Decimal(float(v)).ln() for v in row] for row in p]
    return [[v - sum(row, Decimal(0)) / len(row) for v in row] for row in logs]


register(
    Exercise(
        name="properties-inverse",
        task="Return the logits with sum 0 whose softmax is p, row by row.",
        solution=centred_logits,
        inputs=[
            (np.array([[1.0]]),),
            (np.array([[0.75, 0.25]]),),
            (np.array([[0.5, 0.25, 0.25]]),),
            (np.array([[0.6, 0.3, 0.1]]),),
            (np.array([[0.75, 0.25], [0.5, 0.5]]),),
            (np.array([[0.6, 0.3, 0.1], [1e-300, 0.25, 0.75]]),),
        ],
        truth=_centred_truth,
        oracle="logarithms less their mean, in 60-digit arithmetic",
        relative=16,
        absolute=4096,
        because="Logarithms of up to 700 are rounded to a few u of themselves before they are "
        "subtracted.",
        wrong=[
            Wrong(
                "log p",
                lambda p: np.log(p),
                "These are logits of p, but their sum is not 0. Subtract the mean of each row.",
            ),
            Wrong(
                "mean over the whole batch",
                lambda p: np.log(p) - np.log(p).mean(),
                "Your mean runs over all rows together. Give it axis=-1 and keepdims=True.",
            ),
            Wrong(
                "log of the mean",
                lambda p: np.log(p) - np.log(p.mean(axis=-1, keepdims=True)),
                "Subtract the mean of the logarithms, not the logarithm of the mean.",
            ),
            Wrong(
                "log-odds against the rest",
                lambda p: np.log(p) - np.log1p(-p),
                "log(p/(1 - p)) is the log-odds of each class against all others. Softmax of it "
                "is not p.",
            ),
            Wrong(
                "last class as reference",
                lambda p: np.log(p) - np.log(p[:, -1:]),
                "You made the last logit 0. The sum should be 0.",
            ),
            Wrong(
                "largest logit 0",
                lambda p: np.log(p) - np.log(p.max(axis=-1, keepdims=True)),
                "You made the largest logit 0. The sum should be 0.",
            ),
            Wrong(
                "probabilities centred",
                lambda p: p - p.mean(axis=-1, keepdims=True),
                "You centred the probabilities. Take their logarithms first.",
            ),
            Wrong(
                "columns centred",
                lambda p: np.log(p) - np.log(p).mean(axis=0),
                "You centred the columns. The classes lie along the last axis.",
            ),
        ],
    )
)


def _reheat_truth(p: Any, T: float) -> list[Decimal]:
    powers = [(Decimal(float(v)).ln() / Decimal(T)).exp() for v in p]
    return [v / sum(powers) for v in powers]


def _powers(p: Any, T: float) -> Any:
    powers = p ** (1 / T)
    return powers / powers.sum()


register(
    Exercise(
        name="properties-reheat",
        task="Return the probabilities at temperature T, given p at temperature 1.",
        solution=reheat,
        inputs=[
            (np.array([1.0]), 2.0),
            (np.array([0.75, 0.25]), 1.0),
            (np.array([0.75, 0.25]), 2.0),
            (np.array([0.8, 0.2]), 0.5),
            (np.array([0.5, 0.25, 0.25]), 0.25),
            (np.array([0.6, 0.3, 0.1]), 4.0),
            (np.array([0.375, 0.375, 0.25]), 0.001),
        ],
        truth=_reheat_truth,
        oracle="powers over their sum, in 60-digit arithmetic",
        relative=4096,
        because="Rounding a logit log p / T of up to 1000 costs up to 1000 u of its exponential.",
        wrong=[
            Wrong(
                "powers",
                _powers,
                "Right, until all powers underflow to 0. Let softmax work with their logarithms.",
            ),
            Wrong(
                "power T",
                lambda p, T: softmax(np.log(p) * T),
                "The power is 1/T: a high temperature brings the probabilities together.",
            ),
            Wrong(
                "p taken for logits",
                lambda p, T: softmax(p / T),
                "p are probabilities. The logits are log p.",
            ),
            Wrong(
                "p divided by T",
                lambda p, T: p / T / (p / T).sum(),
                "Dividing the probabilities by T changes nothing. Divide their logarithms.",
            ),
            Wrong(
                "not normalised",
                lambda p, T: p ** (1 / T),
                "The powers do not sum to 1 any more. Divide by their sum.",
            ),
        ],
    )
)
